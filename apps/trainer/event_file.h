#pragma once

#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ballast/data/image.h>

namespace ballast::app {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
uint32_t crc32c(std::string_view bytes);

/// A record as TensorFlow frames it: length, its masked CRC, the bytes, their masked CRC.
std::string framed(std::string_view bytes);

/// The bytes of whole records one after another; what was cut at the end is left out. Throws FileError
/// EVENTS, which names `path`, for a checksum that is wrong.
std::vector<std::string_view> unframed(std::string_view records, const std::string& path);

/// Counts in bins of equal width from the least to the largest value.
struct Histogram {
  double least = 0, largest = 0;
  double count = 0, sum = 0, sum_squares = 0;
  std::vector<int64_t> bins;
};

/// A file of events that TensorBoard shows. What is written is at once in the file.
class EventFile {
 public:
  /// Begins the file, or goes on with that of a run that is resumed after `step`: what is of later steps is
  /// removed. Throws FileError: EVENTS for a file that is something else, WRITE.
  EventFile(std::string path, int64_t step);

  // What a tag has at a step is written once: again after resuming it is left out. Throw FileError WRITE.
  void scalar(const std::string& tag, int64_t step, double value);
  void histogram(const std::string& tag, int64_t step, const Histogram& values);
  void image(const std::string& tag, int64_t step, const Image& image);

 private:
  template <class Fill>
  void write(const std::string& tag, int64_t step, Fill fill);

  std::string path_;
  std::ofstream file_;
  int64_t step_;                // the one after which the run was resumed
  std::set<std::string> tags_;  // what the file has of that
};

}  // namespace ballast::app
