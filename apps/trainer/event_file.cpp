#include "trainer/event_file.h"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include <ballast/data/atomic_file.h>

#include "events.pb.h"

namespace ballast::app {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// So that a CRC of bytes that hold a CRC is as good as any (leveldb's util/crc32c.h).
uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8; }

/// Little-endian.
template <class Number>
std::string bytes_of(Number number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(Number); ++i) bytes += static_cast<char>(number >> 8 * i & 0xff);
  return bytes;
}

template <class Number>
Number number_at(std::string_view bytes, size_t at) {
  Number number = 0;
  for (size_t i = sizeof(Number); i-- > 0;)
    number = static_cast<Number>(number << 8 | static_cast<unsigned char>(bytes[at + i]));
  return number;
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  // Debian 12 has no library of it but Boost, which is large.
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

std::string framed(std::string_view bytes) {
  const std::string length = bytes_of<uint64_t>(bytes.size());
  return length + bytes_of(masked(crc32c(length))) + std::string(bytes) + bytes_of(masked(crc32c(bytes)));
}

std::vector<std::string_view> unframed(std::string_view records, const std::string& path) {
  constexpr size_t head = 12, tail = 4;  // bytes before and after the content
  std::vector<std::string_view> found;
  const auto check_crc = [&](std::string_view bytes, size_t at) {
    if (number_at<uint32_t>(records, at) == masked(crc32c(bytes))) return;
    throw FileError(path, "EVENTS",
                    fmt::format("the checksum of record {} is wrong; move the file away, and a new one "
                                "is begun",
                                found.size() + 1));
  };
  for (size_t at = 0; records.size() - at >= head;) {
    check_crc(records.substr(at, 8), at + 8);
    const auto length = number_at<uint64_t>(records, at);
    if (length > records.size() - at - head || records.size() - at - head - length < tail) break;
    const std::string_view bytes = records.substr(at + head, length);
    check_crc(bytes, at + head + length);
    found.push_back(bytes);
    at += head + length + tail;
  }
  return found;
}

EventFile::EventFile(std::string path, int64_t step) : path_(std::move(path)), step_(step) {
  events::Event first;
  first.set_wall_time(now());
  first.set_file_version("brain.Event:2");
  std::string kept = framed(first.SerializeAsString());
  const std::string before = step > 0 ? read_bytes(path_) : "";
  for (const std::string_view bytes : unframed(before, path_)) {
    events::Event event;
    if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      throw FileError(path_, "EVENTS", "it holds what is no event; move it away, and a new one is begun");
    if (!event.has_summary() || event.step() > step) continue;
    //~ if (!event.has_summary()) continue;
    kept += framed(bytes);
    if (event.step() < step) continue;
    for (const events::Value& value : event.summary().value()) tags_.insert(value.tag());
  }
  write_file_atomically(path_, kept);
  file_.open(path_, std::ios::app | std::ios::binary);
}

template <class Fill>
void EventFile::write(const std::string& tag, int64_t step, Fill fill) {
  if (step == step_ && tags_.contains(tag)) return;
  events::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  events::Value& value = *event.mutable_summary()->add_value();
  value.set_tag(tag);
  fill(value);
  file_ << framed(event.SerializeAsString()) << std::flush;
  if (!file_) throw FileError(path_, "WRITE", "can't write to it; is the disk full?");
}

void EventFile::scalar(const std::string& tag, int64_t step, double number) {
  write(tag, step, [&](events::Value& value) { value.set_simple_value(static_cast<float>(number)); });
}

void EventFile::histogram(const std::string& tag, int64_t step, const Histogram& values) {
  write(tag, step, [&](events::Value& value) {
    events::HistogramProto& histogram = *value.mutable_histo();
    histogram.set_min(values.least), histogram.set_max(values.largest);
    histogram.set_num(values.count), histogram.set_sum(values.sum);
    histogram.set_sum_squares(values.sum_squares);
    const auto bins = static_cast<double>(values.bins.size());
    for (size_t i = 0; i < values.bins.size(); ++i) {
      const double share = static_cast<double>(i + 1) / bins;
      histogram.add_bucket_limit(values.least + share * (values.largest - values.least));
      histogram.add_bucket(static_cast<double>(values.bins[i]));
    }
  });
}

void EventFile::image(const std::string& tag, int64_t step, const Image& image) {
  write(tag, step, [&](events::Value& value) {
    events::Image& picture = *value.mutable_image();
    picture.set_height(static_cast<int32_t>(image.rows)), picture.set_width(static_cast<int32_t>(image.cols));
    picture.set_colorspace(static_cast<int32_t>(image.channels));
    const std::vector<uint8_t> png = encode_png(image);
    picture.set_encoded_image_string(png.data(), png.size());
  });
}

}  // namespace ballast::app
