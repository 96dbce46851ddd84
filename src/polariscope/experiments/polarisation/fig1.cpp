// Figure 1 of the polarisation paper: what the heads of trained models look at.
#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/sink_runs.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace polariscope::experiments {
namespace {

// Of each attention the trained model of the smallest seed, and its sink-most head in the last layer.
struct Looked {
  TrainedRun run;
  nlohmann::json head;
};

std::optional<Looked> look_at(const SinkRuns& runs, const std::string& attention) {
  const std::vector<TrainedRun> trained = runs.learned_by(attention);
  if (trained.empty()) return std::nullopt;
  Looked looked{trained.front(), {}};
  for (const nlohmann::json& head : looked.run.heads()) {
    if (head.at("layer") != looked.run.settings.at("layers")) continue;
    const auto score = [](const nlohmann::json& of) {
      return of.at("sink_score").is_null() ? -1.0 : of.at("sink_score").get<double>();
    };
    if (looked.head.is_null() || score(head) > score(looked.head)) looked.head = head;
  }
  return looked;
}

std::string name_of(const nlohmann::json& head) {
  return fmt::format("layer{}_head{}", head.at("layer").get<int>(), head.at("head").get<int>());
}

// Every row as shares of its absolute weights, so that maps of all attentions have one scale.
report::HeatMap map_of(const Looked& looked) {
  const NpyValues weights = npy_field(read_file(looked.run.folder / "attention.npy"), name_of(looked.head));
  report::HeatMap map{.x = {"key (position)"},
                      .y = {"query (position)"},
                      .value_title = "share of the row's attention",
                      .columns = {},
                      .rows = {},
                      .values = {},
                      .low = 0.0,
                      .high = 1.0,
                      .outlined = {},
                      .square = true};
  for (std::size_t i = 0; i < weights.width; ++i) map.columns.push_back(static_cast<double>(i));
  for (std::size_t i = weights.rows; i-- > 0;) {  // the first query on top
    const double* row = weights.values.data() + i * weights.width;
    double sum = 0.0;
    for (std::size_t j = 0; j < weights.width; ++j) sum += std::abs(row[j]);
    std::vector<double> shares;
    for (std::size_t j = 0; j < weights.width; ++j) shares.push_back(sum > 0.0 ? std::abs(row[j]) / sum : 0.0);
    map.rows.push_back(static_cast<double>(i));
    map.values.push_back(std::move(shares));
  }
  return map;
}

double number(const nlohmann::json& head, const char* name) {
  const auto found = head.find(name);
  return found != head.end() && found->is_number() ? found->get<double>() : std::nan("");
}

// Two numbers of every trained model's layer 2 against each other.
report::Figure plane(const SinkRuns& runs) {
  report::SeriesChart chart{
      .x = {"attention entropy H (nats)"}, .y = {"sink score"}, .series = {}, .references = {}, .points = true};
  for (const std::string& attention : runs.attentions) {
    const std::vector<TrainedRun> trained = runs.learned_by(attention);
    if (trained.empty()) continue;
    chart.series.push_back({.name = attention,
                            .x = metrics_of(trained, "entropy"),
                            .y = metrics_of(trained, "sink_score"),
                            .low = {},
                            .high = {},
                            .colour = colour_of(attention)});
  }
  chart.references = {sink_threshold()};
  return {.id = "plane",
          .title = "Sink score against entropy",
          .caption =
              "One mark a trained model, means over layer 2. A head whose whole attention goes to the first token has "
              "no entropy; without sinks the entropy stays up.",
          .alternative = "Sink score against entropy of layer 2, one mark a trained model, by attention.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const SinkRuns runs(context);
  report::Section section;
  section.method = runs.method() +
                   " Drawn is the mean map over the evaluation sequences of the head with the highest sink score in "
                   "layer 2, first trained seed of each attention.";
  std::vector<Multiple> maps;
  std::vector<std::string> words, missing;
  for (const std::string& attention : runs.attentions) {
    const std::optional<Looked> looked = look_at(runs, attention);
    if (!looked) {
      missing.push_back(attention);
      continue;
    }
    const report::HeatMap map = map_of(*looked);
    maps.push_back({.title = attention, .spec = report::heat_map(map), .table = report::table_of(map)});
    words.push_back(fmt::format(
        "{} sink score {}, H {}, ‖P‖_F {}", attention, significant(number(looked->head, "sink_score"), 2),
        significant(number(looked->head, "entropy"), 2), significant(number(looked->head, "frobenius_norm"), 2)));
    section.runs.emplace_back(fmt::format("{}, {}", attention, name_of(looked->head)), looked->run.link);
  }
  section.findings = fmt::format("{}.", fmt::join(words, "; "));
  if (!missing.empty()) section.findings += fmt::format(" No model passed the filter: {}.", fmt::join(missing, ", "));

  const std::vector<TrainedRun> softmax = runs.learned_by("softmax");
  const Spread share = spread_of(metrics_of(softmax, "importance"));

  section.claims = {claim_in_words(
      "A.fig1/softmax", "Layer 2 of a softmax model puts most of its attention on the first token.", "Figure 1",
      fmt::format("mean attention to the first token over queries and heads > 1/2 in every model with accuracy > {}; "
                  "inconclusive under {}",
                  kLearned, kFewestModels),
      in_words(share, "models"), share, judged(share.runs, kFewestModels, share.low > 0.5), "maps")};

  if (!maps.empty()) {
    section.figures.push_back(
        multiples_figure({.id = "maps",
                          .title = "Attention of a head in layer 2",
                          .caption = "A bright first column is a sink: whatever the query, the attention goes to the "
                                     "first token. Rows are shares of |w|, so that all maps have one scale.",
                          .alternative = "Mean attention maps of one head in layer 2, one panel an attention.",
                          .columns = 3,
                          .share_x = false},
                         maps));
  }
  section.figures.push_back(plane(runs));
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment a_fig1() {
  return {.id = "A.fig1",
          .title = "What the heads of trained models look at",
          .source = "Polarisation paper, figure 1",
          .question = "Which attentions make trained heads look at the first token whatever the query is?",
          .trainings = "induction",
          .run = run};
}

}  // namespace polariscope::experiments
