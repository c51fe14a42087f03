#pragma once

#include <vector>

#include "commands/command.h"

namespace ballast::app {

/// Runs the command that the arguments name and returns the exit code; prints the help or version if they ask
/// for it. Throws ValueError, one line that says what to do, for arguments that mean nothing.
int run_command_line(int argc, char** argv, const std::vector<const Command*>& commands);

}  // namespace ballast::app
