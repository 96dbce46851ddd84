#include "training_program.h"

#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

namespace polariscope::cli {
std::filesystem::path training_program() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() / "polariscope-train";
}

bool is_for_training_program(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "train"; }

bool can_train_transformers() { return POLARISCOPE_LIBTORCH != 0; }

void require_trainable(const sweep::Grid& grid) {
  if (grid.trains_transformers() && !can_train_transformers()) throw Error("{}", kNoTransformers);
}

int run_training_program(char** argv) {
  execv(training_program().c_str(), argv);
  tell(fmt::format("polariscope: {} cannot be started: {}\n", training_program().string(), std::strerror(errno)));
  return 2;
}

// For the list of commands; main() hands it over before arguments are read.
Command add_train(CLI::App& app) {
  app.add_subcommand("train", "Train a transformer and watch every head's entropy");
  return [] { return 0; };
}

}  // namespace polariscope::cli
