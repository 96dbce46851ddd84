// What an experiment is: a question to a paper, asked in code, answered in claims and figures.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/experiments/shared/protocol.h"
#include "polariscope/report/section.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

enum class Preset {
  kQuick,  // smaller, and says what it cut
  kSmall,  // larger trainings where there are any between the two (about an hour); else quick
  kPaper,  // the figures of protocols
};
std::string_view preset_name(Preset preset);
Preset find_preset(std::string_view name);  // throws Error with the nearest known name

// What an experiment is run with.
struct Context {
  Preset preset = Preset::kQuick;
  std::uint64_t seed = 0;
  int threads = 1;
  // Of an experiment with trainings: the folder of the report, and that of their sweep as seen from there.
  std::filesystem::path out = {}, sweep = {};
  // Starts this experiment's line of progress: how much there is to do, and in what unit.
  std::function<Progress(std::uint64_t total, std::string unit)> progress;

  bool paper() const { return preset == Preset::kPaper; }
};

struct Experiment {
  std::string_view id;              // "A.fig2"
  std::string_view title;           // what it shows
  std::string_view source;          // paper and place
  std::string_view question;        // one sentence
  std::string_view trainings = "";  // the grid whose runs it reads; "" for none
  // What it is done with: the section's configuration, and what it says that the quick preset cuts. None for an
  // experiment on trainings: what its grid cuts is said for it, and it lists the settings of the runs that it reads.
  Quantities (*protocol)(const Context& context) = nullptr;
  // Fills method, findings, claims and figures, and differences with what any preset does otherwise than the paper.
  // Throws Interrupted on Ctrl-C.
  report::Section (*run)(const Context& context);
};

// Every experiment, in the order of the papers.
const std::vector<Experiment>& catalogue();
// Throws Error with the nearest known id.
const Experiment& find_experiment(std::string_view id);

}  // namespace polariscope::experiments
