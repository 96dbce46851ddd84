// Sweeps of the fake program.
#pragma once

#include "polariscope/runs/options.h"

#include <array>
#include <string>

namespace polariscope::testing {

inline const std::array<runs::Option, 4> kFakeOptions{{
    {.name = "behaviour",
     .kind = runs::OptionKind::kText,
     .defaults = {{runs::kEveryTask, "well"}},
     .choices = {"well", "crash", "hang", "nan", "nothing", "exit", "list", "broken", "crash after the result"}},
    {.name = "x", .kind = runs::OptionKind::kNumber, .defaults = {{runs::kEveryTask, 0.0}}},
    {.name = "milliseconds", .kind = runs::OptionKind::kWhole, .defaults = {{runs::kEveryTask, 0}}},
    {.name = "seed", .kind = runs::OptionKind::kWhole, .defaults = {{runs::kEveryTask, 0}}},
}};

// 60 runs of 60 ms.
inline const std::string kSixtyRuns = "milliseconds = 60\nx = { from = 0.5, to = 10, step = 0.5 }\nseed = [1, 2, 3]\n";

}  // namespace polariscope::testing
