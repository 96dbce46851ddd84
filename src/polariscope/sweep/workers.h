// Who executes the runs of a sweep.
#pragma once

#include "polariscope/sweep/run_end.h"

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::sweep {

struct Job {
  int run = 0;
  std::filesystem::path folder;  // of the run, absolute
  std::string config;            // text of its config.toml
};

class Workers {
 public:
  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  virtual ~Workers() = default;  // ends what still runs

  virtual bool has_place() const = 0;
  // Requires has_place(). A run whose folder has a result already is not executed again.
  virtual void start(Job job) = 0;
  // The runs that ended since the last call; does not wait.
  virtual std::vector<RunEnd> ended() = 0;
  // Asks the running ones to end, insists after some seconds, and forgets them.
  virtual void stop() = 0;
};

}  // namespace polariscope::sweep
