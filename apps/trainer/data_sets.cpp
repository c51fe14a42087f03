#include "trainer/data_sets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "output.h"
#include "trainer/programs.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

/// The four files of MNIST's family.
std::vector<RemoteFile> mnist_files(const std::vector<std::string>& sha256) {
  return {{"train-images-idx3-ubyte.gz", sha256.at(0)},
          {"train-labels-idx1-ubyte.gz", sha256.at(1)},
          {"t10k-images-idx3-ubyte.gz", sha256.at(2)},
          {"t10k-labels-idx1-ubyte.gz", sha256.at(3)}};
}

/// By coreutils' sha256sum.
bool has_checksum(const std::string& path, const std::string& sha256) {
  const TemporaryFile sums(path + ".sha256");
  std::ofstream(sums.path) << sha256 << "  " << path << "\n";
  return run_program({"sha256sum", "--check", "--status", sums.path}, "coreutils", true) == 0;
}

constexpr int no_rest = 33;  // curl's code for a server that sends whole files only

/// Why curl stopped.
std::string reason(int code) {
  switch (code) {
    case 6:
      return "there is no such host, or no network";
    case 7:
      return "the server can't be reached";
    case 18:
      return "the transfer ended early";
    case 22:
      return "it doesn't have the file, or doesn't take the .part file for its beginning";
    case 23:
      return "the file can't be written; is the disk full?";
    case 28:
      return "it took too long";
    case 35:
    case 60:
      return "its certificate isn't trusted; apt-get install ca-certificates";
    default:
      return fmt::format("curl ended with code {}", code);
  }
}

/// Goes on with a file that was begun. Returns curl's exit code.
int transfer(const std::string& address, const std::string& part) {
  const bool shown = isatty(2) != 0;
  return run_program({"curl", "--fail", "--location", shown ? "--progress-bar" : "--silent", "--retry", "2",
                      "--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60", "--continue-at",
                      "-", "--output", part, "--", address},
                     "curl", false);
}

/// From the first mirror that has it.
void fetch_file(const RemoteFile& file, const std::vector<std::string>& mirrors, const std::string& folder) {
  const std::string path = folder + "/" + file.name, part = path + ".part";
  std::error_code error;
  if (fs::exists(path, error)) {
    check<ValueError>(has_checksum(path, file.sha256),
                      "{}: it is there, but its SHA-256 isn't {}; move it away to fetch it anew", path,
                      file.sha256);
    say("{} is there\n", path);
    return;
  }
  std::vector<std::string> failures;
  for (const std::string& mirror : mirrors) {
    const std::string address = mirror + (mirror.ends_with('/') ? "" : "/") + file.name;
    say("{}\n", address);
    // A whole file that was never renamed has no rest to ask for.
    const bool whole = fs::exists(part, error) && has_checksum(part, file.sha256);
    int code = whole ? 0 : transfer(address, part);
    if (code == no_rest) {
      fs::remove(part, error);
      code = transfer(address, part);
    }
    if (code == 0 && (whole || has_checksum(part, file.sha256))) {
      fs::rename(part, path);
      return;
    }
    if (code == 0) fs::remove(part, error);  // other content can't be gone on with
    failures.push_back(fmt::format(
        "{}: {}", address, code == 0 ? "what it sent has another SHA-256 than it should" : reason(code)));
  }
  throw ValueError(
      fmt::format("{}; try again later (what was begun is gone on with), or name another folder of these "
                  "files with --mirror URL",
                  fmt::join(failures, "; ")));
}

}  // namespace

const Choices<RemoteDataSet>& remote_data_sets() {
  static const Choices<RemoteDataSet> table = {
      {"mnist",
       "handwritten digits, 12 MB",
       {{"https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"},
        mnist_files({"440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                     "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                     "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                     "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"})}},
      {"fashion-mnist",
       "clothes, 31 MB",
       {{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
        mnist_files({"3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                     "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                     "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                     "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"})}},
      {"kmnist",
       "Japanese characters, 21 MB",
       {{"http://codh.rois.ac.jp/kmnist/dataset/kmnist/"},
        mnist_files({"51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                     "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                     "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                     "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"})}},
      {"cifar-10",
       "small photographs of 10 classes, 170 MB",
       {{"https://www.cs.toronto.edu/~kriz/"},
        {{"cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}}}},
      {"cifar-100",
       "small photographs of 100 classes, 169 MB",
       {{"https://www.cs.toronto.edu/~kriz/"},
        {{"cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}}}},
  };
  return table;
}

void fetch(const RemoteDataSet& set, const std::string& mirror, const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check<ValueError>(!error, "can't make the folder {}: {}; choose another one with --to", folder,
                    error.message());
  for (const RemoteFile& file : set.files) {
    fetch_file(file, mirror.empty() ? set.mirrors : std::vector{mirror}, folder);
    if (!file.name.ends_with(".tar.gz")) continue;
    const int code = run_program(
        {"tar", "-xzf", folder + "/" + file.name, "-C", folder, "--strip-components=1", "--no-same-owner"},
        "tar", false);
    check<ValueError>(code == 0, "{}/{}: tar can't unpack it", folder, file.name);
  }
}

}  // namespace ballast::app
