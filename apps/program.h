#pragma once

namespace ballast::app {

/// The program `ballast`: runs the command that the arguments name, prints an error as one line, and returns
/// the exit code. A program of your own that registers words for --model before has them in every command.
int run_program(int argc, char** argv);

}  // namespace ballast::app
