// The text of a grid file, read and held against the settings that there are.
#pragma once

#include "polariscope/sweep/grid.h"

#include <string_view>
#include <vector>

namespace polariscope::sweep {

struct GridFile {
  std::vector<GridAxis> axes;  // in the order of the file
  std::vector<Skip> skips;
};

// Throws Error with `where`, line and key.
GridFile parse_grid(std::string_view toml, std::string_view where, std::span<const runs::Option> known);

}  // namespace polariscope::sweep
