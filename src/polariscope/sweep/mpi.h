// A sweep over the processes (ranks) that `mpirun` of OpenMPI starts. mpi.cpp, or no_mpi.cpp where the program is built
// without MPI.
#pragma once

#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/workers.h"

#include <cstdlib>
#include <functional>

namespace polariscope::sweep {

inline bool is_under_mpirun() { return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr; }

// Calls coordinate(workers) and returns what it returns; the workers execute `places` runs at once in every rank. Under
// mpirun only rank 0 coordinates: the others work for it until it is done, and return 0. Runs of a rank that is silent
// for long are handed to others, where mpirun goes on without that rank; the program is then ended by MPI_Abort.
// Elsewhere MPI is not touched. Throws Error under mpirun if built without MPI.
int over_ranks(const RunCommand& command, int places, const std::function<int(Workers&)>& coordinate);

}  // namespace polariscope::sweep
