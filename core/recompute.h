#pragma once

#include <functional>
#include <typeinfo>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// block(x), of which nothing but x is kept for the backward pass: that runs the block once more, and its
/// gradients are the same bits (gradient checkpointing, Chen et al. 2016). A deep network of such blocks
/// needs the memory of their inputs and of one block's activations, for about a third more time. Dropout
/// drops the same elements, and running statistics are updated once. The block must live until backward, and
/// depend on no other recorded tensor than x.
Tensor recomputed(std::function<Tensor(Tensor)> block, Tensor x);

/// A module whose activations are recomputed; its parts keep their names.
template <std::derived_from<Module> Block>
struct Recomputed : Module {
  Block block;
  explicit Recomputed(Block module) : block(std::move(module)) {}
  Tensor forward(Tensor x) override {
    return recomputed([this](Tensor input) { return block(std::move(input)); }, std::move(x));
  }
  void visit(Visitor& v) override { block.visit(v); }
  LayerInfo info() override {
    LayerInfo info = block.info();
    if (info.type && *info.type == typeid(Block)) info.type = &typeid(Recomputed);
    return info;
  }
  std::string describe() const override { return block.describe(); }
};

}  // namespace ballast::inline BALLAST_PRECISION
