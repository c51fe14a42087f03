#include <ballast/data/augment.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include <ballast/core/detail/scratch.h>
#include <ballast/data/detail/elastic.h>
#include <ballast/data/detail/nearest.h>
#include <ballast/data/detail/number.h>
#include <ballast/data/detail/warp.h>

// Compiled without fused operations, so that every machine gets the same bits.
namespace ballast::inline BALLAST_PRECISION {
namespace {

/// Whether pixels change their places.
bool moves_pixels(const Augmentation& augmentation) {
  const auto& kinds = augmentation_kinds();
  return std::any_of(kinds.begin(), kinds.end(),
                     [&](const auto& kind) { return kind.moves_pixels && augmentation.*kind.strength > 0; });
}

/// Uniform on [-strength, strength). What isn't wanted draws no number.
double up_to(RandomStream& random, double strength) {
  return strength > 0 ? random.uniform(-strength, strength) : 0;
}

/// Offset of a crop from the middle of the padded image.
double crop_offset(RandomStream& random, double padding) {
  const auto most = static_cast<int64_t>(padding);
  return most > 0 ? static_cast<double>(random.below(2 * most + 1) - most) : 0;
  //~ return most > 0 ? static_cast<double>(random.below(2 * most) - most) : 0;
}

/// Draws where the pixels of a new image come from: the inverse of the map that `Augmentation` describes.
detail::Affine draw_map(RandomStream& random, const Augmentation& a, const Shape& shape) {
  constexpr double degree = std::numbers::pi / 180;
  const double shift_x = up_to(random, a.shift), shift_y = up_to(random, a.shift);
  const double angle = degree * up_to(random, a.rotate);
  const double zoom = 1 + up_to(random, a.scale) / 100;
  const double slant = std::tan(degree * up_to(random, a.shear));
  const double mirror = a.flip > 0 && random.uniform() < a.flip ? -1 : 1;
  //~ const double mirror = a.flip > 0 && random.uniform() < 0.5 ? -1 : 1;
  const double crop_x = crop_offset(random, a.crop), crop_y = crop_offset(random, a.crop);

  const double cosine = std::cos(angle) / zoom, sine = std::sin(angle) / zoom;
  detail::Affine from{.xx = mirror * (cosine - slant * sine),
                      .xy = mirror * (-sine - slant * cosine),
                      .yx = sine,
                      .yy = cosine};
  const double centre_x = static_cast<double>(shape[2] - 1) / 2,
               centre_y = static_cast<double>(shape[1] - 1) / 2;
  const double moved_x = centre_x + shift_x + crop_x, moved_y = centre_y + shift_y + crop_y;
  from.x0 = centre_x - from.xx * moved_x - from.xy * moved_y;
  from.y0 = centre_y - from.yx * moved_x - from.yy * moved_y;
  //~ from.y0 = centre_y - from.yx * moved_y - from.yy * moved_x;
  return from;
}

void change_values(RandomStream& random, const Augmentation& a, int64_t count, real* x) {
  if (a.contrast > 0) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n) sum += static_cast<double>(x[n]);
    const auto mean = static_cast<real>(sum / static_cast<double>(count));
    const auto factor = static_cast<real>(1 + up_to(random, a.contrast) / 100);
    for (int64_t n = 0; n < count; ++n) x[n] = mean + factor * (x[n] - mean);
    //~ for (int64_t n = 0; n < count; ++n) x[n] = factor * x[n];
  }
  if (a.brightness > 0) {
    const auto more = static_cast<real>(up_to(random, a.brightness));
    for (int64_t n = 0; n < count; ++n) x[n] += more;
  }
  if (a.noise > 0)
    for (int64_t n = 0; n < count; ++n) x[n] += static_cast<real>(random.normal(0, a.noise));
}

