#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// Layers one after the other; parts are named "0", "1", ... as in PyTorch. Takes its layers by value:
/// `Sequential net(Linear(784, 10), ReLU())`, or one by one with `add`.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers>
  requires(sizeof...(Layers) > 1 ||
           (!std::same_as<Layers, Sequential> && ...)) explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }
  Sequential(const Sequential& other);
  Sequential(Sequential&&) = default;
  Sequential& operator=(const Sequential& other);
  Sequential& operator=(Sequential&&) = default;

  template <std::derived_from<Module> Layer>
  Layer& add(Layer layer) {
    auto owned = std::make_unique<Layer>(std::move(layer));
    Layer& added = *owned;
    layers_.push_back(
        {std::move(owned),
         [](const Module& m) -> std::unique_ptr<Module> {
           return std::make_unique<Layer>(static_cast<const Layer&>(m));
         },
         [](Module& to, const Module& from) { static_cast<Layer&>(to) = static_cast<const Layer&>(from); }});
    return added;
  }

  /// Removes layer i; those behind it move up, and so do their names.
  void erase(size_t i) { layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(i)); }

  size_t size() const { return layers_.size(); }
  Module& operator[](size_t i) { return *layers_.at(i).module; }

  Tensor forward(Tensor x) override {
    for (auto& layer : layers_) x = (*layer.module)(std::move(x));
    return x;
  }
  void visit(Visitor& v) override {
    for (size_t i = 0; i < layers_.size(); ++i) v(std::to_string(i), *layers_[i].module);
  }
  std::string describe() const override { return fmt::format("Sequential of {}", layers_.size()); }

 private:
  struct Entry {
    std::unique_ptr<Module> module;
    std::unique_ptr<Module> (*clone)(const Module&);
    void (*assign)(Module& to, const Module& from);  // the same function for layers of the same type
  };
  std::vector<Entry> layers_;
};

inline Sequential::Sequential(const Sequential& other) : Module(other) {
  for (const Entry& layer : other.layers_)
    layers_.push_back({layer.clone(*layer.module), layer.clone, layer.assign});
}

// In place if the layers are of the same types, so that parameters keep their identity.
inline Sequential& Sequential::operator=(const Sequential& other) {
  const auto same_type = [](const Entry& a, const Entry& b) { return a.assign == b.assign; };
  if (!std::equal(layers_.begin(), layers_.end(), other.layers_.begin(), other.layers_.end(), same_type)) {
    return *this = Sequential(other);
  }
  Module::operator=(other);
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].assign(*layers_[i].module, *other.layers_[i].module);
  return *this;
}

}  // namespace ballast::inline BALLAST_PRECISION
