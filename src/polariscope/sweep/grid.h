// A grid: the settings of a run, where a list or a range stands for each of its values in turn.
#pragma once

#include "polariscope/base/config.h"
#include "polariscope/runs/options.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::sweep {

// One key with its values, at least one; of a setting that every run shares, exactly one.
struct GridAxis {
  std::string key;
  std::vector<ConfigValue> values;
  int line = 0;  // in its file
};

// Leaves out the runs that have, for each of its keys, one of the values given here.
using Skip = std::vector<GridAxis>;

// One point of the grid: its number, from 1, and one value for each axis.
struct GridRun {
  int number = 0;
  std::vector<ConfigValue> values;
};

class Grid {
 public:
  // Axes in the order of the file; the last one varies fastest. `known` are the options of a run (runs/options.h). Both
  // throw Error with file, line and key for what is not TOML, an unknown key or name, a value of another kind or out of
  // range, one given twice or without meaning in one of the runs, an empty or endless range, a skip that fits no run, a
  // grid of no runs or of more than 99,999.
  static Grid read(const std::filesystem::path& path, std::span<const runs::Option> known);
  static Grid parse(std::string_view toml, std::string_view where, std::span<const runs::Option> known);

  const std::vector<GridAxis>& axes() const { return axes_; }
  const std::vector<GridRun>& runs() const { return runs_; }

  // Whether one of the runs trains a transformer, which needs LibTorch.
  bool trains_transformers() const;

  // The same grid with `first` added to every seed; axes() must have seeds.
  Grid with_seeds_from(std::int64_t first) const;

  // The grid as a file that parses to the same grid, whatever the style of the one it came from.
  std::string text() const;
  // The settings of one run, as TOML and as a JSON object.
  std::string config_of(const GridRun& run) const;
  std::string json_of(const GridRun& run) const;

 private:
  std::vector<GridAxis> axes_;
  std::vector<Skip> skips_;
  std::vector<GridRun> runs_;
};

}  // namespace polariscope::sweep
