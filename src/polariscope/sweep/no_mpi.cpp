#include "polariscope/base/error.h"
#include "polariscope/sweep/mpi.h"

namespace polariscope::sweep {

int over_ranks(const RunCommand& command, int places, const std::function<int(Workers&)>& coordinate) {
  if (is_under_mpirun()) {
    throw Error(
        "this program is built without MPI: build it where libopenmpi-dev is installed, or run the sweep in shards");
  }
  LocalWorkers workers(command, places);
  return coordinate(workers);
}

}  // namespace polariscope::sweep
