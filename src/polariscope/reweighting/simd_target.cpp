#include "polariscope/reweighting/simd_target.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <mutex>

namespace polariscope::reweighting {
namespace {

// Whatever was chosen: those are the processor's.
const std::vector<std::int64_t>& targets_of_processor() {
  static const std::vector<std::int64_t> kTargets = hwy::SupportedAndGeneratedTargets();
  return kTargets;
}

void choose(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

void use(const std::string& wanted, const char* asked_by) {
  for (const std::int64_t target : targets_of_processor()) {
    if (hwy::TargetName(target) == wanted) return choose(target);
  }
  throw Error("{} is \"{}\": this processor has {}", asked_by, wanted, fmt::join(simd_targets(), ", "));
}

}  // namespace

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const std::int64_t target : targets_of_processor()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void obey_forced_target() {
  static std::once_flag once;
  std::call_once(once, [] {
    targets_of_processor();
    const char* wanted = std::getenv("POLARISCOPE_FORCE_TARGET");
    if (wanted != nullptr && *wanted != '\0') use(wanted, "POLARISCOPE_FORCE_TARGET");
  });
}

void use_simd_target(const std::string& name) {
  obey_forced_target();
  if (name.empty()) return choose(0);
  use(name, "the instruction set");
}

}  // namespace polariscope::reweighting
