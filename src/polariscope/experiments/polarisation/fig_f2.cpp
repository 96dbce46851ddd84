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

struct Setting {
  json values;
  std::string name;
};

// Every combination of positions, shift and auxiliary loss that was trained: twelve in the paper.
std::vector<Setting> settings_of(const TrainedRuns& runs) {
  std::vector<Setting> settings;
  for (const json& positions : runs.values_of("positions")) {
    for (const json& shift : runs.values_of("shift_query_token")) {
      for (const json& auxiliary : runs.values_of("auxiliary_loss")) {
        json values{{"positions", positions}, {"shift_query_token", shift}, {"auxiliary_loss", auxiliary}};
        if (runs.where(values).empty()) continue;
        std::string name = fmt::format("positions {}, {}, aux {}", positions.get<std::string>(),
                                       shift.get<bool>() ? "shifted" : "not shifted", auxiliary.get<double>());
        settings.push_back({std::move(values), std::move(name)});
      }
    }
  }
  return settings;
}

std::vector<TrainedRun> runs_of(const TrainedRuns& runs, const Setting& setting, const std::string& attention) {
  json values = setting.values;
  values["attention"] = attention;
  return runs.where(values);
}

Multiple panel(const TrainedRuns& runs, const Setting& setting, const char* metric, report::CategoryChart chart) {
  for (const std::string& attention : runs.attentions()) {
    const auto every = runs_of(runs, setting, attention);
    if (every.empty()) continue;
    const auto trained = learned(every);
    chart.categories.push_back({fmt::format("{} · {} of {}", attention, trained.size(), every.size()),
                                metrics_of(trained, metric), colour_of(attention)});
  }
  return {.title = setting.name, .spec = report::category_chart(chart), .table = report::table_of(chart)};
}

// One claim a setting: all trained softmax models against all trained models without normalisation.
report::Claim claim_of(const TrainedRuns& runs, const Setting& setting) {
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
  const bool enough = high.runs >= 3 && low.runs >= 3;
  report::Verdict verdict = report::Verdict::kInconclusive;
  if (enough && high.low > low.high) verdict = report::Verdict::kHolds;
  if (enough && high.median <= low.median) verdict = report::Verdict::kFails;
  return claim_in_words(
      fmt::format("A.figF2/{}", setting.name),
      fmt::format("Softmax sinks more than unnormalised and signed attentions: {}.", setting.name), "Figure F.2",
      fmt::format(
          "smallest sink score of layer 2 of a softmax model > largest of any unnormalised or signed one; fails "
          "if the medians are the other way round; accuracy > {}, inconclusive under 3 models of either",
          kLearned),
      fmt::format("{} against {}", in_words(high, "models"), in_words(low, "models")), high, verdict, "fraction");
}

report::Section run(const Context& context) {
  const TrainedRuns runs(context);
  const std::vector<Setting> settings = settings_of(runs);
  report::Section section;
  section.method = fmt::format(
      "The trainings of figure 4 with positions concatenated, added or left out, the query token shifted or not, with "
      "and without the auxiliary loss; models with accuracy > {} are shown, {} of {}. {}",
      kLearned, learned(runs.done()).size(), runs.done().size(), runs.count_in_words());
  std::vector<Multiple> fraction, entropy, norm;
  for (const Setting& setting : settings) {
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
    section.differences =
        "Other settings than figure 4's are varied one at a time, for softmax and sigmoid alone; sizes as for A.fig4.";
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
