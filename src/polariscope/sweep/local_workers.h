// Runs as processes of this machine.
#pragma once

#include "polariscope/sweep/workers.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace polariscope::sweep {

class HeldProgram;

// How a run is executed: `program FOLDER/config.toml --out FOLDER --quiet`, standard error in FOLDER/stderr.txt. It is
// to write FOLDER/result.json whole, as the last thing it does (run_end.h). Past `limit` seconds it is killed.
struct RunCommand {
  std::vector<std::string> program;  // an executable's path and its first arguments
  double limit = 7200.0;             // > 0
};

// All runs are of the program that stood at its path when the workers were made, even if it is replaced. start() and
// ended() throw Error once it was overwritten in place.
class LocalWorkers : public Workers {
 public:
  // places: how many runs at once, at least 1. All calls come from one thread, with whose end the processes end.
  LocalWorkers(RunCommand command, int places);
  ~LocalWorkers() override;

  int places() const { return places_; }
  bool has_place() const override;
  void start(Job job) override;
  std::vector<RunEnd> ended() override;
  void stop() override;

 private:
  struct Place;
  RunCommand command_;
  std::unique_ptr<HeldProgram> program_;
  int places_;
  std::vector<std::unique_ptr<Place>> taken_;
};

}  // namespace polariscope::sweep
