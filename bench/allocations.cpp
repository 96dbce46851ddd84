#include "bench/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <thread>

namespace {

std::atomic<std::ptrdiff_t> held = 0, most = 0;

void* counted(void* memory) {
  const auto now = held += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  for (std::ptrdiff_t before = most; before < now && !most.compare_exchange_weak(before, now);) {
  }
  return memory;
}

}  // namespace

// glibc lets a program replace these, and offers its own under the names below.
extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT
void* __libc_calloc(std::size_t, std::size_t);    // NOLINT
void* __libc_realloc(void*, std::size_t);         // NOLINT
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
void __libc_free(void*);                          // NOLINT

void* malloc(std::size_t size) noexcept { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) noexcept { return counted(__libc_calloc(count, size)); }
void* memalign(std::size_t alignment, std::size_t size) noexcept { return counted(__libc_memalign(alignment, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) noexcept {
  held -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  __libc_free(memory);
}
void* realloc(void* memory, std::size_t size) noexcept {
  const auto before = static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  void* moved = __libc_realloc(memory, size);
  if (moved != nullptr || size == 0) held -= before;
  return counted(moved);
}
}

namespace polariscope::bench {

std::size_t peak_bytes_of(const std::function<void()>& work) {
  std::ptrdiff_t before = 0;
  std::thread([&] {
    before = held;
    most = before;
    work();
  }).join();
  return static_cast<std::size_t>(most - before);
}

}  // namespace polariscope::bench
