// A figure's table as it stands in the page, from where the page's script makes the CSV.
#pragma once

#include "polariscope/report/table.h"

#include <cstddef>
#include <string>

namespace polariscope::report {

// JSON text, safe inside a script element, of every `step`-th row:
// {"columns": [{"name", "values": [...]} or {"name", "float64": "..."}]}. The latter is base 64 of
// little-endian doubles, taken where it is shorter: a double of full precision costs 11 bytes
// instead of about 20, so more of a long trajectory fits into a page.
std::string page_table(const Table& table, std::size_t step);

}  // namespace polariscope::report
