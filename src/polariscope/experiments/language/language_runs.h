// The trainings of language models that figures 1 (top), 5 and 7 of the Lipschitz paper look at.
#pragma once

#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/runs/run_log.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {

// One training, its steps and its validation losses, up to the last finite step.
class LanguageRun {
 public:
  explicit LanguageRun(TrainedRun trained);

  const TrainedRun& trained() const { return trained_; }
  const runs::RunLog& log() const { return log_; }
  const runs::RunLog& validation() const { return validation_; }
  int layers() const { return static_cast<int>(log_.layers.at("entropy").size()); }
  bool diverged() const { return trained_.metrics.value("diverged", false); }
  double learning_rate() const { return trained_.settings.at("learning_rate").get<double>(); }
  // Of uniform causal rows of the context: the mean of log i.
  double uniform_entropy() const;
  // The smallest mean entropy of any layer at any step, over uniform rows'.
  double lowest_entropy() const;
  // Mean over layers of ‖P‖_F at the last step.
  double final_norm() const;
  double final_validation_loss() const;  // NaN of a run that diverged
  std::vector<double> mean_over_layers(const char* statistic) const;

 private:
  TrainedRun trained_;
  runs::RunLog log_, validation_;
};

// An attention with what keeps it from collapsing: its settings, all of which a run must have.
struct LanguageVariant {
  std::string name, colour;
  nlohmann::json settings;
};

// Of one of them: its runs at every learning rate and seed.
struct RunsOfAttention {
  LanguageVariant variant;
  std::vector<LanguageRun> runs;
};

struct LanguageRuns {
  // Of the model that the sweep has of a family, "llama" or "gpt2": the paper's four attentions in its order, and
  // others that were trained.
  LanguageRuns(const Context& context, const char* family);

  TrainedRuns all;
  std::string model;
  int context = 0;
  std::vector<RunsOfAttention> attentions;

  bool reads_example() const;                   // the text that comes with the program
  double uniform_entropy() const;               // of causal rows: the mean of log i
  double uniform_norm() const;                  // √Σ 1/i, their ‖P‖_F
  double one_hot_norm() const;                  // √N
  std::string setting(const char* name) const;  // as a person writes it; "0.9 or 0.95" where the runs differ
  std::string method() const;
  std::string findings() const;
  std::string differences() const;
  std::vector<std::pair<std::string, std::string>> links() const;
};

Spread over_runs(const RunsOfAttention& of, const std::function<double(const LanguageRun&)>& figure);

}  // namespace polariscope::experiments
