// GRID FOLDER JOBS SHARD LIMIT: a sweep of the fake program, as `polariscope sweep run` does one of the real one.
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/sweep/mpi.h"
#include "polariscope/sweep/status.h"
#include "polariscope/sweep/sweep.h"
#include "sweeps.h"

#include <fmt/format.h>

#include <cstdlib>

namespace polariscope {
namespace {

int run(char** words) {
  catch_interrupts();
  const sweep::Grid grid = sweep::Grid::read(words[1], testing::kFakeOptions);
  const sweep::RunCommand fake{.program = {FAKE_TRAIN}, .limit = std::atof(words[5])};
  return sweep::over_ranks(fake, std::atoi(words[3]), [&](sweep::Workers& workers) {
    ProgressBoard board;
    const sweep::SweepEnd end = sweep::run_sweep(grid, words[2], sweep::parse_shard(words[4]), workers, board);
    fmt::print("{} done, {} failed, {} waiting\n", end.tally.done, end.tally.failed, end.tally.waiting);
    return end.interrupted ? 130 : 0;
  });
}

}  // namespace
}  // namespace polariscope

int main(int, char** argv) {
  try {
    return polariscope::run(argv);
  } catch (const polariscope::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
