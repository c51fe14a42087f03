#pragma once

#include <string>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

// Initializers: they overwrite a parameter in place with numbers from the random state. For a weight (out,
// in, ...) fan_in is the product of all axes but the first, fan_out that of all but the second.

/// U(+-sqrt(6 / ((1 + a^2) fan_in))) (He et al. 2015)
void kaiming_uniform(Parameter& weight, double a = 0);
/// What Linear and the convolutions start from, PyTorch's default: weight and bias (if there is one)
/// U(+-1/sqrt(fan_in)).
void fan_in_uniform(Parameter& weight, Parameter& bias);
/// N(0, 2 / ((1 + a^2) fan_in))
void kaiming_normal(Parameter& weight, double a = 0);
/// U(+-sqrt(6 / (fan_in + fan_out))) (Glorot & Bengio 2010)
void xavier_uniform(Parameter& weight);
/// N(0, 2 / (fan_in + fan_out))
void xavier_normal(Parameter& weight);
void uniform(Parameter& parameter, double low, double high);
void normal(Parameter& parameter, double mean, double std);
void constant(Parameter& parameter, double value);

int64_t fan_in(const Shape& weight);
int64_t fan_out(const Shape& weight);

/// Initializes every weight of `module` that weight decay applies to (not those of norms) by an initializer's
/// name: one of initializer_names(); biases become 0, except under "default", which is the
/// layers' own initialization. Throws ValueError naming the known ones.
void initialize(Module& module, const std::string& name);
/// "default, kaiming_normal, kaiming_uniform, xavier_normal, xavier_uniform"
std::string initializer_names();

}  // namespace ballast::inline BALLAST_PRECISION
