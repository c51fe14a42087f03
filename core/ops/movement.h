#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Operations that move elements without changing them.

/// The same elements, in the same order, under another shape; free. One size may be -1: what is left over.
Tensor reshape(Tensor x, const std::initializer_list<int64_t>& sizes);
Tensor reshape(Tensor x, const Shape& shape);
/// Merges axis first_axis and those after it: flatten(x) is (N, everything else).
Tensor flatten(Tensor x, int first_axis = 1);
/// Axis i of the result is axis order[i] of x.
Tensor permute(Tensor x, std::initializer_list<int> order);
/// Two axes exchanged.
Tensor transpose(Tensor x, int axis_a = -2, int axis_b = -1);
/// Elements begin, ..., end-1 along `axis`; negative positions count from the end.
Tensor slice(Tensor x, int axis, int64_t begin, int64_t end);
/// Concatenates tensors that agree in all other axes along `axis`.
Tensor concat(std::span<const Tensor> parts, int axis);
Tensor concat(std::initializer_list<Tensor> parts, int axis);
/// Stacks tensors of one shape along a new axis.
Tensor stack(std::span<const Tensor> parts, int axis = 0);
Tensor stack(std::initializer_list<Tensor> parts, int axis = 0);
/// The parts of x along `axis`, each of `size` positions but the last, which has what is left (PyTorch's
/// split).
std::vector<Tensor> split(const Tensor& x, int64_t size, int axis = 0);
/// `before` and `after` positions of `value` added at the ends of an axis.
Tensor pad(Tensor x, int axis, int64_t before, int64_t after, real value = 0);
/// The positions of an axis in reverse order.
Tensor flip(Tensor x, int axis);
/// A row for each label with a 1 at its place and 0 elsewhere: (N) -> (N, classes).
Tensor one_hot(const Labels& labels, int64_t classes);
/// The slices of x along `axis` at the given positions, in their order, repeats allowed (PyTorch's
/// index_select): an embedding is gather(table, words).
Tensor gather(Tensor x, const Labels& positions, int axis = 0);

}  // namespace ballast::inline BALLAST_PRECISION
