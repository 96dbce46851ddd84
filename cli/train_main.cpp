// polariscope-train: the part of polariscope that needs LibTorch.
#include "polariscope/train/process.h"
#include "program.h"

int main(int argc, char** argv) {
  using namespace polariscope::cli;
  polariscope::train::keep_freed_memory();
  const auto add_commands = [](CLI::App& app) { return std::map<std::string, Command>{{"train", add_train(app)}}; };
  return run_program(argc, argv, {add_commands, ""});
}
