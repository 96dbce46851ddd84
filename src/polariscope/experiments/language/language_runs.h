// The trainings of language models that figures 1 (top), 5 and 7 of the Lipschitz paper look at.
#pragma once

#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/report/charts.h"
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

// Of one attention: its runs at every learning rate and seed.
struct RunsOfAttention {
  AttentionVariant variant;
  std::vector<LanguageRun> runs;
};

struct LanguageRuns {
  // Of a preset ("llama-3m"), the paper's four attentions in its order.
  LanguageRuns(const Context& context, const char* model);

  TrainedRuns all;
  std::string model;
  int context = 0;
  std::vector<RunsOfAttention> attentions;

  double uniform_entropy() const;  // of causal rows: the mean of log i
  double uniform_norm() const;     // √Σ 1/i, their ‖P‖_F
  double one_hot_norm() const;     // √N
  std::string method() const;
  std::string findings() const;
  std::string differences() const;
  std::vector<std::pair<std::string, std::string>> links() const;
};

using LanguageReading = std::function<std::vector<double>(const LanguageRun&)>;

// A line an attention: the median over its runs, with their range; single steps are medians of windows.
report::SeriesChart language_chart(const LanguageRuns& runs, report::Axis y, const LanguageReading& reading);
// The same of validation losses, at the steps that have one; the loss before the first step would flatten the rest and
// is left out.
report::SeriesChart validation_chart(const LanguageRuns& runs);

// The paper's four panels: loss, gradient norm, the first layer's entropy, ‖P‖_F.
report::Figure four_panels(const LanguageRuns& runs, const std::string& what);
// Mean entropy, one panel a layer.
report::Figure entropy_panels(const LanguageRuns& runs);

// Every run of the attention has the property; `further` follows the count. Inconclusive without runs.
report::Claim claim_of_attention(std::string id, std::string statement, std::string source, std::string criterion,
                                 const RunsOfAttention& of, const std::function<bool(const LanguageRun&)>& property,
                                 const std::string& further, std::string evidence);
Spread over_runs(const RunsOfAttention& of, const std::function<double(const LanguageRun&)>& figure);

// What the text says of entropy, ‖P‖_F and loss, of both shapes; ids begin with `experiment`.
std::vector<report::Claim> language_claims(const LanguageRuns& runs, const std::string& experiment,
                                           const std::string& figure);

}  // namespace polariscope::experiments
