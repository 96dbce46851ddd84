#include "polariscope/reweighting/simd_target.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace polariscope::reweighting {
namespace {

void force(const std::string& wanted) {
  std::vector<std::string> known;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    known.emplace_back(hwy::TargetName(target));
    if (known.back() != wanted) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return;
  }
  throw Error("POLARISCOPE_FORCE_TARGET is \"{}\": this processor has {}", wanted, fmt::join(known, ", "));
}

}  // namespace

void obey_forced_target() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* wanted = std::getenv("POLARISCOPE_FORCE_TARGET");
    if (wanted != nullptr && *wanted != '\0') force(wanted);
  });
}

}  // namespace polariscope::reweighting
