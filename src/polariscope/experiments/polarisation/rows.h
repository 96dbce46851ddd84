// Section 4.1 of the polarisation paper: many rows of scores that share their values pick the same column.
#pragma once

#include "polariscope/experiments/polarisation/rows_runs.h"

#include <vector>

namespace polariscope::experiments::polarisation::rows {

RowsPlan protocol_of(Preset preset);

std::vector<report::Claim> judge(const RowsPlan& plan, const RowsRuns& runs);
report::Section describe(const RowsPlan& plan, const RowsRuns& runs);

}  // namespace polariscope::experiments::polarisation::rows
