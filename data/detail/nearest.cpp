#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include <ballast/data/detail/nearest.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (Damerau 1964).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
  std::iota(rows[0].begin(), rows[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    rows[i][0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      rows[i][j] =
          std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      //~ rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 2);
    }
  }
  return rows[a.size()][b.size()];
}

/// Without what is a matter of style: case, "_", "-", blanks.
std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name)
    if (c != '_' && c != '-' && c != ' ') text += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

/// BatchNorm2d -> batchnorm
std::string without_dimension(std::string name) {
  const size_t size = name.size();
  if (size > 2 && name[size - 1] == 'd' && name[size - 2] >= '1' && name[size - 2] <= '3')
    name.resize(size - 2);
  return name;
}

/// What PyTorch, Keras and the programs around them call something, plain as above, and what it is called
/// here: of these the one that is known.
struct Synonym {
  std::string_view theirs;
  std::vector<std::string_view> here;
};

const std::vector<Synonym>& synonyms() {
  static const std::vector<Synonym> table = {
      // layers
      {"dense", {"linear"}},
      {"fc", {"linear"}},
      {"fullyconnected", {"linear"}},
      {"convolution", {"conv"}},
      {"deconv", {"convtranspose"}},
      {"maxpooling", {"maxpool"}},
      {"averagepool", {"avgpool"}},
      {"averagepooling", {"avgpool"}},
      {"gap", {"globalavgpool"}},
      {"globalpool", {"globalavgpool"}},
      {"globalaveragepool", {"globalavgpool"}},
      {"globalaveragepooling", {"globalavgpool"}},
      {"spatialdropout", {"channeldropout"}},
      {"dropout2d", {"channeldropout"}},
      {"residual", {"res"}},
      {"skip", {"res"}},
      {"embedding", {"embed"}},
      {"multiheadattention", {"attention"}},
      // norms and activations
      {"bn", {"batchnorm", "batch"}},
      {"batchnorm", {"batch"}},
      {"batchnormalization", {"batchnorm", "batch"}},
      {"ln", {"layernorm", "layer"}},
      {"layernorm", {"layer"}},
      {"layernormalization", {"layernorm", "layer"}},
      {"gn", {"groupnorm", "group"}},
      {"groupnorm", {"group"}},
      {"groupnormalization", {"groupnorm", "group"}},
      {"in", {"instancenorm", "instance"}},
      {"instancenorm", {"instance"}},
      {"off", {"none"}},
      {"false", {"none"}},
      {"identity", {"none"}},
      {"swish", {"silu"}},
      // arguments
      {"padding", {"pad"}},
      {"outputpadding", {"outputpad"}},
      {"strides", {"stride"}},
      {"usebias", {"bias"}},
      // models, optimizers, schedules
      {"mobilenet", {"mobile"}},
      {"vgg16", {"vgg"}},
      {"lenet5", {"lenet"}},
      {"resnet", {"resnet20"}},
      {"resnet18", {"resnet20"}},
      {"vit", {"transformer"}},
      {"steplr", {"step"}},
      {"cosinelr", {"cosine"}},
      {"cosineannealing", {"cosine"}},
      {"cosineannealinglr", {"cosine"}},
      {"onecyclelr", {"onecycle"}},
      // options
      {"learningrate", {"lr"}},
      {"activation", {"act"}},
      {"normalization", {"norm"}},
      {"dataset", {"data"}},
      {"output", {"out"}},
      {"scheduler", {"schedule"}},
      {"lrscheduler", {"schedule"}},
      {"batch", {"batchsize"}},
      {"architecture", {"model"}},
      {"arch", {"model"}},
      {"earlystopping", {"patience"}},
      {"warmupsteps", {"warmup"}},
      {"numworkers", {"workers"}},
      {"emadecay", {"ema"}},
      {"gradaccum", {"accumulate"}},
      {"accumulategradbatches", {"accumulate"}},
      {"clipgrad", {"clip"}},
      {"maxgradnorm", {"clip"}},
      {"pretrained", {"initfrom"}},
      {"numthreads", {"threads"}},
      {"valsplit", {"validation"}},
      {"target", {"label"}},
      {"imgsz", {"shape"}},
      {"imagesize", {"shape"}},
  };
  return table;
}

/// The known name that is the same as `plain_name` but for style, or "".
std::string same(std::string_view plain_name, const std::vector<std::string>& known) {
  const auto found =
      std::ranges::find_if(known, [&](const std::string& name) { return plain(name) == plain_name; });
  return found == known.end() ? "" : *found;
}

/// The known name that is `plain_name` elsewhere, or "".
std::string translated(std::string_view plain_name, const std::vector<std::string>& known) {
  for (const auto& [theirs, here] : synonyms())
    if (theirs == plain_name)
      for (const std::string_view name : here)
        if (const std::string found = same(name, known); !found.empty()) return found;
  return "";
}

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& known) {
  for (const std::string& name : {plain(typed), without_dimension(plain(typed))})
    for (const auto meant : {translated, same})
      if (std::string found = meant(name, known); !found.empty()) return found;
  std::string given(typed), best;
  for (char& c : given) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  //~
  size_t least = given.size() <= 3 ? 2 : 3;  // one more than the mistakes that are forgiven
  for (const std::string& name : known) {
    const size_t distance = edit_distance(given, name);
    if (distance >= least || distance >= name.size()) continue;
    //~ if (distance >= name.size()) continue;
    least = distance;
    best = name;
  }
  return best;
}

std::string suggestion(std::string_view given, const std::vector<std::string>& known) {
  const std::string near = nearest(given, known);
  return near.empty() ? "" : fmt::format("; did you mean {}?", near);
}

std::string suggestion_or_all(std::string_view given, const std::vector<std::string>& known) {
  const std::string near = suggestion(given, known);
  return near.empty() ? fmt::format("; known are {}", fmt::join(known, ", ")) : near;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
