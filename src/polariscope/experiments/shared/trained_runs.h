// What the trainings of a sweep left behind, as an experiment reads it.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/report/section.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {

struct TrainedRun {
  std::filesystem::path folder;
  std::string link;  // the folder as seen from the report
  nlohmann::json settings, metrics;
  double seconds = 0.0;

  std::string attention() const { return settings.at("attention").get<std::string>(); }
  double metric(const char* name) const;  // NaN where the training gave none
  bool learned() const;                   // accuracy > 0.95, the paper's filter
  // Throws Error for a setting that the training has not, or that is not a whole number.
  int whole_setting(const char* name) const;
  int tokens() const { return whole_setting("sequence_length"); }  // N of in-context regression, the query included
  // Of heads.json: {"layer": 1, "head": 1, "entropy": ...} in the order of layers.
  nlohmann::json heads() const;
};

class TrainedRuns {
 public:
  // Those that succeeded; the others are counted.
  explicit TrainedRuns(const Context& context);
  TrainedRuns(std::vector<TrainedRun> done, int planned, int failed)
      : done_(std::move(done)), planned_(planned), failed_(failed) {}

  const std::vector<TrainedRun>& done() const { return done_; }
  // Those whose settings agree with all of `settings`, as {{"heads", 1}, {"mlp", false}}; null fits anything.
  std::vector<TrainedRun> where(const nlohmann::json& settings) const;
  // The values of a setting, in the order of the grid.
  std::vector<nlohmann::json> values_of(const char* setting) const;
  std::vector<std::string> attentions() const;
  // Every combination of the values of `settings` that was trained together with `others`, in the order of the grid:
  // the settings of where().
  std::vector<nlohmann::json> combinations(std::initializer_list<const char*> settings,
                                           const nlohmann::json& others = nlohmann::json::object()) const;

  // "36 of 36 trainings are done, each on one thread, which ..." and what became of the others.
  std::string count_in_words() const;

 private:
  std::vector<TrainedRun> done_;
  int planned_ = 0, failed_ = 0;
};

constexpr double kLearned = 0.95;
constexpr long long kFewestModels = 3;  // that learned: under it a claim on them is inconclusive

std::vector<TrainedRun> learned(const std::vector<TrainedRun>& runs);
std::vector<double> metrics_of(const std::vector<TrainedRun>& runs, const char* name);

// For a section: "softmax, seed 0" and the folder; of many runs the first few hundred.
std::vector<std::pair<std::string, std::string>> links_of(const std::vector<TrainedRun>& runs);
// The grid's settings, those that vary with all their values.
std::vector<std::pair<std::string, std::string>> configuration_of(const TrainedRuns& runs);

}  // namespace polariscope::experiments
