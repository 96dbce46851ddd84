// Sweeps of the fake program.
#pragma once

#include "polariscope/sweep/setting.h"

#include <array>
#include <string>

namespace polariscope::testing {

inline const std::array<sweep::Setting, 4> kFakeSettings{{
    {"behaviour",
     sweep::ValueKind::kText,
     {"well", "crash", "hang", "nan", "nothing", "exit", "list", "broken", "crash after the result"}},
    {"x", sweep::ValueKind::kNumber},
    {"milliseconds", sweep::ValueKind::kWhole},
    {"seed", sweep::ValueKind::kWhole},
}};

// 60 runs of 60 ms.
inline const std::string kSixtyRuns = "milliseconds = 60\nx = { from = 0.5, to = 10, step = 0.5 }\nseed = [1, 2, 3]\n";

}  // namespace polariscope::testing
