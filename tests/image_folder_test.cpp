#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include <ballast/data/image_folder.h>

#include "malformed.h"

using namespace ballast;
namespace fs = std::filesystem;

namespace {

/// Empty files, since listing decodes nothing, in a folder `images` beside which other things can lie.
struct Images {
  TempFolder outside;
  std::string root = outside / "images";

  explicit Images(const std::vector<std::string>& files) {
    fs::create_directory(root);
    for (const std::string& file : files) add(file);
  }
  void add(const std::string& file) {
    fs::create_directories(fs::path(at(file)).parent_path());
    write_bytes(at(file), "");
  }
  std::string at(const std::string& file) const { return root + "/" + file; }
  std::string refused(const char* code) const {
    return refusal(code, [&] { read_image_folder(root); });
  }
  /// "label name label name ...", names without the folder.
  std::string list(const std::vector<ImageFile>& files) const {
    std::string text;
    for (const ImageFile& file : files) {
      CHECK(file.path.starts_with(root + "/"));
      text += std::to_string(file.label) + " " + file.path.substr(root.size() + 1) + " ";
    }
    return text;
  }
};

}  // namespace

TEST_CASE("image_folder: sub-folders are classes, in order") {
  const Images images({"cat/2.png", "cat/1.JPG", "cat/10.jpeg", "Zebra/z.PNG", "ant/deep/er/a.png",
                       "ant/readme.txt", ".git/x.png", "cat/.hidden.png", "cat/.cache/y.png", "notes.txt"});
  const ImageFolder read = read_image_folder(images.root);
  CHECK(read.classes == std::vector<std::string>{"Zebra", "ant", "cat"});
  CHECK(images.list(read.train) ==
        "0 Zebra/z.PNG 1 ant/deep/er/a.png 2 cat/1.JPG 2 cat/10.jpeg 2 cat/2.png ");
  CHECK(read.validation.empty());
  CHECK(read.test.empty());
}

TEST_CASE("image_folder: parts for training, validation and test") {
  for (const std::string name : {"val", "valid", "validation"}) {
    const Images images({"train/a/1.png", "train/b/2.png", "train/c/3.png", name + "/c/4.png",
                         name + "/a/5.png", "test/b/6.png", "annotations/x/7.png"});
    const ImageFolder read = read_image_folder(images.root);
    CHECK(read.classes == std::vector<std::string>{"a", "b", "c"});
    CHECK(images.list(read.train) == "0 train/a/1.png 1 train/b/2.png 2 train/c/3.png ");
    CHECK(images.list(read.validation) == "0 " + name + "/a/5.png 2 " + name + "/c/4.png ");
    CHECK(images.list(read.test) == "1 test/b/6.png ");
  }
  CHECK(Images({"train/a/1.png", "test/b/2.png"}).refused("CLASS").find("/test/b: no class of this name") !=
        std::string::npos);
  CHECK(Images({"train/a/1.png", "val/a/2.png", "valid/a/3.png"}).refused("NAME").find("'val' and 'valid'") !=
        std::string::npos);
  // Without train, val and test are names like others.
  CHECK(read_image_folder(Images({"test/1.png", "val/1.png"}).root).classes.size() == 2);
}

TEST_CASE("image_folder: P9, what is no file of this folder") {
  const auto with = [](const std::function<void(const Images&)>& add) {
    const Images images({"a/1.png", "b/2.png"});
    write_bytes(images.outside / "secret.png", "");
    fs::create_directory(images.outside / "folder");
    write_bytes(images.outside / "folder/3.png", "");
    add(images);
    return images.refused("PATH");
  };
  CHECK(with([](const Images& x) {
          fs::create_symlink(x.outside / "secret.png", x.at("a/x.png"));
        }).find("/a/x.png: ") != std::string::npos);
  with([](const Images& x) { fs::create_symlink("../../secret.png", x.at("a/x.png")); });
  with([](const Images& x) { fs::create_symlink("nowhere.png", x.at("a/x.png")); });
  with([](const Images& x) { fs::create_symlink("x.png", x.at("a/x.png")); });
  with([](const Images& x) { fs::create_symlink("/dev/zero", x.at("a/x.png")); });
  with([](const Images& x) { fs::create_directory_symlink(x.outside / "folder", x.at("c")); });
  with([](const Images& x) { fs::create_directory_symlink(x.outside / "folder", x.at("a/deeper")); });
  with([](const Images& x) { fs::create_directory_symlink("..", x.at("a/loop")); });
  with([](const Images& x) { fs::create_hard_link(x.outside / "secret.png", x.at("a/x.png")); });
  with([](const Images& x) { REQUIRE(::mkfifo(x.at("a/x.png").c_str(), 0600) == 0); });
  with([](const Images& x) { fs::create_directory(x.at("a/x.png")); });
}

TEST_CASE("image_folder: links within the folder are files like others") {
  Images images({"train/a/1.png", "train/b/2.png"});
  fs::create_symlink("../a/1.png", images.at("train/b/3.png"));
  fs::create_directories(images.at("test/a"));
  fs::create_hard_link(images.at("train/a/1.png"), images.at("test/a/4.png"));
  const ImageFolder read = read_image_folder(images.root);
  CHECK(images.list(read.train) == "0 train/a/1.png 1 train/b/2.png 1 train/b/3.png ");
  CHECK(images.list(read.test) == "0 test/a/4.png ");
  // A link that leads nowhere is skipped like other files unless it is named like an image.
  fs::create_symlink("loop", images.at("train/loop"));
  CHECK(read_image_folder(images.root).classes.size() == 2);
  // The folder itself may be reached by a link.
  fs::create_directory_symlink(images.root, images.outside / "link");
  CHECK(read_image_folder(images.outside / "link").train.size() == 3);
}

TEST_CASE("image_folder: P10, nothing there") {
  CHECK(Images(std::vector<std::string>{}).refused("EMPTY").find("a sub-folder for each class") !=
        std::string::npos);
  Images({"1.png", "2.png"}).refused("EMPTY");
  Images({"a/readme.txt", "a/.1.png"}).refused("EMPTY");
  Images one({"a/1.png"});
  fs::create_directory(one.at("b"));
  CHECK(one.refused("EMPTY").find("/b: ") != std::string::npos);
  Images({"train/a/1.png", "val/a/1.txt"}).refused("EMPTY");
  Images no_test({"train/a/1.png"});
  fs::create_directory(no_test.at("test"));
  no_test.refused("EMPTY");
  refusal("MISSING", [&] { read_image_folder(one.root + "/nowhere"); });
  refusal("MISSING", [&] { read_image_folder(one.at("a/1.png")); });
}

TEST_CASE("image_folder: images of formats that aren't read are listed, not left out") {
  CHECK(read_image_folder(Images({"a/1.png", "a/2.webp", "a/3.GIF", "a/4.txt"}).root).train.size() == 3);
}
