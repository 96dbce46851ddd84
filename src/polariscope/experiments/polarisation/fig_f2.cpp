// Figure F.2 of the polarisation paper: the sinks of figure 4 under every way to pose the task.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

std::string name_of(const json& setting) {
  return fmt::format("positions {}, {}, aux {}", setting.at("positions").get<std::string>(),
                     setting.at("shift_query_token").get<bool>() ? "shifted" : "not shifted",
                     setting.at("auxiliary_loss").get<double>());
}

std::vector<TrainedRun> runs_of(const TrainedRuns& runs, json setting, const std::string& attention) {
  setting["attention"] = attention;
  return runs.where(setting);
}

Multiple panel(const TrainedRuns& runs, const json& setting, const char* metric, report::CategoryChart chart) {
  for (const std::string& attention : runs.attentions()) {
    const auto every = runs_of(runs, setting, attention);
    if (every.empty()) continue;
    const auto trained = learned(every);
    chart.categories.push_back({fmt::format("{} · {} of {}", attention, trained.size(), every.size()),
                                metrics_of(trained, metric), colour_of(attention)});
  }
  return {.title = name_of(setting), .spec = report::category_chart(chart), .table = report::table_of(chart)};
}

// One claim a setting: all trained softmax models against all trained models without normalisation.
report::Claim claim_of(const TrainedRuns& runs, const json& setting) {
  std::vector<double> softmax, others;
  for (const std::string& attention : runs.attentions()) {
    const reweighting::WeightKind kind = kind_of(attention);
    const std::vector<double> found = metrics_of(learned(runs_of(runs, setting, attention)), "sink_score");
    if (attention == "softmax") softmax = found;
    if (kind == reweighting::WeightKind::kUnnormalised || kind == reweighting::WeightKind::kSigned) {
      others.insert(others.end(), found.begin(), found.end());
    }
  }
  const Spread high = spread_of(softmax), low = spread_of(others);
  const bool decided = high.low > low.high || high.median <= low.median;
  return claim_in_words(
      fmt::format("A.figF2/{}", name_of(setting)),
      fmt::format("Softmax sinks more than unnormalised and signed attentions: {}.", name_of(setting)), "Figure F.2",
      fmt::format(
          "smallest sink score of layer 2 of a softmax model > largest of any unnormalised or signed one; fails "
          "if the medians are the other way round; accuracy > {}, inconclusive between, and under {} models of either",
          kLearned, kFewestModels),
      fmt::format("{} against {}", in_words(high, "models"), in_words(low, "models")), high,
      judged(decided ? std::min(high.runs, low.runs) : 0, kFewestModels, high.low > low.high), "fraction");
}

report::Section run(const Context& context) {
  const TrainedRuns runs(context);
  // Twelve in the paper.
  const std::vector<json> settings = runs.combinations({"positions", "shift_query_token", "auxiliary_loss"});
  report::Section section;
  section.method = fmt::format(
      "The trainings of figure 4 with positions concatenated, added or left out, the query token shifted or not, with "
      "and without the auxiliary loss; models with accuracy > {} are shown, {} of {}. {}",
      kLearned, learned(runs.done()).size(), runs.done().size(), runs.count_in_words());
  std::vector<Multiple> fraction, entropy, norm;
  for (const json& setting : settings) {
    section.claims.push_back(claim_of(runs, setting));
    fraction.push_back(
        panel(runs, setting, "sink_fraction",
              {.x = {"fraction of sink heads"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {}}));
    entropy.push_back(panel(runs, setting, "entropy",
                            {.x = {"H (nats)"}, .categories = {}, .low = 0.0, .high = 1.7, .references = {}}));
    norm.push_back(
        panel(runs, setting, "frobenius_norm",
              {.x = {"‖P‖_F", report::Scale::kLog}, .categories = {}, .low = 1.0, .high = 4.0, .references = {}}));
  }
  const auto holds = std::ranges::count(section.claims, report::Verdict::kHolds, &report::Claim::verdict);
  section.findings = fmt::format("In {} of {} settings softmax sinks more than what does not normalise or is signed.",
                                 holds, section.claims.size());
  const auto figure = [&](const char* id, const char* title, const std::vector<Multiple>& panels) {
    return multiples_figure({.id = id,
                             .title = title,
                             .caption = "One dot a trained model; beside each name how many pass the filter.",
                             .alternative = std::string(title) + ", one panel a setting of the task.",
                             .columns = 2,
                             .share_x = false},
                            panels);
  };
  if (!settings.empty()) {
    section.figures = {figure("fraction", "Fraction of sink heads in layer 2", fraction),
                       figure("entropy", "Entropy of layer 2", entropy),
                       figure("norm", "Norm of layer 2's attention", norm)};
  }
  section.configuration = configuration_of(runs);
  if (!context.paper()) {
    section.differences = "Other settings than figure 4's are varied one at a time, for softmax and sigmoid alone.";
  }
  section.runs = links_of(runs.done());
  return section;
}

}  // namespace

Experiment a_fig_f2() {
  return {.id = "A.figF2",
          .title = "Sinks under every way to pose the task",
          .source = "Polarisation paper, figure F.2",
          .question = "Do positions, the query token or the auxiliary loss decide whether sinks form?",
          .trainings = "induction",
          .run = run};
}

}  // namespace polariscope::experiments
