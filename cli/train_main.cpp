// polariscope-train: the part of polariscope that needs LibTorch.
#include "program.h"

#include <malloc.h>

int main(int argc, char** argv) {
  using namespace polariscope;
  // A step's tensors are those of the step before: memory that is given back to the system costs page faults again.
  constexpr int kKept = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kKept);
  mallopt(M_TRIM_THRESHOLD, kKept);
  const auto add_commands = [](CLI::App& app) { return std::map<std::string, Command>{{"train", add_train(app)}}; };
  return run_program(argc, argv, {add_commands, ""});
}
