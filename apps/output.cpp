#include "output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ballast::app {
namespace {

int first_error = 0;  // of standard output

}  // namespace

void write_text(std::FILE* file, const std::string& text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size() && file == stdout && first_error == 0)
    first_error = errno != 0 ? errno : EIO;
}

bool flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 && first_error == 0) first_error = errno != 0 ? errno : EIO;
  return first_error == 0;
}

int output_error() { return first_error; }

void open_standard_streams() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = ::open("/dev/null", O_RDWR);
  if (descriptor > STDERR_FILENO) ::close(descriptor);
}

}  // namespace ballast::app
