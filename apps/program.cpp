#include "program.h"

#include <cerrno>
#include <csignal>
#include <exception>
#include <new>
#include <system_error>

#include <ballast/core/check.h>

#include "commands/command.h"
#include "options/command_line.h"
#include "output.h"
#include "trainer/failure.h"
#include "trainer/stop_signal.h"

namespace ballast::app {
namespace {

constexpr int failed = 1, bad_use = 2;

int run(int argc, char** argv) {
  try {
    const int code = run_command_line(argc, argv, commands());
    if (flush_output() || code != 0) return code;
    if (output_error() == EPIPE) return 128 + SIGPIPE;  // as if the signal had ended it: nobody reads on
    complain("error: can't write to standard output: {}\n", std::generic_category().message(output_error()));
    return failed;
  } catch (const TrainingFailed& error) {
    complain("error: {}\n", error.what());
    return failed;
  } catch (const FileError& error) {
    complain("error: {}\n", error.what());
    return error.code == "WRITE" ? failed : bad_use;
  } catch (const Error& error) {
    complain("error: {}\n", error.what());
    return bad_use;
  } catch (const std::bad_alloc&) {
    complain("error: out of memory; a smaller --batch-size or model needs less\n");
  } catch (const std::exception& error) {
    complain("error: {}\n", error.what());
  }
  return failed;
}

}  // namespace

int run_program(int argc, char** argv) {
  open_standard_streams();
  ignore_file_size_signal();
  return run(argc, argv);
}

}  // namespace ballast::app
