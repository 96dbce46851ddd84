// What this library is and what it runs on.
#include "polariscope/base/version.h"
#include "polariscope/c_api.h"
#include "polariscope/c_api/internal/guard.h"
#include "polariscope/reweighting/simd_target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

using polariscope::c_api::guarded;

std::int32_t polariscope_api_version() { return POLARISCOPE_API_VERSION; }

const char* polariscope_version() {
  const char* text = "";
  guarded([&] {
    static const std::string kVersion = polariscope::version();
    text = kVersion.c_str();
  });
  return text;
}

const char* polariscope_instruction_sets() {
  const char* text = "";
  guarded([&] {
    static const std::string kNames = fmt::format("{}", fmt::join(polariscope::reweighting::simd_targets(), ","));
    text = kNames.c_str();
  });
  return text;
}

std::int32_t polariscope_use_instruction_set(const char* name) {
  return guarded([&] { polariscope::reweighting::use_simd_target(name == nullptr ? "" : name); });
}
