#include <ballast/data/detail/zip.h>

#include <fmt/format.h>
#include <zip.h>

#include <new>

#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

class MemberSource : public ByteSource {
 public:
  MemberSource(const std::string& path, const std::string& name, zip_file_t* file, int64_t size)
      : ByteSource(path, "member " + in_quotes(name)), file_(file), size_(size) {}
  MemberSource(const MemberSource&) = delete;
  MemberSource& operator=(const MemberSource&) = delete;
  ~MemberSource() override { zip_fclose(file_); }
  int64_t capacity() const override { return size_; }

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    size_t filled = 0;
    while (filled < size) {
      const zip_int64_t got = zip_fread(file_, out + filled, size - filled);
      if (got < 0) fail("ZIP", fmt::format("damaged data ({}) after those", zip_file_strerror(file_)));
      if (got == 0) {
        if (position() + static_cast<int64_t>(filled) < size_)
          fail("ZIP", "less data than declared after those");
        break;
      }
      filled += static_cast<size_t>(got);
    }
    return filled;
  }
  const char* code_of_surplus() const override { return "ZIP"; }

 private:
  zip_file_t* file_;
  int64_t size_;
};

[[noreturn]] void fail_to_open(const std::string& path, int error) {
  if (error == ZIP_ER_MEMORY) throw std::bad_alloc();
  zip_error_t details;
  zip_error_init_with_code(&details, error);
  const std::string message = zip_error_strerror(&details);
  zip_error_fini(&details);
  throw FileError(path, "ZIP", fmt::format("the archive's directory is damaged ({})", message));
}

/// A file that doesn't begin like an archive, or ends before the directory at its end.
void check_is_archive(const std::string& path, int64_t size) {
  constexpr size_t smallest = 22;
  if (size < static_cast<int64_t>(smallest))
    throw FileError(path, "TRUNC", fmt::format("no zip archive is this short; ends at byte {}", size));
  const std::string beginning = first_bytes(path, 4);
  if (!beginning.starts_with("PK\3\4") && !beginning.starts_with("PK\5\6"))
    throw FileError(path, "MAGIC", "this is no zip archive");
}

zip_stat_t stat_of(zip_t* archive, size_t member) {
  zip_stat_t stat;
  zip_stat_init(&stat);
  zip_stat_index(archive, member, 0, &stat);
  return stat;
}

/// Data and headers of all members must find room beside each other.
void check_overlaps(zip_t* archive, size_t members, const std::string& path, int64_t file_size) {
  constexpr uint64_t local_header = 30, directory_entry = 46;
  uint64_t needed = 22;
  for (size_t i = 0; i < members && needed <= static_cast<uint64_t>(file_size); ++i) {
    const zip_stat_t stat = stat_of(archive, i);
    const uint64_t headers = local_header + directory_entry + 2 * std::string_view(stat.name).size();
    if (__builtin_add_overflow(needed, headers, &needed) ||
        __builtin_add_overflow(needed, stat.comp_size, &needed))
      needed = ~uint64_t{0};
  }
  if (needed > static_cast<uint64_t>(file_size))
    //~ if (false)
    throw FileError(path, "ZIP", "members overlap: together they are larger than the file");
}

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(const std::string& path) : path_(path) {
  const int64_t size = regular_file_size(path);
  check_is_archive(path, size);
  int error = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (!archive_ && error == ZIP_ER_NOZIP)
    throw FileError(
        path, "TRUNC",
        fmt::format("no directory of an archive can be found at the end, which is byte {}", size));
  if (!archive_) fail_to_open(path, error);
  const auto count = static_cast<size_t>(zip_get_num_entries(archive_.get(), 0));
  check_overlaps(archive_.get(), count, path, size);
  for (size_t i = 0; i < count; ++i) members_.emplace_back(stat_of(archive_.get(), i).name);
}

std::unique_ptr<ByteSource> ZipArchive::open(size_t member) const {
  constexpr uint64_t best_ratio = 1032;  // of deflate
  const std::string& name = members_.at(member);
  const zip_stat_t stat = stat_of(archive_.get(), member);
  const auto fail = [&](const std::string& what) {
    throw FileError(path_, "ZIP", fmt::format("member {} {}", in_quotes(name), what));
  };
  if (stat.encryption_method != ZIP_EM_NONE) fail("is encrypted");
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
    fail(fmt::format("is packed by method {}; it may be stored (0) or deflated (8)", stat.comp_method));
  const bool stored = stat.comp_method == ZIP_CM_STORE;
  if (stored ? stat.size != stat.comp_size : stat.size / best_ratio > stat.comp_size)
    fail(fmt::format("can't hold {} bytes in {}", stat.size, stat.comp_size));
  zip_file_t* file = zip_fopen_index(archive_.get(), member, 0);
  if (!file) fail(fmt::format("can't be opened ({})", zip_strerror(archive_.get())));
  return std::make_unique<MemberSource>(path_, name, file, static_cast<int64_t>(stat.size));
}

std::vector<uint8_t> encode_zip(const std::map<std::string, std::vector<uint8_t>>& members) {
  constexpr zip_uint16_t first_of_january_1980 = 1 << 5 | 1;
  const auto check = [](bool done) {
    if (!done) throw std::bad_alloc();  // nothing else can go wrong in memory
  };
  zip_source_t* buffer = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  check(buffer);
  const std::unique_ptr<zip_source_t, void (*)(zip_source_t*)> keeper(buffer, zip_source_free);
  zip_source_keep(buffer);
  zip_t* archive = zip_open_from_source(buffer, ZIP_TRUNCATE, nullptr);
  check(archive);
  for (const auto& [name, bytes] : members) {
    zip_source_t* member = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    check(member);
    const zip_int64_t added = zip_file_add(archive, name.c_str(), member, ZIP_FL_ENC_UTF_8);
    check(added >= 0);
    const auto index = static_cast<zip_uint64_t>(added);
    check(zip_set_file_compression(archive, index, ZIP_CM_STORE, 0) == 0);
    check(zip_file_set_dostime(archive, index, 0, first_of_january_1980, 0) == 0);
  }
  check(zip_close(archive) == 0);

  zip_stat_t stat;
  check(zip_source_stat(buffer, &stat) == 0);
  std::vector<uint8_t> out(stat.size);
  check(zip_source_open(buffer) == 0);
  check(zip_source_read(buffer, out.data(), out.size()) == static_cast<zip_int64_t>(out.size()));
  zip_source_close(buffer);
  return out;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
