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

std::string name_of(const json& setting) {
  const bool mlp = setting.at("mlp").get<bool>(), norm = setting.at("layer_norm").get<bool>();
  return fmt::format("V = {}, {}", setting.at("vocabulary").dump(),
                     mlp && norm ? "MLP, LayerNorm"
                     : mlp       ? "MLP"
                     : norm      ? "LayerNorm"
                                 : "neither");
}

Spread rates(const FlipRuns& runs, json setting, int layers, int heads) {
  setting["layers"] = layers;
  setting["heads"] = heads;
  return spread_of(metrics_of(learned(runs.all.where(setting)), "flip_rate"));
}

report::Section run(const Context& context) {
  const FlipRuns runs(context);
  report::Section section;
  section.method = runs.method();
  const int layers = runs.most("layers"), heads = runs.most("heads");
  std::vector<Multiple> flips, entropy, norm;
  std::vector<std::string> words;
  for (const json& setting : runs.all.combinations({"vocabulary", "mlp", "layer_norm"}, {{"attention", "softmax"}})) {
    const std::string name = name_of(setting);
    const Spread few = rates(runs, setting, 1, 1), many = rates(runs, setting, layers, heads);
    section.claims.push_back(falls_claim(
        fmt::format("A.figF3/{}", name), fmt::format("More heads and layers make softmax harder to flip: {}.", name),
        "Figure F.3",
        fmt::format("largest flip rate with {} heads and {} layers < smallest with one of each", heads, layers), few,
        many, "flips"));
    words.push_back(fmt::format("{} {}", name, in_words(few, "models")));
    const auto panel = [&](const char* metric, report::Axis y) -> Multiple {
      const report::SeriesChart chart = runs.sizes_chart(setting, metric, std::move(y));
      return {.title = name, .spec = report::series_chart(chart), .table = report::table_of(chart)};
    };
    flips.push_back(panel("flip_rate", {"flip rate"}));
    entropy.push_back(panel("entropy", {"H (nats)"}));
    norm.push_back(panel("frobenius_norm", {"‖P‖_F"}));
  }
  section.findings = fmt::format("Flip rate of softmax with one head and one layer: {}.", fmt::join(words, "; "));
  const auto figure = [&](const char* id, const char* title, const std::vector<Multiple>& panels) {
    return multiples_figure({.id = id,
                             .title = title,
                             .caption = fmt::format("Median and range over the seeds that pass the filter, softmax. "
                                                    "With vocabulary {} all sequences of a label hold the same tokens.",
                                                    kOrderAloneVocabulary),
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
