#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ballast/layers/activation.h>
#include <ballast/layers/fusible.h>
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
  /// In place if the layers are of the same types, so that parameters keep their identity.
  Sequential& operator=(Sequential other);

  template <std::derived_from<Module> Layer>
  Layer& add(Layer layer) {
    auto owned = std::make_unique<Layer>(std::move(layer));
    Layer& added = *owned;
    layers_.emplace_back(
        std::move(owned),
        [](const Module& m) -> std::unique_ptr<Module> {
          return std::make_unique<Layer>(static_cast<const Layer&>(m));
        },
        [](Module& to, const Module& from) { static_cast<Layer&>(to) = static_cast<const Layer&>(from); });
    return added;
  }

  /// Removes layer i; those after it move up, and so do their names.
  void erase(size_t i) { layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(checked(i))); }

  size_t size() const { return layers_.size(); }
  /// Throws ValueError if there is no layer i.
  Module& operator[](size_t i) { return *layers_[checked(i)].module; }
  const Module& operator[](size_t i) const { return *layers_[checked(i)].module; }

  /// A layer is called together with a ReLU, a MaxPool2d of 2 x 2 or both that follow it, or with a GELU or
  /// SiLU and a MaxPool2d, in one pass over memory if the layer can. An increasing activation before a
  /// MaxPool2d, such as tanh, is computed after it, on fewer elements: max f(x) = f(max x). Of elements that
  /// f rounds to the same number, the largest then gets the gradient.
  Tensor forward(Tensor x) override;
  void visit(Visitor& v) override {
    for (size_t i = 0; i < layers_.size(); ++i) v(std::to_string(i), *layers_[i].module);
  }
  LayerInfo info() override {
    return {.type = &typeid(Sequential),
            .structure = LayerInfo::Structure::sequence,
            .erase = [this](size_t i) { erase(i); }};
  }
  std::string describe() const override { return fmt::format("Sequential of {}", layers_.size()); }

 private:
  // What is known of a layer's type is found out once.
  struct Entry {
    using Clone = std::unique_ptr<Module> (*)(const Module&);
    using Assign = void (*)(Module& to, const Module& from);
    Entry(std::unique_ptr<Module> layer, Clone how_to_clone, Assign how_to_assign)
        : module(std::move(layer)),
          clone(how_to_clone),
          assign(how_to_assign),
          fusible(dynamic_cast<Fusible*>(module.get())),
          activation(is<ReLU>(*module)   ? Then::Activation::relu
                     : is<GELU>(*module) ? Then::Activation::gelu
                     : is<SiLU>(*module) ? Then::Activation::silu
                                         : Then::Activation::none),
          pool(is<MaxPool2d>(*module) ? static_cast<const MaxPool2d*>(module.get()) : nullptr) {
      Module& m = *module;
      const LayerInfo info = m.info();
      swaps_with_pool =
          activation == Then::Activation::none && info.increasing && info.type && *info.type == typeid(m);
    }

    template <class Layer>
    static bool is(const Module& layer) {
      return typeid(layer) == typeid(Layer);
    }

    std::unique_ptr<Module> module;
    Clone clone;
    Assign assign;  // the same function for layers of the same type
    Fusible* fusible;
    // Of that very class, as is `pool`: one derived from it may mean something else.
    Then::Activation activation;
    const MaxPool2d* pool;
    bool swaps_with_pool;  // but for those that the layer before does
  };
  size_t checked(size_t i) const {
    check<ValueError>(i < layers_.size(), "Sequential: there is no layer {}; it has {}", i, layers_.size());
    return i;
  }
  const Entry* called_at(size_t place) const;
  Then follows(size_t place, const Tensor& x) const;
  std::vector<Entry> layers_;
};

// The layer that is called as number `place`, null beyond the last: max pooling before an increasing
// function.
inline const Sequential::Entry* Sequential::called_at(size_t place) const {
  const auto swaps = [this](size_t i) {
    return i + 1 < layers_.size() && layers_[i].swaps_with_pool && layers_[i + 1].pool && may_fuse();
  };
  if (swaps(place)) return &layers_[place + 1];
  if (place > 0 && swaps(place - 1)) return &layers_[place - 1];
  return place < layers_.size() ? &layers_[place] : nullptr;
}

// What follows a layer, as far as it can be done with it; x is the layer's input.
inline Then Sequential::follows(size_t place, const Tensor& x) const {
  const Fusible* fusible = called_at(place)->fusible;
  if (!fusible) return {};
  const Entry* next = called_at(place + 1);
  Then then = {.activation = next ? next->activation : Then::Activation::none};
  if (then) next = called_at(place + 2);
  const bool fits = x.rank() == 4 && x.size(2) >= 2 && x.size(3) >= 2;
  then.max_pool = next && next->pool && next->pool->halves() && fits;
  if (fusible->fuses(then)) return then;
  then.max_pool = false;
  return fusible->fuses(then) ? then : Then{};
}

inline Tensor Sequential::forward(Tensor x) {
  for (size_t place = 0; place < layers_.size(); ++place) {
    const Entry& layer = *called_at(place);
    if (const Then then = follows(place, x)) {
      x = (*layer.fusible)(std::move(x), then);
      place += size_t{then.activation != Then::Activation::none} + size_t{then.max_pool};
    } else {
      x = (*layer.module)(std::move(x));
    }
  }
  return x;
}

inline Sequential::Sequential(const Sequential& other) : Module(other) {
  for (const Entry& layer : other.layers_)
    layers_.emplace_back(layer.clone(*layer.module), layer.clone, layer.assign);
}

inline Sequential& Sequential::operator=(Sequential other) {
  Module::operator=(other);
  const auto same_type = [](const Entry& a, const Entry& b) { return a.assign == b.assign; };
  if (std::equal(layers_.begin(), layers_.end(), other.layers_.begin(), other.layers_.end(), same_type)) {
    for (size_t i = 0; i < layers_.size(); ++i)
      layers_[i].assign(*layers_[i].module, *other.layers_[i].module);
  } else {
    layers_.swap(other.layers_);
  }
  return *this;
}

}  // namespace ballast::inline BALLAST_PRECISION
