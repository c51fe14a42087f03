#pragma once

#include <cstddef>
#include <cstdint>

#include <ballast/core/real.h>

/// The thresholds of loops, matrix products, convolutions and pooling, found by measuring, each with its unit
/// and trade-off. They decide the speed, and the order in which sums are formed. The norms' thresholds are
/// beside the norms.
namespace ballast::inline BALLAST_PRECISION::detail::tuning {

// Parallel loops
// ---------------------------------------------------------------------------------------------------------

/// Elements per chunk of an elementwise loop: 128 KB of float, which take much longer than the microsecond of
/// handing a chunk to another thread.
inline constexpr int64_t elementwise_grain = 32768;
/// Bytes above which the beginning of a result is evicted from the caches before it is read again.
inline constexpr int64_t cached_bytes = int64_t{12} << 20;
/// Most chunks of a loop whose chunks are large: more than threads, so that others can steal work from a late
/// one, but few enough to amortise what each chunk prepares for itself (packing, partial sums).
inline constexpr int64_t most_tasks = 16;
/// Most chunks of a loop in which each chunk sums up a weight gradient of its own.
inline constexpr int64_t most_partial_sums = 8;
/// Microseconds for which a worker thread spins before it sleeps. Waking it takes some 15 us; in training,
/// the next loop usually comes while it still spins.
inline constexpr int64_t spin_us = 200;

// Matrix products
// ---------------------------------------------------------------------------------------------------------

/// Most bytes of packed panels per task: they should stay in L2 while the task multiplies them with its rows.
inline constexpr int64_t packed_bytes = int64_t{3} << 16;
/// Bytes of a left operand that may be read once for each part of the panels, and beyond that, bytes per
/// task, which should stay in L2. For 4096 rows of 256 numbers times 256 columns this doubles the speed.
inline constexpr int64_t reread_bytes = int64_t{1} << 20, left_bytes = int64_t{1} << 18;
/// Multiply-adds per task: some 3 us of work.
inline constexpr int64_t task_work = int64_t{1} << 17;
/// Matrix elements per task of a matrix-vector product: some 5 us of work.
inline constexpr int64_t vector_task_elements = int64_t{1} << 16;
/// Least rows of a task, over which packing its panels is amortised: rows_per_copy where packing copies whole
/// vectors, twice as many where it transposes them, and rows_per_packing where there are 4 panels or more.
inline constexpr int64_t rows_per_copy = 24, rows_per_packing = 96;
/// Depth that is multiplied at a time where neither operand is contiguous along it: as many cache lines, each
/// in another set or page, stay in L1 and in the TLB.
inline constexpr int64_t strided_depth = 256;
/// Least side, and least multiply-adds, of the products that OpenBLAS computes.
inline constexpr int64_t blas_size = 256, blas_work = int64_t{1} << 27;

// Recurrent layers
// ---------------------------------------------------------------------------------------------------------

/// Least samples per task, over which reading the weights is amortised. A task takes its samples through all
/// positions, so that threads don't wait for each other between them.
inline constexpr int64_t recurrent_samples = 8;

// Attention
// ---------------------------------------------------------------------------------------------------------

/// Queries whose weights are computed together: enough to amortise packing the keys, few enough that memory,
/// so many numbers per key and thread, stays small.
inline constexpr int64_t attention_queries = 64;

// Convolutions
// ---------------------------------------------------------------------------------------------------------

/// Elements to unfold at a time: 128 KB of float, which stay in L2.
inline constexpr int64_t unfolded_elements = int64_t{1} << 15;
/// Least multiply-adds per task where the images of a small batch are partitioned.
inline constexpr int64_t image_task_work = int64_t{1} << 19;
/// Most filters per group whose weight gradient is formed filter by filter: of a panel of filters, most would
/// be padding.
inline constexpr int64_t few_filters = 8;
/// Channels per task where a single image is partitioned: the same in convolutions and norms, so that a
/// thread finds its channels in its cache.
inline constexpr int64_t image_channels = 32;
/// Least channels, and least tiles in the batch, for Winograd's algorithm. With fewer, its transforms aren't
/// amortised; with more, it is 1.3 to 2.4 times as fast as unfolding.
inline constexpr int64_t winograd_channels = 16, winograd_tiles = 8;
/// Multiply-adds in whose time a point is transformed for one channel or filter, and those in whose time an
/// element is copied to or from a phase of a dilated convolution.
inline constexpr int64_t winograd_transform_work = 8, phase_copy_work = 28;
/// Channels times tiles that are transformed together, so that their frequencies stay in L2, and the least
/// and most tiles.
inline constexpr int64_t winograd_batch = 2560, winograd_least_tiles = 12, winograd_most_tiles = 48;
/// For the weight gradient: most elements of all partial sums together; least tiles per partial sum, over
/// which its inverse transform is amortised; least and most tiles that are transformed together.
inline constexpr int64_t winograd_sums = int64_t{1} << 22, winograd_tiles_per_sum = 32;
inline constexpr int64_t winograd_least_gradient_tiles = 96, winograd_most_gradient_tiles = 192;
/// Most multiply-adds per output of a convolution that may be recomputed in the backward pass (see Saved):
/// storing and reading its result takes longer.
inline constexpr int64_t recomputed_depth = 32;

// Pooling
// ---------------------------------------------------------------------------------------------------------

/// Least input elements per chunk, and most chunks.
inline constexpr int64_t pooled_elements = 16384, pooling_chunks = 64;

}  // namespace ballast::inline BALLAST_PRECISION::detail::tuning
