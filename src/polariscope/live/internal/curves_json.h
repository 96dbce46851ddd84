// Curves as the page wants them.
#pragma once

#include "polariscope/live/watched_run.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::live {

// What a page has of a run already: all buckets before `from` of this epoch and width. The last bucket may have grown
// since, so it asks for that again.
struct HeldCurves {
  std::uint64_t epoch = 0;
  std::size_t width = 0, from = 0;
};

// {"epoch", "width", "from", "read", "first": [steps], "last": [steps], "numbers": [names],
//  "heads": {name: [heads of each layer]}, "curves": {column: [{"mean": [], "low": [], "high": []}]}}
// A column is the name of a number ("loss"), of a statistic ("entropy": a curve a layer, means over its heads) or one
// with a layer ("entropy:2": a curve a head). low and high are left out where they are the mean. Everything from bucket
// 0 on where what is held is of another epoch or width. Unknown columns are left out.
std::string curves_json(const RunCurves& curves, const std::vector<std::string>& columns, const HeldCurves& held);

// {"layers": [heads of each], "steps": [first of each column], "last": S, "rows": [[means]]}: a row a head, layer by
// layer, in at most `most` columns. "" for an unknown statistic.
std::string strips_json(const RunCurves& curves, std::string_view statistic, std::size_t most);

}  // namespace polariscope::live
