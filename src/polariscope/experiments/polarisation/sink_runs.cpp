#include "polariscope/experiments/polarisation/sink_runs.h"

#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/metrics/sink_score.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

namespace polariscope::experiments {
namespace {

constexpr int kTokens = 12;  // that a model sees of a sequence of 13

}  // namespace

SinkRuns::SinkRuns(const Context& context)
    : all(context),
      every(all.where({{"positions", "add"}, {"shift_query_token", true}, {"auxiliary_loss", 0.2}})),
      one_hot_norm(std::sqrt(kTokens)) {
  double squares = 0.0;
  for (int visible = 1; visible <= kTokens; ++visible) {
    uniform_entropy += std::log(visible) / kTokens;
    squares += 1.0 / visible;
  }
  uniform_norm = std::sqrt(squares);
  for (const std::string& attention : all.attentions()) {
    if (!by(attention).empty()) attentions.push_back(attention);
  }
}

std::vector<TrainedRun> SinkRuns::by(const std::string& attention) const {
  std::vector<TrainedRun> found;
  for (const TrainedRun& run : every) {
    if (run.attention() == attention) found.push_back(run);
  }
  return found;
}

std::vector<TrainedRun> SinkRuns::learned_by(const std::string& attention) const { return learned(by(attention)); }

report::Category SinkRuns::category(const std::string& attention, const char* metric) const {
  const std::vector<TrainedRun> runs = by(attention), passed = learned(runs);
  const bool filtered = std::string_view(metric) != "accuracy";
  return {.name = fmt::format("{} · {} of {}", attention, passed.size(), runs.size()),
          .values = metrics_of(filtered ? passed : runs, metric),
          .colour = colour_of(attention)};
}

report::ReferenceLine sink_threshold() {
  return {fmt::format("threshold {}", metrics::kSinkScoreThreshold), metrics::kSinkScoreThreshold};
}

std::string SinkRuns::method() const {
  return fmt::format(
      "Two-layer transformers learn to go on after a repeated token (induction), one training a seed and setting; "
      "those with accuracy > {} on unseen sequences are looked at, {} of {} here. A head is a sink if its mean "
      "attention to the first token, as a share of the row, over queries 1 to T − 3 is above {}. {}",
      kLearned, learned(every).size(), every.size(), metrics::kSinkScoreThreshold, all.count_in_words());
}

std::string SinkRuns::differences(const Context& context) const {
  if (context.paper()) return "";
  return "elu1_kernel is left out because it learns too slowly for so few steps.";
}

}  // namespace polariscope::experiments
