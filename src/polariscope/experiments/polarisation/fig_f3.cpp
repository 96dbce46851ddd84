// Figure F.3 of the polarisation paper: what vocabulary, MLP and LayerNorm do to the flip rate of softmax.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flip_runs.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

struct Setting {
  json values;
  std::string name;
};

std::vector<Setting> settings_of(const TrainedRuns& runs) {
  std::vector<Setting> settings;
  for (const json& vocabulary : runs.values_of("vocabulary")) {
    for (const json& mlp : runs.values_of("mlp")) {
      for (const json& norm : runs.values_of("layer_norm")) {
        json values{{"attention", "softmax"}, {"vocabulary", vocabulary}, {"mlp", mlp}, {"layer_norm", norm}};
        if (runs.where(values).empty()) continue;
        const char* blocks = mlp.get<bool>()    ? norm.get<bool>() ? "MLP, LayerNorm" : "MLP"
                             : norm.get<bool>() ? "LayerNorm"
                                                : "neither";
        settings.push_back({std::move(values), fmt::format("V = {}, {}", vocabulary.dump(), blocks)});
      }
    }
  }
  return settings;
}

Spread rates(const FlipRuns& runs, const Setting& setting, int layers, int heads) {
  json at = setting.values;
  at["layers"] = layers;
  at["heads"] = heads;
  return spread_of(metrics_of(learned(runs.all.where(at)), "flip_rate"));
}

report::Section run(const Context& context) {
  const FlipRuns runs(context);
  report::Section section;
  section.method = runs.method();
  const int layers = runs.most("layers"), heads = runs.most("heads");
  std::vector<Multiple> flips, entropy, norm;
  std::vector<std::string> words;
  for (const Setting& setting : settings_of(runs.all)) {
    const Spread few = rates(runs, setting, 1, 1), many = rates(runs, setting, layers, heads);
    report::Claim claim = judged_claim(
        fmt::format("A.figF3/{}", setting.name),
        fmt::format("More heads and layers make softmax harder to flip: {}.", setting.name), "Figure F.3",
        fmt::format("largest flip rate with {} heads and {} layers < smallest with one of each", heads, layers), many,
        many.high < few.low, "flips");
    if (few.runs < 3) claim.verdict = report::Verdict::kInconclusive;
    claim.measured = fmt::format("{} → {}", in_words(few, "models"), in_words(many, "models"));
    section.claims.push_back(std::move(claim));
    words.push_back(fmt::format("{} {}", setting.name, in_words(few, "models")));
    const auto panel = [&](const char* metric, report::Axis y) -> Multiple {
      const report::SeriesChart chart = runs.sizes_chart(setting.values, metric, std::move(y));
      return {.title = setting.name, .spec = report::series_chart(chart), .table = report::table_of(chart)};
    };
    flips.push_back(panel("flip_rate", {"flip rate"}));
    entropy.push_back(panel("entropy", {"H (nats)"}));
    norm.push_back(panel("frobenius_norm", {"‖P‖_F"}));
  }
  section.findings = fmt::format("Flip rate of softmax with one head and one layer: {}.", fmt::join(words, "; "));
  const auto figure = [&](const char* id, const char* title, const std::vector<Multiple>& panels) {
    return multiples_figure({.id = id,
                             .title = title,
                             .caption = "Median and range over the seeds that pass the filter, softmax. With "
                                        "vocabulary 41 all sequences of a label hold the same tokens.",
                             .alternative = std::string(title) + " against heads, one panel a setting.",
                             .columns = 3,
                             .share_x = false},
                            panels);
  };
  if (!flips.empty()) {
    section.figures = {figure("flips", "Flip rate by vocabulary, MLP and LayerNorm", flips),
                       figure("entropy", "Entropy of the last layer", entropy),
                       figure("norm", "Norm of the last layer's attention", norm)};
  }
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  section.runs = links_of(runs.all.where({{"attention", "softmax"}}));
  return section;
}

}  // namespace

Experiment a_fig_f3() {
  return {.id = "A.figF3",
          .title = "Flips by vocabulary, MLP and LayerNorm",
          .source = "Polarisation paper, figure F.3",
          .question = "What besides heads and layers decides how easily a prediction is turned over?",
          .trainings = "token-groups",
          .run = run};
}

}  // namespace polariscope::experiments
