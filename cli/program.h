// What the programs share: from the command line to an exit code, with every mistake said in one sentence.
#pragma once

#include "commands.h"

#include <functional>
#include <map>
#include <string>

namespace polariscope::cli {

struct Program {
  std::function<std::map<std::string, Command>(CLI::App& app)> add_commands;
  std::string footer;  // of its help
};

// Exit codes: 0, 2 for a mistake of the user's, 130 for an interrupt, and what a command returns.
int run_program(int argc, char** argv, const Program& program);

}  // namespace polariscope::cli
