#include "polariscope/experiments/language/language_runs.h"

#include "polariscope/base/error.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/report/colours.h"
#include "polariscope/reweighting/attention_form.h"
#include "polariscope/runs/collapse_detector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>

namespace polariscope::experiments {
namespace {

constexpr std::size_t kPapers = 4;  // attentions, at the front of variants()

nlohmann::json with(const nlohmann::json& changes) {
  nlohmann::json settings{
      {"attention", "softmax"}, {"qk_norm", "no"}, {"soft_cap", 0.0}, {"output_gate", false}, {"sigma_reparam", false}};
  settings.update(changes);
  return settings;
}

std::vector<LanguageVariant> variants() {
  std::vector<LanguageVariant> all;
  for (const AttentionVariant& of : paper_variants()) {
    all.push_back({of.name(), of.colour(), with({{"attention", of.attention}, {"qk_norm", of.qk_norm}})});
  }
  all.push_back({"soft cap 30", report::named_colour("pink"), with({{"soft_cap", 30.0}})});
  all.push_back({"sink", colour_of("sink"), with({{"attention", "sink"}})});
  all.push_back({"output gate", report::named_colour("brown"), with({{"output_gate", true}})});
  all.push_back({"σReparam", report::named_colour("slate"), with({{"sigma_reparam", true}})});
  return all;
}

std::string model_of(const TrainedRuns& all, const char* family) {
  for (const nlohmann::json& model : all.values_of("model")) {
    if (model.is_string() && model.get_ref<const std::string&>().starts_with(family)) return model;
  }
  return family;
}

std::vector<LanguageRun> read(const TrainedRuns& all, const std::string& model, const LanguageVariant& variant) {
  nlohmann::json settings = variant.settings;
  settings["model"] = model;
  std::vector<LanguageRun> runs;
  for (const TrainedRun& one : all.where(settings)) runs.emplace_back(one);
  return runs;
}

}  // namespace

LanguageRun::LanguageRun(TrainedRun trained)
    : trained_(std::move(trained)),
      log_(runs::read_run_log(trained_.folder / "metrics.jsonl")),
      validation_(runs::read_run_log(trained_.folder / "validation.jsonl")) {
  if (log_.steps() == 0) throw Error("{} has no steps", (trained_.folder / "metrics.jsonl").string());
  if (diverged()) runs::cut_after(log_, trained_.metric("last_finite_step"));
}

double LanguageRun::uniform_entropy() const {
  const runs::MapShape shape = runs::map_shape(1, 1, trained_.whole_setting("context"), true);
  return shape.uniform_entropy;
}

double LanguageRun::lowest_entropy() const {
  double lowest = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& layer : log_.layers.at("entropy")) {
    for (const double entropy : layer) {
      if (entropy < lowest) lowest = entropy;  // NaN is none
    }
  }
  return lowest / uniform_entropy();
}

std::vector<double> LanguageRun::mean_over_layers(const char* statistic) const {
  std::vector<double> means(log_.steps(), 0.0);
  for (int layer = 0; layer < layers(); ++layer) {
    const std::vector<double>& values = log_.layer(statistic, static_cast<std::size_t>(layer));
    for (std::size_t s = 0; s < means.size(); ++s) means[s] += values[s] / layers();
  }
  return means;
}

double LanguageRun::final_validation_loss() const {
  return diverged() ? std::nan("") : validation_.number("loss").back();
}

double LanguageRun::final_norm() const { return mean_over_layers("frobenius_norm").back(); }

LanguageRuns::LanguageRuns(const Context& given, const char* family) : all(given), model(model_of(all, family)) {
  for (LanguageVariant& variant : variants()) {
    std::vector<LanguageRun> runs = read(all, model, variant);
    if (runs.empty() && attentions.size() >= kPapers) continue;
    attentions.push_back({std::move(variant), std::move(runs)});
    for (const LanguageRun& run : attentions.back().runs) context = run.trained().whole_setting("context");
  }
}

double LanguageRuns::uniform_entropy() const { return runs::map_shape(1, 1, context, true).uniform_entropy; }

double LanguageRuns::uniform_norm() const {
  double sum = 0.0;
  for (int i = 1; i <= context; ++i) sum += 1.0 / i;
  return std::sqrt(sum);
}

double LanguageRuns::one_hot_norm() const { return std::sqrt(static_cast<double>(context)); }

std::string LanguageRuns::setting(const char* name) const {
  std::vector<std::string> words;
  for (const nlohmann::json& value : all.values_of(name)) {
    words.push_back(value.is_number() ? plain(value.get<double>()) : value.get<std::string>());
  }
  return words.empty() ? "?" : fmt::format("{}", fmt::join(words, " or "));
}

std::string LanguageRuns::method() const {
  return fmt::format(
      "{} A model of {}'s shape reads {} in sequences of {}; {}, a {} schedule down to {} of the rate, clipping at {}. "
      "The last hundredth of the text is for validation. Every number of every head is of the training batches, at "
      "every "
      "step.",
      all.count_in_words(), model,
      reads_example() ? "the text of the documentation, a token a byte," : "the shards that its settings name", context,
      setting("optimiser"), setting("schedule"), setting("final_rate"), setting("clip"));
}

bool LanguageRuns::reads_example() const {
  return all.done().empty() || all.done().front().settings.value("data", "") == "example";
}

std::string LanguageRuns::differences() const {
  const std::string sizes = reads_example()
                                ? fmt::format(
                                      "The paper trains 1.1 billion parameters on two billion tokens of the Pile, and "
                                      "GPT2-large; here are a few million on the text of this documentation, read more "
                                      "than once, in sequences of {} where the paper has 768 and 200. ",
                                      context)
                                : "";
  return sizes +
         fmt::format(
             "What the paper does not print is ours: betas {} and {}, {} steps of warm-up, scores over the root of the "
             "head's width, LayerNorm of each head's queries and keys before rotation, relu + {}.",
             setting("beta_1"), setting("beta_2"), setting("warmup"),
             plain(reweighting::find_attention_form("relu_kernel/sum").feature_offset));
}

std::string LanguageRuns::findings() const {
  std::vector<std::pair<std::string, Spread>> entropies, losses;
  for (const RunsOfAttention& of : attentions) {
    entropies.emplace_back(of.variant.name, over_runs(of, &LanguageRun::lowest_entropy));
    losses.emplace_back(of.variant.name, over_runs(of, &LanguageRun::final_validation_loss));
  }
  return fmt::format(
      "Lowest entropy of a layer, over that of uniform rows: {}. Last validation loss, nats a token: {}.",
      of_each_variant(entropies), of_each_variant(losses));
}

std::vector<std::pair<std::string, std::string>> LanguageRuns::links() const {
  std::vector<std::pair<std::string, std::string>> links;
  for (const RunsOfAttention& of : attentions) {
    for (const LanguageRun& run : of.runs) {
      links.emplace_back(fmt::format("{}, {}, rate {:g}, seed {}", model, of.variant.name, run.learning_rate(),
                                     run.trained().settings.at("seed").dump()),
                         run.trained().link);
    }
  }
  return links;
}

Spread over_runs(const RunsOfAttention& of, const std::function<double(const LanguageRun&)>& figure) {
  std::vector<double> values;
  for (const LanguageRun& run : of.runs) values.push_back(figure(run));
  return spread_of(std::move(values));
}

}  // namespace polariscope::experiments
