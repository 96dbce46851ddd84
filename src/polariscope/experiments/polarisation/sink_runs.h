// The trained induction models that figures 1 and 4 look at: positions added, the query token shifted, auxiliary loss
// 0.2.
#pragma once

#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/report/charts.h"

#include <string>
#include <vector>

namespace polariscope::experiments {

struct SinkRuns {
  explicit SinkRuns(const Context& context);

  TrainedRuns all;
  std::vector<TrainedRun> every;        // of figure 4's setting
  std::vector<std::string> attentions;  // of these, in the order of the grid
  // What layer 2 shows if every row spreads evenly over what it sees, and if each looks at one token only.
  double uniform_entropy = 0.0, uniform_norm = 0.0, one_hot_norm = 0.0;

  std::vector<TrainedRun> by(const std::string& attention) const;
  std::vector<TrainedRun> learned_by(const std::string& attention) const;
  // A row of a chart: the attention's name with how many of its models pass the filter, and their numbers. Of
  // "accuracy" all models' are shown.
  report::Category category(const std::string& attention, const char* metric) const;

  std::string method() const;
  std::string differences(const Context& context) const;
};

// In figures of sink scores.
report::ReferenceLine sink_threshold();

}  // namespace polariscope::experiments
