#include "polariscope/sweep/sweep.h"

#include "polariscope/base/interrupt.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/sweep/internal/store.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace polariscope::sweep {
namespace {

constexpr auto kPause = std::chrono::milliseconds(10);  // between looks at the workers; a run takes seconds at least

// What the folder holds: another grid, or the same in other shards, is another run of it.
std::string config_of(const Grid& grid, Shard shard) {
  const std::string shards = shard.count == 1 ? "" : fmt::format(" in {} shards", shard.count);
  return fmt::format("# polariscope sweep{}\n", shards) + grid.text();
}

std::string note(const Tally& tally) {
  std::string text = fmt::format("{} running", tally.running);
  if (tally.failed > 0) text += fmt::format(", {} failed", tally.failed);
  return text;
}

}  // namespace

SweepEnd run_sweep(const Grid& grid, const std::filesystem::path& folder, Shard shard, Workers& workers,
                   ProgressBoard& board) {
  runs::open_run_folder(folder, config_of(grid, shard));
  Store store(folder, grid, shard);
  Tally tally = store.tally();
  const auto ended = [&tally] { return static_cast<std::uint64_t>(tally.done + tally.failed); };
  Progress progress = board.start("sweep", static_cast<std::uint64_t>(tally.runs()), "runs", ended());
  const bool live = moves_cursor(stderr);

  const std::vector<int> waiting = store.waiting();
  auto next = waiting.begin();
  while (!interrupted() && (next != waiting.end() || tally.running > 0)) {
    while (next != waiting.end() && workers.has_place()) {
      const GridRun& run = grid.runs()[static_cast<std::size_t>(*next) - 1];
      store.start(*next);
      workers.start({.run = *next, .folder = absolute(run_path(folder, *next)), .config = grid.config_of(run)});
      ++next;
      --tally.waiting;
      ++tally.running;
    }
    const std::vector<RunEnd> ends = workers.ended();
    for (const RunEnd& end : ends) {
      store.record(end);
      --tally.running;
      ++(end.failure.empty() ? tally.done : tally.failed);
    }
    if (live || !ends.empty()) progress.update(ended(), note(tally));
    if (ends.empty()) std::this_thread::sleep_for(kPause);
  }
  if (tally.running > 0) {
    workers.stop();
    store.put_back_running();
  } else {
    progress.finish(tally.failed > 0 ? fmt::format("{} failed", tally.failed) : "");
  }
  return {.tally = store.tally(), .interrupted = interrupted() && (tally.waiting > 0 || tally.running > 0)};
}

}  // namespace polariscope::sweep
