#pragma once

#include <cstddef>
#include <cstdint>

#include <ballast/core/real.h>

/// The thresholds of loops, products, convolutions and pooling: numbers found by measuring, with
/// their unit and what they weigh. Other values give other speeds, and at most sums in another order. Those
/// of the norms stand beside the norms.
namespace ballast::inline BALLAST_PRECISION::detail::tuning {

// Parallel loops
// ---------------------------------------------------------------------------------------------------------

/// Elements per chunk of an elementwise loop: 128 KB of float, which outweigh the microsecond of handing a
/// chunk to another thread.
inline constexpr int64_t elementwise_grain = 32768;
/// Chunks of a loop whose chunks are large: more than threads, so that a late thread's share can be stolen,
/// but few enough that what each chunk prepares for itself (packing, partial sums) counts for little.
inline constexpr int64_t most_tasks = 16;
/// The same where each chunk keeps a copy of all weights' gradients, to be added up in the end.
inline constexpr int64_t most_partial_sums = 8;
/// Microseconds that a helper spins for the next loop before it sleeps. To wake it costs some 15 us; in
/// training the next loop usually comes sooner than this.
inline constexpr int64_t spin_us = 200;

// Matrix products
// ---------------------------------------------------------------------------------------------------------

/// Bytes of packed panels that a task multiplies with all of its rows: they should stay in L2.
inline constexpr int64_t packed_bytes = int64_t{3} << 16;
/// Multiply-adds that are worth a task of their own, some 3 us.
inline constexpr int64_t task_work = int64_t{1} << 17;
/// Elements to read in a product with a vector that are worth a task, some 5 us.
inline constexpr int64_t vector_task_elements = int64_t{1} << 16;
/// Rows for which packing the panels again counts for little: where packing copies whole vectors (where it
/// transposes, twice as many), and where many panels are packed.
inline constexpr int64_t rows_per_copy = 24, rows_per_packing = 96;
/// Smallest side, and multiply-adds, from which on OpenBLAS, which partitions the depth as well, is faster.
inline constexpr int64_t blas_size = 256, blas_work = int64_t{1} << 27;

// Convolutions
// ---------------------------------------------------------------------------------------------------------

/// Elements to unfold at a time: 128 KB of float, which stay in L2.
inline constexpr int64_t unfolded_elements = int64_t{1} << 15;
/// Multiply-adds of one image that are worth a task of their own: below, a small batch isn't partitioned
/// within images.
inline constexpr int64_t image_task_work = int64_t{1} << 19;
/// Channels of a single image that make a task: convolutions and norms partition it alike, so that a thread
/// has in its cache what it goes on with.
inline constexpr int64_t image_channels = 32;
/// Channels, and tiles of the batch, from which on Winograd's algorithm outweighs its transforms: 1.3 to 2
/// times as fast as unfolding.
inline constexpr int64_t winograd_channels = 16, winograd_tiles = 8;
/// Channels times tiles that are transformed together: their frequencies stay in L2. Tiles at least and at
/// most.
inline constexpr int64_t winograd_batch = 2560, winograd_least_tiles = 12, winograd_most_tiles = 48;
/// Of the weights' gradient: elements for all partial sums together, tiles that a partial sum takes at least,
/// so that going back from the frequencies counts for little, and tiles that are transformed together.
inline constexpr int64_t winograd_sums = int64_t{1} << 22, winograd_tiles_per_sum = 32;
inline constexpr int64_t winograd_least_gradient_tiles = 96, winograd_most_gradient_tiles = 192;
/// Multiply-adds per output up to which a convolution is computed again in the backward pass rather than
/// kept: reading and writing it takes longer.
inline constexpr int64_t rematerialised_depth = 32;

// Pooling
// ---------------------------------------------------------------------------------------------------------

/// Elements per chunk of planes, and chunks at most.
inline constexpr int64_t pooled_elements = 16384, pooling_chunks = 64;

}  // namespace ballast::inline BALLAST_PRECISION::detail::tuning
