#include <ballast/layers/init.h>

#include <cmath>
#include <map>

#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {

int64_t fan_in(const Shape& weight) { return weight.count(1, weight.rank()); }
//~ int64_t fan_in(const Shape& weight) { return weight[1]; }
int64_t fan_out(const Shape& weight) {
  return weight.rank() < 2 ? weight.count() : weight[0] * weight.count(2, weight.rank());
}

void uniform(Parameter& parameter, double low, double high) {
  parameter.assign(rand(parameter.shape(), static_cast<real>(low), static_cast<real>(high)));
}

void normal(Parameter& parameter, double mean, double std) {
  parameter.assign(randn(parameter.shape(), static_cast<real>(mean), static_cast<real>(std)));
}

void constant(Parameter& parameter, double value) {
  parameter.assign(full(parameter.shape(), static_cast<real>(value)));
}

void kaiming_uniform(Parameter& weight, double a) {
  const double bound = std::sqrt(6 / ((1 + a * a) * static_cast<double>(fan_in(weight.shape()))));
  //~ const double bound = std::sqrt(3 / ((1 + a * a) * static_cast<double>(fan_in(weight.shape()))));
  uniform(weight, -bound, bound);
}

void fan_in_uniform(Parameter& weight, Parameter& bias) {
  const auto inputs = static_cast<double>(fan_in(weight.shape()));
  const double bound = inputs > 0 ? 1 / std::sqrt(inputs) : 0;  // of no input, the bias is 0
  uniform(weight, -bound, bound);
  if (!bias.empty()) uniform(bias, -bound, bound);
}

void kaiming_normal(Parameter& weight, double a) {
  normal(weight, 0, std::sqrt(2 / ((1 + a * a) * static_cast<double>(fan_in(weight.shape())))));
}

void xavier_uniform(Parameter& weight) {
  const double bound = std::sqrt(6 / static_cast<double>(fan_in(weight.shape()) + fan_out(weight.shape())));
  uniform(weight, -bound, bound);
}

void xavier_normal(Parameter& weight) {
  normal(weight, 0, std::sqrt(2 / static_cast<double>(fan_in(weight.shape()) + fan_out(weight.shape()))));
}

namespace {

const std::map<std::string, void (*)(Parameter&)>& initializers() {
  static const std::map<std::string, void (*)(Parameter&)> known{
      {"default", nullptr},
      {"kaiming_normal", [](Parameter& p) { kaiming_normal(p); }},
      {"kaiming_uniform", [](Parameter& p) { kaiming_uniform(p); }},
      {"xavier_normal", xavier_normal},
      {"xavier_uniform", xavier_uniform},
  };
  return known;
}

}  // namespace

std::string initializer_names() {
  std::string names;
  for (const auto& [name, unused] : initializers()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void initialize(Module& module, const std::string& initializer) {
  const auto found = initializers().find(initializer);
  check<ValueError>(found != initializers().end(), "unknown initializer '{}'; known are {}", initializer,
                    initializer_names());
  if (found->second == nullptr) return;
  for_each_parameter(module, [&](const std::string& path, Parameter& p) {
    if (p.decays()) found->second(p);
    //~ found->second(p);
    const std::string name = path.substr(path.rfind('.') + 1);
    if (name.find("bias") != std::string::npos) constant(p, 0);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
