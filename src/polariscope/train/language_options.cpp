#include "polariscope/train/language_options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/models/language/presets.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

namespace polariscope::train {
namespace {

namespace language = models::language;

// The config that the option names: a preset's, or a file's.
nlohmann::ordered_json config_named(const LanguageOptions& o, std::int64_t vocabulary) {
  if (!o.model.ends_with(".json")) {
    const language::Preset& preset = language::find_preset(o.model);
    // A preset is made for whatever tokens it gets.
    return language::config_of(preset, vocabulary, o.context);
  }
  try {
    return nlohmann::ordered_json::parse(read_file(o.model));
  } catch (const nlohmann::json::parse_error& error) {
    throw Error("{}: a model's config must be JSON: {}", o.model, error.what());
  }
}

models::OwnAttention attention_of(const LanguageOptions& o) {
  return {.form = o.attention, .qk_norm = o.qk_norm, .soft_cap = o.soft_cap, .output_gate = o.output_gate};
}

bool is_published(const LanguageOptions& o) {
  return std::filesystem::is_directory(o.model) || o.model.ends_with(".gguf");
}

language::LanguageModelOptions with_blueprint(const LanguageOptions& o, std::int64_t vocabulary,
                                              language::Blueprint blueprint) {
  language::LanguageModelOptions options{
      .blueprint = std::move(blueprint), .deviation = o.deviation, .sigma_reparam = o.sigma_reparam};
  if (o.device == "cuda") {
    if (!at::hasCUDA())
      throw Error("device \"cuda\": there is no GPU that this LibTorch could compute on: leave it at cpu");
    options.device = at::kCUDA;
  }
  if (o.precision == "bfloat16") {
    if (o.device == "cpu" && !models::has_bfloat16_products()) {
      throw Error("this processor has no products of bfloat16: leave the precision at float32");
    }
    options.precision = models::ProductPrecision::kBfloat16;
  }
  const models::Description& model = options.blueprint.description;
  if (model.vocabulary < vocabulary) {
    throw Error("model \"{}\" knows {} tokens, the data's tokenizer has {}", o.model, model.vocabulary, vocabulary);
  }
  if (o.context > model.context && model.learned_positions > 0) {
    throw Error("context {} is longer than the {} positions that model \"{}\" has learned", o.context, model.context,
                o.model);
  }
  return options;
}

}  // namespace

LanguageOptions language_options(const runs::Settings& settings) {
  LanguageOptions o;
  settings.read("data", o.data);
  settings.read("model", o.model);
  settings.read("context", o.context);
  settings.read("attention", o.attention);
  settings.read("qk_norm", o.qk_norm);
  settings.read("soft_cap", o.soft_cap);
  settings.read("output_gate", o.output_gate);
  settings.read("precision", o.precision);
  settings.read("deviation", o.deviation);
  settings.read("sigma_reparam", o.sigma_reparam);
  settings.read("device", o.device);
  settings.read("optimiser", o.optimiser);
  settings.read("schedule", o.schedule);
  settings.read("learning_rate", o.learning_rate);
  settings.read("final_rate", o.final_rate);
  settings.read("weight_decay", o.weight_decay);
  settings.read("beta_1", o.beta_1);
  settings.read("beta_2", o.beta_2);
  settings.read("momentum", o.momentum);
  settings.read("clip", o.clip);
  settings.read("z_loss", o.z_loss);
  settings.read("entropy_floor", o.entropy_floor);
  settings.read("entropy_weight", o.entropy_weight);
  settings.read("qk_clip", o.qk_clip);
  settings.read("warmup", o.warmup);
  settings.read("steps", o.steps);
  settings.read("batch", o.batch);
  settings.read("accumulation", o.accumulation);
  settings.read("validation_every", o.validation_every);
  settings.read("validation_sequences", o.validation_sequences);
  settings.read("seed", o.seed);
  if (o.qk_norm == "l2") throw Error("qk-norm \"l2\" is of in-context regression: a language model has layer and rms");
  if (o.soft_cap > 0.0 && o.attention != "softmax") {
    throw Error("a soft cap goes with attention \"softmax\", found \"{}\"", o.attention);
  }
  if (o.sigma_reparam && o.qk_clip > 0.0) {
    throw Error("qk-clip scales matrices, which sigma-reparam divides by their norms again: choose one of the two");
  }
  if (o.batch % o.accumulation != 0) {
    throw Error("accumulation must divide the batch of {}, found {}", o.batch, o.accumulation);
  }
  if (o.warmup >= o.steps && o.warmup > 0) {
    throw Error("warm-up must end before the last of {} steps, found {}", o.steps, o.warmup);
  }
  return o;
}

void require_shared(const LanguageOptions& o, std::int64_t processes) {
  if (processes > 1 && o.device != "cpu") throw Error("a training on a GPU is of one process, found {}", processes);
  const std::int64_t part = o.batch / o.accumulation;
  if (part % processes == 0) return;
  throw Error("{} processes must share {} sequences at once evenly: choose another batch or accumulation", processes,
              part);
}

double learning_rate_at(const LanguageOptions& o, std::int64_t step) {
  if (step <= o.warmup) return o.learning_rate * static_cast<double>(step) / static_cast<double>(o.warmup);
  const double left = static_cast<double>(std::max<std::int64_t>(o.steps - o.warmup - 1, 1));
  const double gone = static_cast<double>(step - o.warmup - 1) / left;
  if (o.schedule == "constant") return o.learning_rate;
  const double share = o.schedule == "linear" ? 1.0 - gone : 0.5 * (1.0 + std::cos(std::numbers::pi * gone));
  return o.learning_rate * (o.final_rate + (1.0 - o.final_rate) * share);
}

language::LanguageModelOptions model_options(const LanguageOptions& o, std::int64_t vocabulary) {
  if (is_published(o)) {
    const models::PretrainedModel published{checkpoints::Checkpoint(o.model)};
    return with_blueprint(o, vocabulary, language::blueprint_of(published, attention_of(o)));
  }
  return with_blueprint(o, vocabulary, language::blueprint_of(config_named(o, vocabulary), o.model, attention_of(o)));
}

std::unique_ptr<language::LanguageModel> make_language_model(const LanguageOptions& o, std::int64_t vocabulary) {
  const language::LanguageModelOptions options = model_options(o, vocabulary);
  if (!is_published(o)) return std::make_unique<language::LanguageModel>(options, at::kFloat, o.seed);
  const models::PretrainedModel published{checkpoints::Checkpoint(o.model)};
  return std::make_unique<language::LanguageModel>(options, at::kFloat, published);
}

std::unique_ptr<Optimiser> make_optimiser(const LanguageOptions& o, const models::Parameters& parameters) {
  const at::Tensor values = parameters.values();
  if (o.optimiser == "sgd") {
    return std::make_unique<Sgd>(SgdOptions{.learning_rate = o.learning_rate, .momentum = o.momentum}, values);
  }
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = o.learning_rate,
                                              .beta_1 = o.beta_1,
                                              .beta_2 = o.beta_2,
                                              .weight_decay = o.optimiser == "adamw" ? o.weight_decay : 0.0},
                                 values, models::language::decayed(parameters));
}

std::int64_t context_of(const LanguageOptions& o, std::int64_t longest) { return o.context > 0 ? o.context : longest; }

}  // namespace polariscope::train
