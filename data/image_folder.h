#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

struct ImageFile {
  std::string path;
  int32_t label;  // index of its class
};

/// Whether a file is named like an image: .png, .jpg or .jpeg, which are read, or .gif, .webp and others, of
/// which the reader says that they aren't. In upper case, too.
bool is_image_name(const std::string& path);

/// PNG and JPEG files sorted into sub-folders, one for each class.
struct ImageFolder {
  std::vector<std::string> classes;  // in alphabetical order of bytes, as Python sorts them
  std::vector<ImageFile> train, validation, test;
};

/// Lists the images of a folder without decoding them. If there is a sub-folder `train`, it holds the
/// classes, and so may `val`, `valid` or `validation`, and `test`, whose classes must be among those; other
/// folders beside these are ignored. Otherwise the sub-folders are the classes and all files are `train`.
/// Images may lie deeper in a class's folder. Files and folders whose names begin with a point are skipped,
/// and so are files that are no images by their names; images of formats that aren't read are listed.
///
/// Throws FileError; its codes: MISSING (no such folder), EMPTY (no classes, or one without images), PATH (a
/// symbolic or hard link that leads out of the folder, a link to a folder, anything named like an image that
/// is no regular file), CLASS (a class that `train` doesn't
/// have), NAME (several folders for the validation part).
ImageFolder read_image_folder(const std::string& folder);

}  // namespace ballast::inline BALLAST_PRECISION