/// Fills a square whose centre may be any pixel, as far as it lies in the image.
void cut_out(RandomStream& random, const Augmentation& a, const Shape& shape, real* x) {
  const auto side = static_cast<int64_t>(a.cutout);
  const int64_t rows = shape[1], columns = shape[2];
  const int64_t top = random.below(rows) - side / 2, left = random.below(columns) - side / 2;
  const int64_t begin = std::max<int64_t>(left, 0), end = std::min(left + side, columns);
  for (int64_t c = 0; c < shape[0]; ++c)
    for (int64_t row = std::max<int64_t>(top, 0); row < std::min(top + side, rows); ++row)
      std::fill(x + (c * rows + row) * columns + begin, x + (c * rows + row) * columns + end,
                static_cast<real>(a.fill));
}

class Augmenter {
 public:
  Augmenter(const Augmentation& augmentation, const Shape& shape)
      : augmentation_(augmentation), moves_(moves_pixels(augmentation)) {
    if (augmentation.elastic > 0) elastic_.emplace(shape[1], shape[2], augmentation.elastic);
  }

  void operator()(RandomStream& random, const Shape& shape, real* x) const {
    if (moves_) move(random, shape, x);
    change_values(random, augmentation_, shape.count(), x);
    if (augmentation_.cutout > 0) cut_out(random, augmentation_, shape, x);
  }

 private:
  void move(RandomStream& random, const Shape& shape, real* x) const {
    const detail::Affine from = draw_map(random, augmentation_, shape);
    const auto fill = static_cast<real>(augmentation_.fill);
    if (!elastic_) return detail::warp(shape, from, nullptr, fill, x);
    const detail::Scratch<real> displacement(elastic_->size());
    elastic_->draw(random, displacement.data());
    detail::warp(shape, from, displacement.data(), fill, x);
  }

  Augmentation augmentation_;
  bool moves_;
  std::optional<detail::ElasticField> elastic_;
};

void check_strength(const AugmentationKind& kind, double strength) {
  check<ValueError>(
      strength >= 0 && strength <= kind.most && (!kind.whole || strength == std::trunc(strength)),
      //~ strength <= kind.most,
      "augmentation: {} {} is out of range; its strength must be a {} from 0 to {}{}", kind.name, strength,
      kind.whole ? "whole number" : "number", kind.most, kind.unit.empty() ? "" : " " + kind.unit);
}

template <class Named>
const Named* find(const std::vector<Named>& all, const std::string& name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

[[noreturn]] void throw_unknown(const std::string& name) {
  std::vector<std::string> known;
  for (const AugmentationPreset& preset : augmentation_presets()) known.push_back(preset.name);
  for (const AugmentationKind& kind : augmentation_kinds()) known.push_back(kind.name);
  throw ValueError(
      fmt::format("unknown augmentation \"{}\"{}; a list is written as in \"rotate 10, shift 2\"", name,
                  detail::suggestion_or_all(name, known)));
}

std::string without_blanks_around(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> items;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(',', begin);
    items.push_back(without_blanks_around(text.substr(begin, end - begin)));
  }
  return items;
}

/// The strength that an item such as "rotate 10" gives.
double strength_of(const AugmentationKind& kind, const std::string& item) {
  const std::string number = without_blanks_around(item.substr(kind.name.size()));
  double strength = kind.usual;
  check<ValueError>(number.empty() || detail::to_number(number, strength),
                    "augmentation: \"{}\" in \"{}\" is not a number", number, item);
  check_strength(kind, strength);
  return strength;
}

}  // namespace

