// Nothing is thrown across the C interface: what went wrong becomes a sentence and a 1.
#pragma once

#include "polariscope/base/error.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>

namespace polariscope::c_api {

// Keeps a copy for this thread's polariscope_last_error().
void remember(const char* sentence) noexcept;

// 0, or 1 if body() threw.
template <class Body>
std::int32_t guarded(const Body& body) noexcept {
  try {
    body();
    return 0;
  } catch (const std::bad_alloc&) {
    remember("the memory is exhausted: take smaller arrays, or fewer threads");
  } catch (const std::exception& error) {
    remember(error.what());
  } catch (...) {
    remember("an error of unknown kind: this is a fault of Polariscope");
  }
  return 1;
}

// Throws Error for a structure that is missing or of no known size: from first_size, that of version 1 of the
// interface, to what it is today. Fields that the caller does not know are zero.
template <class Struct>
Struct known_fields(const Struct* given, std::size_t first_size, const char* name) {
  if (given == nullptr) throw Error("{} is missing: expected the address of one", name);
  if (given->size < first_size || given->size > sizeof(Struct)) {
    throw Error("{} says that its size is {}: set size to sizeof, of {} to {} bytes in this library", name, given->size,
                first_size, sizeof(Struct));
  }
  Struct known{};
  std::memcpy(&known, given, given->size);
  return known;
}

}  // namespace polariscope::c_api
