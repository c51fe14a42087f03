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

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& known) {
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
