// The trained classifiers of token groups that figures 5, 6, 9 and F.3 look at.
#pragma once

#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/report/charts.h"

#include <string>
#include <vector>

namespace polariscope::experiments {

constexpr int kHeadlineVocabulary = 81;  // of the paper's headline
constexpr int kOrderAloneVocabulary =
    41;  // with it a group holds ten tokens, so that sequences of a label differ in order

struct FlipRuns {
  explicit FlipRuns(const Context& context);

  TrainedRuns all;
  double uniform_entropy = 0.0;

  // Settings of the paper's headline: its vocabulary, no MLP, no LayerNorm. 0: any number.
  nlohmann::json headline(const std::string& attention, int layers, int heads) const;
  // Trained models of one head and one layer at these settings.
  std::vector<TrainedRun> smallest(const std::string& attention) const;
  // The largest value of a whole-number setting.
  int most(const char* setting) const;

  // A metric of the trained models of `settings` against the number of heads, one line a number of layers.
  report::SeriesChart sizes_chart(const nlohmann::json& settings, const char* metric, report::Axis y) const;
  report::Figure sizes_figure(std::string id, const std::string& title, const nlohmann::json& settings,
                              const char* metric, report::Axis y, std::string caption) const;

  std::string method() const;
  std::string differences(const Context& context) const;
};

// A claim on trained models: `words` say what `measured` is, and `models` is how many bear on it.
report::Claim claim_on_models(std::string id, std::string statement, std::string source, std::string criterion,
                              std::string words, const Spread& measured, long long models, bool holds,
                              std::string evidence);
// Softmax is flipped less with `many` heads or layers than with `few`: the largest rate below the smallest.
report::Claim falls_claim(std::string id, std::string statement, std::string source, std::string criterion,
                          const Spread& few, const Spread& many, std::string evidence);

}  // namespace polariscope::experiments
