#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/pooling.h>

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
         [](Module& to, const Module& from) { static_cast<Layer&>(to) = static_cast<const Layer&>(from); },
         fusible<Layer>()});
    return added;
  }

  /// Removes layer i; those behind it move up, and so do their names.
  void erase(size_t i) { layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(i)); }

  size_t size() const { return layers_.size(); }
  Module& operator[](size_t i) { return *layers_.at(i).module; }

  /// A layer is called together with a ReLU and a MaxPool2d of 2 x 2 behind it: one pass over memory where
  /// the layer can.
  Tensor forward(Tensor x) override;
  void visit(Visitor& v) override {
    for (size_t i = 0; i < layers_.size(); ++i) v(std::to_string(i), *layers_[i].module);
  }
  std::string describe() const override { return fmt::format("Sequential of {}", layers_.size()); }

 private:
  struct Entry {
    std::unique_ptr<Module> module;
    std::unique_ptr<Module> (*clone)(const Module&);
    void (*assign)(Module& to, const Module& from);  // the same function for layers of the same type
    bool fusible;
  };
  // Whether a layer's forward and forward_then come from one class: one that overrides forward alone means
  // something else by it.
  template <class Layer>
  static constexpr bool fusible() {
    if constexpr (requires { declaring(&Layer::forward), declaring(&Layer::forward_then); }) {
      return std::is_same_v<decltype(declaring(&Layer::forward)), decltype(declaring(&Layer::forward_then))>;
    }
    return false;
  }
  template <class Layer, class... Arguments>
  static std::type_identity<Layer> declaring(Tensor (Layer::*)(Arguments...));
  // Not of a class derived from it
  template <class Layer>
  static bool is(const Module* module) {
    return module && typeid(*module) == typeid(Layer);
  }
  Then follows(size_t layer, const Tensor& x) const;
  std::vector<Entry> layers_;
};

// What follows a layer, as far as it can be done with it; x is the layer's input.
inline Then Sequential::follows(size_t layer, const Tensor& x) const {
  const auto at = [&](size_t i) { return i < layers_.size() ? layers_[i].module.get() : nullptr; };
  const auto fuses = [&](const Then& then) { return layers_[layer].module->fuses(then); };
  if (!layers_[layer].fusible || !fuses(then::relu) || !is<ReLU>(at(layer + 1))) return {};
  const Module* pool = at(layer + 2);
  const bool pools = is<MaxPool2d>(pool) && static_cast<const MaxPool2d*>(pool)->halves();
  const bool fits = x.rank() == 4 && x.size(2) >= 2 && x.size(3) >= 2;
  return pools && fits && fuses(then::relu_max_pool) ? then::relu_max_pool : then::relu;
}

inline Tensor Sequential::forward(Tensor x) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Then then = follows(i, x);
    if (!then) {
      x = (*layers_[i].module)(std::move(x));
      continue;
    }
    const size_t last = i + (then.max_pool ? 2 : 1);
    if (observed()) {  // each layer by itself, as it would be called
      const FrozenStatisticsScope again;
      Tensor y = x;
      for (size_t part = i; part <= last; ++part) y = (*layers_[part].module)(std::move(y));
    }
    x = layers_[i].module->call(std::move(x), then);
    i = last;
  }
  return x;
}

inline Sequential::Sequential(const Sequential& other) : Module(other) {
  for (const Entry& layer : other.layers_)
    layers_.push_back({layer.clone(*layer.module), layer.clone, layer.assign, layer.fusible});
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
