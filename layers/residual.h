#pragma once

#include <ballast/core/ops/elementwise.h>
#include <ballast/layers/sequential.h>

namespace ballast::inline BALLAST_PRECISION {

/// y = body(x) + shortcut(x), where an empty shortcut is x itself (He et al. 2016).
struct Residual : Module {
  Sequential body, shortcut;

  explicit Residual(Sequential layers, Sequential way_around = {})
      : body(std::move(layers)), shortcut(std::move(way_around)) {}

  Tensor forward(Tensor x) override {
    Tensor around = shortcut(x);
    return body(std::move(x)) + std::move(around);
  }
  void visit(Visitor& v) override { v("body", body), v("shortcut", shortcut); }
  LayerInfo info() override { return {.type = &typeid(Residual), .structure = LayerInfo::Structure::sum}; }
  std::string describe() const override { return "Residual"; }
};

}  // namespace ballast::inline BALLAST_PRECISION
