// The trainings of in-context regression that figures 1, 3, 4, 6, 8, 10 and 11 of the Lipschitz paper look at.
#pragma once

#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/report/charts.h"
#include "polariscope/runs/run_log.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

constexpr double kCollapsed = 0.05;    // of log N: a layer's mean entropy below it counts as collapsed
constexpr double kKept = 0.5;          // above it as kept
constexpr long long kFewestSeeds = 5;  // for a verdict

// An attention and what normalises its queries and keys.
struct AttentionVariant {
  std::string attention, qk_norm = "no";

  std::string name() const;  // "softmax", "QK-LayerNorm"
  std::string colour() const;
  bool operator==(const AttentionVariant&) const = default;
};
// The paper's four: softmax, QK-LayerNorm, the ReLU kernel, the ELU+1 kernel.
std::span<const AttentionVariant> paper_variants();

// When a layer collapsed.
struct Collapse {
  int layer;  // counted from 0
  double step;
};

// One training and its log up to the last finite step.
class RegressionRun {
 public:
  explicit RegressionRun(TrainedRun trained);

  const TrainedRun& trained() const { return trained_; }
  const runs::RunLog& log() const { return log_; }
  int layers() const { return static_cast<int>(log_.layers.at("entropy").size()); }
  int tokens() const { return trained_.tokens(); }
  double uniform_entropy() const;  // mean over the rows: log N, less under a causal mask
  double last_step() const { return log_.step.back(); }
  bool diverged() const { return trained_.metrics.value("diverged", false); }

  // The first step at which the layer's entropy is below kCollapsed, and the first of all layers.
  std::optional<double> collapse_of(int layer) const;
  std::optional<Collapse> first_collapse() const;
  // The step at which the collapse detector said so of the layer (docs/alarms.md), of alarms.jsonl; the first time.
  std::optional<double> told_collapse_of(int layer) const;
  // Over uniform rows' (log N), at its lowest in any layer and step.
  double lowest_entropy() const;
  // Of layers, at each step.
  std::vector<double> mean_over_layers(const char* statistic) const;
  // Median of the last twentieth of the steps; NaN of a run that diverged.
  double final_loss() const;
  // Smallest median of twenty steps in a row: how low it came, whatever followed.
  double lowest_loss() const;
  // The largest gradient norm over the median one.
  double gradient_peak() const;

 private:
  TrainedRun trained_;
  runs::RunLog log_;
};

struct RegressionRuns {
  explicit RegressionRuns(const Context& context);

  TrainedRuns all;
  int batch = 0;        // what most runs have; of equals the largest
  int tokens = 0;       // N, likewise
  nlohmann::json main;  // optimiser, learning rate and mask that most runs have

  double uniform_entropy() const;  // log N
  double one_hot_norm() const;     // √N

  // Runs of N tokens with their logs, of every seed, with the main optimiser, rate and mask.
  std::vector<RegressionRun> read(const AttentionVariant& variant, const char* form, int batch) const;
  // In the main form at the batch, with these settings instead.
  std::vector<RegressionRun> read_with(const AttentionVariant& variant, const nlohmann::json& settings) const;
  std::vector<RegressionRun> read(const AttentionVariant& variant) const { return read(variant, "residual", batch); }
  // Every variant that was trained in the main form at the batch.
  std::vector<AttentionVariant> variants() const;
  std::vector<int> batches() const;  // from the smallest

  std::string method() const;
  std::string differences(const Context& context) const;
};

using Reading = std::function<std::vector<double>(const RegressionRun&)>;

// One of the log's numbers, no larger than `most`: an explosion would leave a chart no room for anything else.
Reading capped(const char* number, double most);
Reading capped_layer(const char* statistic, std::size_t layer, double most);

// Medians over windows of steps, the same for all runs: single steps at first, then about `count` of one width. NaN
// where a run has ended.
struct Windows {
  std::vector<double> step;               // the last of each window
  std::vector<std::vector<double>> runs;  // [runs][windows]
};
Windows windows_of(const std::vector<RegressionRun>& runs, const Reading& reading, int count = 120);

// The median over the runs, as long as half of them go on, with their range; single_runs: each of them faint behind
// it, up to its last finite step.
void add_lines(report::SeriesChart& chart, const std::string& name, const std::string& colour,
               const std::vector<RegressionRun>& runs, const Reading& reading, bool single_runs);

Spread over_runs(const std::vector<RegressionRun>& runs, const std::function<double(const RegressionRun&)>& figure);
long long count_of(const std::vector<RegressionRun>& runs, const std::function<bool(const RegressionRun&)>& property);

bool collapses(const RegressionRun& run);
bool diverges(const RegressionRun& run);
bool keeps_entropy(const RegressionRun& run);  // every layer above kKept at every step

// ▼ on a line that add_lines() draws of `reading`, at the median step at which the detector told of a collapse of the
// layer (counted from 0), where at least half of the runs have one.
void mark_collapse(report::SeriesChart& chart, const std::string& name, const std::string& colour,
                   const std::vector<RegressionRun>& runs, const Reading& reading, int layer);

// Every run has the property; inconclusive under kFewestSeeds runs. `further` follows the count.
report::Claim claim_of_every(std::string id, std::string statement, std::string source, std::string criterion,
                             const std::vector<RegressionRun>& runs,
                             const std::function<bool(const RegressionRun&)>& property, const std::string& further,
                             std::string evidence);
// The paper's four in the main form, with their runs.
using RunsOfVariant = std::pair<AttentionVariant, std::vector<RegressionRun>>;
std::vector<RunsOfVariant> paper_runs(const RegressionRuns& runs);

// One line an attention: reading(run); with a ▼ each where a layer is given.
report::SeriesChart chart_of_variants(const std::vector<RunsOfVariant>& variants, report::Axis y,
                                      const Reading& reading, bool single_runs, std::optional<int> marked_layer = {});

// "softmax, seed 0" and its folder, for a section.
void add_links(report::Section& section, const std::vector<RunsOfVariant>& variants);

// "softmax 0.31 (0.29 to 0.33, 5 seeds), …" of the paper's four.
std::string of_each_variant(const std::vector<std::pair<std::string, Spread>>& spreads);

}  // namespace polariscope::experiments
