#pragma once

#include <cstdint>
#include <span>

#include <ballast/data/image.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The orientation, 1 to 8, that a JPEG's APP1 segment gives (Exif 2.32, 4.6.4 A), which begins with
/// "Exif\0\0"; 1, upright, if it gives none or can't be read.
int exif_orientation(std::span<const uint8_t> segment);

/// The image as it is to be seen: turned and mirrored as the orientation says.
Image upright(Image image, int orientation);

/// Whether an image of this orientation lies on its side, so that rows and columns change places.
inline bool lies_on_side(int orientation) { return orientation >= 5; }

}  // namespace ballast::inline BALLAST_PRECISION::detail
