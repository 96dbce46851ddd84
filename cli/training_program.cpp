#include "training_program.h"

#include "commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>
#include <system_error>

namespace polariscope::cli {

std::filesystem::path training_program() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() / "polariscope-train";
}

bool is_for_training_program(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "train"; }

int run_training_program(char** argv) {
  const std::filesystem::path program = training_program();
  execv(program.c_str(), argv);
  fmt::print(stderr,
             "polariscope: train needs LibTorch, and this build has none ({} is not there): install libtorch-dev and "
             "build again\n",
             program.string());
  return 2;
}

// For the list of commands; main() hands it over before arguments are read.
Command add_train(CLI::App& app) {
  app.add_subcommand("train", "Train a transformer and watch every head's entropy");
  return [] { return 0; };
}

}  // namespace polariscope::cli
