#pragma once

#include <string>
#include <vector>

#include <ballast/layers/analysis/lipschitz.h>

namespace ballast::app {

/// What a certificate's file says besides the bounds: names of the checkpoint and of the data, without the
/// ways to them, since it may be passed on.
struct CertifiedImages {
  std::string checkpoint, data;
  std::vector<double> radii;  // of the test images, in order; 0 where the prediction is wrong
};

/// Writes the bounds, the hashes of what they were computed from and the radii, as JSON.
void write_certificate(const std::string& path, const Certificate& certificate,
                       const CertifiedImages& images);

/// The bounds and hashes back, without the directions. Throws FileError OPEN, or CERTIFICATE for anything
/// else.
Certificate read_certificate(const std::string& path);

}  // namespace ballast::app
