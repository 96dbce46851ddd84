#include "polariscope/train/language_plan.h"

#include "polariscope/train/language_options.h"
#include "polariscope/train/language_text.h"
#include "polariscope/train/memory_meter.h"
#include "polariscope/train/monitor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

namespace polariscope::train {
namespace {

namespace language = models::language;

constexpr std::int64_t kTokens = 1024;  // of a measured pass, about: products of fewer are slower
constexpr double kNumber = 4.0;         // bytes, float32

// So many passes and seconds at least, of which the quickest counts: the first one meets memory that is new.
struct Repeats {
  int fewest;
  double seconds;
};
constexpr Repeats kOnce{1, 0.0}, kTimed{3, 2.0};

std::int64_t count_of(const models::ParameterSpec& spec) {
  return std::accumulate(spec.shape.begin(), spec.shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Its first layers, with all that stands before and after them.
language::LanguageModelOptions with_layers(language::LanguageModelOptions options, std::size_t layers) {
  language::Blueprint& blueprint = options.blueprint;
  layers = std::min(layers, blueprint.description.layers.size());
  blueprint.description.layers.resize(layers);
  std::erase_if(blueprint.shapes, [&](const auto& one) {
    constexpr std::string_view kLayer = "layer.";
    return one.first.starts_with(kLayer) && std::stoull(one.first.substr(kLayer.size())) >= layers;
  });
  return options;
}

std::int64_t trained(const language::LanguageModelOptions& options) {
  std::int64_t count = 0;
  for (const models::ParameterSpec& spec : language::parameter_specs(options)) {
    if (spec.trained) count += count_of(spec);
  }
  return count;
}

template <class Act>
double seconds_of(const Act& act) {
  const auto began = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

MeasuredStep measure(const LanguageOptions& o, const language::LanguageModelOptions& model_options,
                     std::int64_t sequences, std::int64_t context, const Repeats& repeats) {
  language::LanguageModel model(model_options, at::kFloat, o.seed);
  const auto optimiser = make_optimiser(o, model.parameters());
  const std::int64_t vocabulary = model.shape().vocabulary;
  // Any tokens do: neighbours that differ.
  const at::Tensor tokens =
      at::arange(sequences * context, at::kLong).mul(7919).remainder(vocabulary).view({sequences, context});
  MeasuredStep least{.pass = std::numeric_limits<double>::infinity(),
                     .update = std::numeric_limits<double>::infinity()};
  double all = 0.0;
  for (int passes = 0; passes < repeats.fewest || all < repeats.seconds; ++passes) {
    const MemoryMeter meter;
    const double pass = seconds_of([&] {
      model.parameters().clear_gradients();
      model
          .loss(
              tokens, tokens, o.z_loss,
              {.statistics = monitored_statistics(), .see = [](const auto& layer) { layer_record(layer.statistics); }})
          .loss.backward();
    });
    const double update = seconds_of([&] {
      at::Tensor gradients = model.parameters().gradients();
      gradient_norm(gradients);
      gradients.mul_(1.0);  // as clipping does
      optimiser->step(model.parameters().values(), gradients);
    });
    least = {std::min(least.pass, pass), std::min(least.update, update), static_cast<double>(meter.most())};
    all += pass + update;
  }
  return least;
}

}  // namespace

double LanguagePlan::tokens() const {
  return static_cast<double>(steps) * static_cast<double>(batch) * static_cast<double>(context);
}

double LanguagePlan::seconds_of_step() const {
  const std::int64_t measured = std::min<std::int64_t>(layers, 2);
  const auto work = [&](std::int64_t of_layers) {
    return static_cast<double>(of_layers * (layer_parameters + attended) + vocabulary * embedding_width);
  };
  const auto kept = static_cast<double>(parameters - (layers - measured) * layer_parameters);
  return two_layers.pass * work(layers) / work(measured) * static_cast<double>(batch) /
             static_cast<double>(measured_sequences) +
         two_layers.update * static_cast<double>(parameters) / kept;
}

MemoryPlan LanguagePlan::memory(std::int64_t parts) const {
  const auto numbers = [](auto count) { return kNumber * static_cast<double>(count); };
  const auto logits = [&](std::int64_t sequences) {
    return numbers(std::min(logit_rows, sequences * context) * vocabulary);
  };
  const double head = numbers(vocabulary * embedding_width);  // its gradient, until it is added to what there is
  const double a_layer = std::max(two_layers.bytes - one_layer.bytes, 0.0);
  const double rest = std::max(one_layer.bytes - a_layer - head - logits(measured_sequences), 0.0);
  const std::int64_t part = batch / parts;
  const double times = static_cast<double>(part) / static_cast<double>(measured_sequences);
  return {.weights = numbers(parameters + untrained),
          .gradients = numbers(parameters + untrained),
          .moments = numbers(moments * parameters),
          .activations = times * (a_layer * static_cast<double>(layers) + rest) + head,
          .logits = logits(part)};
}

LanguagePlan plan_language(const runs::Settings& settings) {
  const LanguageOptions o = language_options(settings);
  LanguagePlan plan;
  plan.has_data = o.data == "example" || std::filesystem::exists(o.data);
  const language::LanguageModelOptions model = model_options(o, plan.has_data ? LanguageText(o.data).vocabulary() : 0);
  const models::Description& description = model.blueprint.description;
  plan.parameters = trained(model);
  for (const models::ParameterSpec& spec : language::parameter_specs(model)) {
    if (!spec.trained) plan.untrained += count_of(spec);
  }
  plan.optimiser = o.optimiser;
  plan.layers = static_cast<std::int64_t>(description.layers.size());
  plan.context = context_of(o, description.context);
  plan.batch = o.batch;
  plan.accumulation = o.accumulation;
  plan.steps = o.steps;
  plan.vocabulary = description.vocabulary;
  plan.embedding_width = description.embedding_width;
  plan.moments = o.optimiser == "sgd" ? 1 : 2;
  plan.logit_rows = language::logit_rows(plan.vocabulary);
  plan.measured_sequences = std::clamp<std::int64_t>(kTokens / plan.context, 1, o.batch / o.accumulation);
  plan.layer_parameters = trained(with_layers(model, 2)) - trained(with_layers(model, 1));
  const models::AttentionDescription& attention = description.layers.front().attention;
  plan.attended = plan.context * attention.heads * (attention.query_width + attention.value_width) / 2;  // causal
  plan.one_layer = measure(o, with_layers(model, 1), plan.measured_sequences, plan.context, kOnce);
  plan.two_layers = measure(o, with_layers(model, 2), plan.measured_sequences, plan.context, kTimed);
  return plan;
}

}  // namespace polariscope::train
