#include "polariscope/experiments/shared/training_sweep.h"

#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/retry.h"
#include "polariscope/sweep/shipped_grids.h"
#include "polariscope/sweep/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace polariscope::experiments {
namespace {

// Seconds that a grid's mean training took on one core of a server with AVX-512.
struct Cost {
  std::string_view grid;
  double seconds;
};
constexpr std::array kCosts{Cost{"induction", 420.0},     Cost{"induction-quick", 5.9},
                            Cost{"token-groups", 17.0},   Cost{"token-groups-quick", 1.2},
                            Cost{"regression", 95.0},     Cost{"regression-quick", 0.9},
                            Cost{"regression-alarm", 0.8}};

constexpr double kLimit = 24 * 3600.0;  // seconds: only a process that hangs takes as long

sweep::Grid grid_of(const TrainingSweep& sweep) {
  return sweep::find_grid(sweep.grid, sweep::train_settings()).with_seeds_from(sweep.first_seed);
}

std::string in_days(double seconds) {
  constexpr double kDay = 24 * 3600.0;
  return seconds < 2 * kDay ? duration(seconds) : fmt::format("{:.0f} days", seconds / kDay);
}

}  // namespace

std::string grid_of(std::string_view trainings, Preset preset) {
  std::string quick = fmt::format("{}-quick", trainings);
  const std::vector<std::string_view> shipped = sweep::shipped_grid_names();
  const bool is_cut = preset == Preset::kQuick && std::ranges::find(shipped, quick) != shipped.end();
  return is_cut ? quick : std::string(trainings);
}

std::string trainings_of(std::string_view task) {
  return std::string(task == "in-context-regression" ? "regression" : task);
}

std::string announcement(const TrainingSweep& sweep) {
  const auto runs = static_cast<double>(grid_of(sweep).runs().size());
  const double each = std::ranges::find(kCosts, sweep.grid, &Cost::grid)->seconds;
  return fmt::format(
      "{}: {} trainings, {} at once: about {} at {} each, as measured on one core of a server; what is done stays done",
      sweep.grid, runs, sweep.jobs, in_days(runs * each / sweep.jobs), duration(each));
}

int forget_others(const TrainingSweep& sweep) {
  return sweep::put_back_others(sweep.folder, runs::program_fingerprint(sweep.program));
}

bool execute(const TrainingSweep& sweep, ProgressBoard& board) {
  sweep::LocalWorkers workers({.program = {sweep.program.string(), "train", "--threads", "1"}, .limit = kLimit},
                              sweep.jobs);
  return !sweep::run_sweep(grid_of(sweep), sweep.folder, {}, workers, board).interrupted;
}

}  // namespace polariscope::experiments
