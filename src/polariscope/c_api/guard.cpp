#include "polariscope/c_api/internal/guard.h"

#include "polariscope/c_api.h"

#include <string>

namespace polariscope::c_api {
namespace {

thread_local std::string text;
thread_local const char* last = "";

}  // namespace

void remember(const char* sentence) noexcept {
  try {
    text = sentence;
    last = text.c_str();
  } catch (...) {
    last = "the memory is exhausted";
  }
}

}  // namespace polariscope::c_api

const char* polariscope_last_error() { return polariscope::c_api::last; }
