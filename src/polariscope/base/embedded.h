// Files that CMake put into the program: cmake/PolariscopeEmbed.cmake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// Outside any namespace: the bytes of a file between a first and a past-the-end symbol.
#define POLARISCOPE_EMBEDDED(prefix, name) \
  extern "C" const char prefix##_##name[]; \
  extern "C" const char prefix##_##name##_end[]

namespace polariscope {

inline std::string_view embedded(const char* begin, const char* end) {
  // As integers: to the compiler the two symbols are unrelated arrays.
  return {begin,
          static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(end) - reinterpret_cast<std::uintptr_t>(begin))};
}

}  // namespace polariscope
