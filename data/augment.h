#pragma once

#include <string>
#include <vector>

#include <ballast/data/dataset.h>

namespace ballast::inline BALLAST_PRECISION {

/// Random changes of images that leave their class as it is, and how strong each is; 0 is not at all. "Up to
/// s" means uniform on [-s, s). `augmentation_kinds` has the ranges.
///
/// The changes that move pixels, shift to crop, become one map of positions and one bilinear interpolation:
/// p' = c + R H S F (p - c) + shift, with the centre c of the image, rotation R, shear H, scale S and flip F;
/// then the crop. The elastic displacements are added to where pixels of the new image come from. After that
/// come contrast, brightness, noise and cutout, in this order. Values aren't clamped.
///
/// Augment before standardizing: then pixels are 0 to 1, and 0 is the background.
struct Augmentation {
  double shift = 0;       // up to so many pixels along each axis
  double rotate = 0;      // up to so many degrees
  double scale = 0;       // larger or smaller by up to so many percent
  double shear = 0;       // vertical lines slant by up to so many degrees
  double elastic = 0;     // smooth displacements with this standard deviation in pixels (Simard et al. 2003)
  double flip = 0;        // the probability of mirroring left and right
  double crop = 0;        // pads by so many pixels, a whole number, and crops at random to the size
  double contrast = 0;    // distances from the image's mean change by up to so many percent
  double brightness = 0;  // up to this is added to all values
  double noise = 0;       // the standard deviation of normal noise, independent for each value
  double cutout = 0;      // the side in pixels, a whole number, of a square that becomes background, centred
                          // at a random pixel and cut off at the edges (DeVries and Taylor 2017)

  /// The value of what comes from beyond the image's edges, and of the cutout.
  double fill = 0;

  /// As `parse_augmentation` takes it: "shift 2, rotate 10", or "none". The fill isn't part of it.
  std::string str() const;
};

/// One of the changes: what `parse_augmentation` and help texts know of it.
struct AugmentationKind {
  double Augmentation::*strength;
  std::string name, help;
  double usual;       // the strength where none is given
  double most;        // strengths are 0 to this
  std::string unit;   // of the strength; may be empty
  bool whole;         // the strength is a whole number
  bool moves_pixels;  // so that a label for each pixel would no longer be right
};
const std::vector<AugmentationKind>& augmentation_kinds();

/// An augmentation with a name.
struct AugmentationPreset {
  std::string name;
  Augmentation augmentation;
};
const std::vector<AugmentationPreset>& augmentation_presets();

/// A list of changes, such as "rotate 10, shift 2, flip", each with its strength or, without a number, the
/// usual one. A preset may come first: "light, elastic 1" is the preset "light" with another change. "" and
/// "none" are no change. Throws ValueError, which says what is known.
Augmentation parse_augmentation(const std::string& text);

/// What `parse_augmentation` takes, in one line, for help texts.
std::string augmentation_help();

/// Changes the images each time they are read, by numbers from the reading's random stream: a pure function
/// of (seed, epoch, index), for any number of threads, and on every machine but for the last bits of
/// std::sin, std::cos, std::tan and std::exp. With strengths of 0 it is the data set as given.
///
/// Throws ShapeError unless samples are (C, H, W) with sides of 1 to 65536, ValueError for a strength out of
/// its range, and UsageError where pixels would move and their targets (of kind `positions`) wouldn't.
Dataset augmented(Dataset dataset, const Augmentation& augmentation);

}  // namespace ballast::inline BALLAST_PRECISION
