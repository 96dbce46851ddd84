// Grids that are part of the program.
#pragma once

#include "polariscope/sweep/grid.h"

#include <string>
#include <string_view>
#include <vector>

namespace polariscope::sweep {

std::vector<std::string_view> shipped_grid_names();

// The grid in the file of this name, or else the shipped one. Throws Error if there is neither, and as Grid::read.
Grid find_grid(const std::string& file_or_name, std::span<const runs::Option> known);

}  // namespace polariscope::sweep
