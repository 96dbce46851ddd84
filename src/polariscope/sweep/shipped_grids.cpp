#include "polariscope/sweep/shipped_grids.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace polariscope::sweep {
namespace {

struct ShippedGrid {
  std::string_view name, text;
};

constexpr std::array kGrids{
#include <polariscope_shipped_grids.inc>
};

}  // namespace

std::vector<std::string_view> shipped_grid_names() {
  std::vector<std::string_view> names;
  for (const ShippedGrid& grid : kGrids) names.push_back(grid.name);
  return names;
}

Grid find_grid(const std::string& file_or_name, std::span<const runs::Option> known) {
  const bool is_file = file_or_name.find('/') != std::string::npos || file_or_name.ends_with(".toml");
  // A folder may well have a grid's name: that of its sweep.
  if (is_file || std::filesystem::is_regular_file(file_or_name)) return Grid::read(file_or_name, known);
  const auto grid = std::ranges::find(kGrids, file_or_name, &ShippedGrid::name);
  if (grid == kGrids.end()) {
    throw Error("there is no file \"{0}\", and {1}", file_or_name,
                unknown_name("grid", file_or_name, shipped_grid_names()));
  }
  return Grid::parse(grid->text, fmt::format("{}.toml", grid->name), known);
}

}  // namespace polariscope::sweep
