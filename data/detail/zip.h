#pragma once

#include <map>
#include <string_view>

#include <ballast/data/detail/byte_source.h>

struct zip;

namespace ballast::inline BALLAST_PRECISION::detail {

/// A zip archive, opened for reading. Throws FileError MISSING, TRUNC, MAGIC, and ZIP as `read_npz` says.
class ZipArchive {
 public:
  explicit ZipArchive(const std::string& path);

  /// In the order of the archive.
  const std::vector<std::string>& members() const { return members_; }
  /// The archive must outlive the source, whose end checks the CRC.
  std::unique_ptr<ByteSource> open(size_t member) const;

 private:
  struct Close {
    void operator()(zip* archive) const;
  };
  std::string path_;
  std::unique_ptr<zip, Close> archive_;
  std::vector<std::string> members_;
};

/// The bytes of an archive of stored members, all dated 1 January 1980.
std::vector<uint8_t> encode_zip(const std::map<std::string, std::vector<uint8_t>>& members);

}  // namespace ballast::inline BALLAST_PRECISION::detail
