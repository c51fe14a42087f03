#pragma once

#include <string>

#include <ballast/layers/sequential.h>

namespace ballast::app {

/// Python code that makes the same network with PyTorch, as `model`, with the same names of parameters: its
/// `load_state_dict(strict=True)` takes the weights. Throws ValueError naming a layer that PyTorch doesn't
/// have.
std::string pytorch_text(const Sequential& model);

}  // namespace ballast::app