const std::vector<AugmentationKind>& augmentation_kinds() {
  using A = Augmentation;
  static const std::vector<AugmentationKind> kinds = {
      {&A::shift, "shift", "up to so many pixels along each axis", 2, 1000, "pixels", false, true},
      {&A::rotate, "rotate", "up to so many degrees", 10, 180, "degrees", false, true},
      {&A::scale, "scale", "larger or smaller by up to so many percent", 10, 90, "percent", false, true},
      {&A::shear, "shear", "vertical lines slant by up to so many degrees", 10, 60, "degrees", false, true},
      {&A::elastic, "elastic", "smooth random displacements of this standard deviation in pixels", 1, 20,
       "pixels", false, true},
      {&A::flip, "flip", "mirrored left and right with this probability", 0.5, 1, "", false, true},
      {&A::crop, "crop", "padded by so many pixels and cropped at random to the size", 4, 1000, "pixels",
       true, true},
      {&A::contrast, "contrast", "up to so many percent more or less", 20, 100, "percent", false, false},
      {&A::brightness, "brightness", "up to so much is added to the pixels, which are 0 to 1", 0.1, 1, "",
       false, false},
      {&A::noise, "noise", "normal, with this standard deviation, added to the pixels, which are 0 to 1",
       0.05, 1, "", false, false},
      {&A::cutout, "cutout", "a square with sides of so many pixels becomes background", 8, 1000, "pixels",
       true, false},
  };
  return kinds;
}

const std::vector<AugmentationPreset>& augmentation_presets() {
  static const std::vector<AugmentationPreset> presets = {
      {"none", {}},
      {"light", {.shift = 2, .rotate = 10, .scale = 10}},
      {"strong", {.shift = 3, .rotate = 15, .scale = 15, .shear = 10, .elastic = 1}},
  };
  return presets;
}

std::string Augmentation::str() const {
  std::string text;
  for (const AugmentationKind& kind : augmentation_kinds())
    if (this->*kind.strength != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind.name, this->*kind.strength);
  return text.empty() ? "none" : text;
}

Augmentation parse_augmentation(const std::string& text) {
  Augmentation augmentation;
  if (without_blanks_around(text).empty()) return augmentation;
  std::vector<std::string> given;
  for (const std::string& item : split_at_commas(text)) {
    const std::string name = item.substr(0, item.find_first_of(" \t"));
    check<ValueError>(std::find(given.begin(), given.end(), name) == given.end(),
                      "augmentation: {} is given twice", name);
    if (const AugmentationPreset* preset = find(augmentation_presets(), name)) {
      check<ValueError>(item == name, "augmentation: {} has no strength of its own, as in \"{}\"", name,
                        item);
      check<ValueError>(given.empty(), "augmentation: {} must come first, before what is changed in it",
                        name);
      augmentation = preset->augmentation;
    } else if (const AugmentationKind* kind = find(augmentation_kinds(), name)) {
      augmentation.*(kind->strength) = strength_of(*kind, item);
    } else {
      throw_unknown(name);
    }
    given.push_back(name);
  }
  return augmentation;
}

std::string augmentation_help() {
  std::string text;
  for (const AugmentationPreset& preset : augmentation_presets()) {
    const std::string changes_of = preset.augmentation.str();
    text +=
        changes_of == preset.name ? preset.name + ", " : fmt::format("{} ({}), ", preset.name, changes_of);
  }
  text += "or a list, each with its strength or as usual:";
  for (const AugmentationKind& kind : augmentation_kinds())
    text += fmt::format("{} {} {} ({})", text.back() == ':' ? "" : ",", kind.name, kind.usual, kind.help);
  return text;
}

Dataset augmented(Dataset dataset, const Augmentation& augmentation) {
  for (const AugmentationKind& kind : augmentation_kinds())
    check_strength(kind, augmentation.*(kind.strength));
  if (augmentation.str() == "none") return dataset;
  const Shape shape = dataset.sample_shape;
  constexpr int64_t largest = 65536;
  check<ShapeError>(shape.rank() == 3 && shape.count() > 0 && shape[1] <= largest && shape[2] <= largest,
                    "augmented: samples are {}; they must be images (C, H, W) with sides of 1 to {}", shape,
                    largest);
  check<UsageError>(dataset.kind != TargetKind::positions || !moves_pixels(augmentation),
                    "augmented: \"{}\" would move the pixels away from their labels, which stay; the changes "
                    "for labels of positions are contrast, brightness, noise and cutout",
                    augmentation.str());
  return augmented(std::move(dataset), Augmenter(augmentation, shape));
}

}  // namespace ballast::inline BALLAST_PRECISION
