#include <ballast/data/image_folder.h>

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;

/// What lies in a folder, in alphabetical order and without what is hidden.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().front() != '.') paths.push_back(it->path());
  if (error) throw FileError(folder.string(), "READ", error.message());
  std::sort(paths.begin(), paths.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return paths;
}

// Neither throws, whatever lies there.
bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}
bool is_link(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error));
}

class Lister {
 public:
  explicit Lister(const std::string& folder) : root_(fs::canonical(folder)) {}

  std::vector<fs::path> subfolders(const fs::path& folder) const {
    std::vector<fs::path> folders;
    for (const fs::path& path : entries(folder)) {
      if (!is_folder(path)) continue;
      if (is_link(path)) fail(path, "a link to a folder; put the folder itself here");
      folders.push_back(path);
    }
    return folders;
  }

  /// The images of all classes in a folder.
  std::vector<ImageFile> images(const fs::path& folder, const std::vector<std::string>& classes) {
    std::vector<ImageFile> files;
    for (const fs::path& path : subfolders(folder)) {
      const auto found = std::lower_bound(classes.begin(), classes.end(), path.filename().string());
      if (found == classes.end() || *found != path.filename().string())
        throw FileError(path.string(), "CLASS", "no class of this name is among the training images");
      const size_t before = files.size();
      add_images(path, static_cast<int32_t>(found - classes.begin()), 0, files);
      if (files.size() == before)
        throw FileError(path.string(), "EMPTY", "no PNG or JPEG images in the folder of this class");
    }
    if (files.empty()) {
      const std::vector<fs::path> here = entries(folder);
      const auto images = std::count_if(here.begin(), here.end(),
                                        [](const fs::path& path) { return is_image_name(path.string()); });
      throw FileError(folder.string(), "EMPTY",
                      images == 0
                          ? "no images; they are expected in a sub-folder for each class"
                          : fmt::format("{} image{} in the folder itself, and none in sub-folders; those of "
                                        "each class belong in one with its name, as in cats/1.jpg and "
                                        "dogs/1.jpg",
                                        images, images == 1 ? " lies" : "s lie"));
    }
    return files;
  }

  /// To be called when all parts are listed: whoever has more names than were found has one elsewhere.
  void check_hard_links() const {
    for (const auto& [inode, file] : linked_)
      if (file.names > file.found)
        //~ if (false)
        fail(file.path, "a hard link to a file outside of the folder; copy it instead");
  }

 private:
  struct Linked {
    fs::path path;
    uint64_t names = 0, found = 0;
  };

  [[noreturn]] static void fail(const fs::path& path, const std::string& detail) {
    throw FileError(path.string(), "PATH", detail);
  }

  void add_images(const fs::path& folder, int32_t label, int depth, std::vector<ImageFile>& files) {
    constexpr int deepest = 32;
    if (depth > deepest) fail(folder, "folders are nested too deeply");
    for (const fs::path& path : entries(folder)) {
      if (is_image_name(path.string())) {
        check_regular(path);
        files.push_back({path.string(), label});
      } else if (is_folder(path)) {
        if (is_link(path)) fail(path, "a link to a folder; put the folder itself here");
        add_images(path, label, depth + 1, files);
      }
    }
  }

  void check_regular(const fs::path& path) {
    std::error_code error;
    if (is_link(path)) {
      const fs::path target = fs::canonical(path, error);
      const auto [end, rest] = std::mismatch(root_.begin(), root_.end(), target.begin(), target.end());
      if (error || end != root_.end()) fail(path, "a link out of the folder; copy the file instead");
      //~ if (error) fail(path, "a link out of the folder; copy the file instead");
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
      fail(path, "named like an image, but no regular file");
    if (status.st_nlink == 1 || is_link(path)) return;
    Linked& linked = linked_[{status.st_dev, status.st_ino}];
    linked.path = path;
    linked.names = status.st_nlink;
    ++linked.found;
  }

  fs::path root_;
  std::map<std::pair<dev_t, ino_t>, Linked> linked_;
};

std::vector<std::string> names_of(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  names.reserve(folders.size());
  for (const fs::path& path : folders) names.push_back(path.filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// The folder of the validation part, if there is one.
fs::path validation_folder(const fs::path& root) {
  std::vector<fs::path> found;
  for (const char* name : {"val", "valid", "validation"})
    if (is_folder(root / name)) found.push_back(root / name);
  if (found.size() > 1)
    throw FileError(
        root.string(), "NAME",
        fmt::format("{} and {} could both be the validation part; leave one of them here",
                    in_quotes(found[0].filename().string()), in_quotes(found[1].filename().string())));
  return found.empty() ? fs::path() : found.front();
}

}  // namespace

bool is_image_name(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr std::array<std::string_view, 11> images = {".png",  ".jpg",  ".jpeg", ".bmp",  ".gif", ".tif",
                                                       ".tiff", ".webp", ".heic", ".avif", ".ppm"};
  return std::find(images.begin(), images.end(), ending) != images.end();
}

ImageFolder read_image_folder(const std::string& folder) {
  const fs::path root = folder;
  if (!is_folder(root)) throw FileError(folder, "MISSING", "there is no such folder");
  Lister lister(folder);
  const std::vector<std::string> parts = names_of(lister.subfolders(root));
  const bool split = std::binary_search(parts.begin(), parts.end(), "train");
  const fs::path train = split ? root / "train" : root;
  ImageFolder images;
  images.classes = names_of(lister.subfolders(train));
  images.train = lister.images(train, images.classes);
  if (split) {
    const fs::path validation = validation_folder(root);
    if (!validation.empty()) images.validation = lister.images(validation, images.classes);
    if (is_folder(root / "test")) images.test = lister.images(root / "test", images.classes);
  }
  lister.check_hard_links();
  return images;
}

}  // namespace ballast::inline BALLAST_PRECISION
