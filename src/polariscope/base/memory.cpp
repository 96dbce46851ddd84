#include "polariscope/base/memory.h"

#include "polariscope/base/error.h"

#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace polariscope {

double machine_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void require_memory(double bytes, std::string_view what) {
  const double present = machine_memory();
  if (bytes <= present) return;
  throw Error("{} need {:.3g} GB of memory, this machine has {:.3g}: choose smaller ones", what, bytes / 1e9,
              present / 1e9);
}

void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kKept = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kKept);
  mallopt(M_TRIM_THRESHOLD, kKept);
#endif
}

}  // namespace polariscope
