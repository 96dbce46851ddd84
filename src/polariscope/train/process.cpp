#include "polariscope/train/process.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/version.h>

namespace polariscope::train {

void use_threads(int count) {
  at::set_num_threads(count);
  using Set = void (*)(int);
  if (const auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(count);
}

std::string libtorch_version() { return TORCH_VERSION; }

}  // namespace polariscope::train
