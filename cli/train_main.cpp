// polariscope-train: the part of polariscope that trains, with LibTorch where it is.
#include "polariscope/base/memory.h"
#include "program.h"

#include <sys/prctl.h>

int main(int argc, char** argv) {
  using namespace polariscope::cli;
  prctl(PR_SET_NAME, "polariscope-train");  // a sweep executes it by an open file, whose number `top` would show
  polariscope::keep_freed_memory();
  const auto add_commands = [](CLI::App& app) { return std::map<std::string, Command>{{"train", add_train(app)}}; };
  return run_program(argc, argv, {add_commands, ""});
}
