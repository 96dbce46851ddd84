// Llama and those that differ from it in numbers: Mistral (windows), Granite (multipliers), SmolLM3 (layers without
// positions).
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

Plan read_llama(const ConfigReader& config, const TensorsAtHand& tensors) {
  config.only("rope_interleaved", false);
  return llama(config, tensors, {});
}

Plan read_mistral(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.context = 131072, .key_heads = 8});
  // A null is no window, a missing key is the class default.
  const std::optional<std::int64_t> window = size_or_null(config, "sliding_window", 4096);
  for (LayerDescription& layer : plan.description.layers) layer.attention.window = window;
  return plan;
}

Plan read_granite(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {});
  Description& model = plan.description;
  model.embedding_scale = config.number("embedding_multiplier", 1.0);
  model.residual_multiplier = config.number("residual_multiplier", 1.0);
  model.logit_scale = 1.0 / config.number("logits_scaling", 1.0);
  const double scale = config.number("attention_multiplier", 1.0);
  for (LayerDescription& layer : model.layers) layer.attention.scale = scale;
  return plan;
}

Plan read_smollm3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.theta = 2e6, .tied_head = true, .context = 32768, .key_heads = 4});
  auto& found = plan.description.layers;
  const auto count = static_cast<std::int64_t>(found.size());
  const std::int64_t interval = config.size("no_rope_layer_interval", 4);
  std::vector<std::int64_t> rotated;
  if (config.has("no_rope_layers")) {
    rotated = config.integers("no_rope_layers");  // in spite of its name, 1 where there are positions
  } else {
    for (std::int64_t n = 0; n < count; ++n) rotated.push_back((n + 1) % interval != 0 ? 1 : 0);
  }
  if (rotated.size() != found.size()) {
    throw Error("{} has {} entries for {} layers", config.at("no_rope_layers"), rotated.size(), count);
  }
  const auto window = config.maybe_size("sliding_window");
  const bool uses_window = config.flag("use_sliding_window", false) && window;
  const bool typed = config.has("layer_types");
  const std::vector<bool> sliding = sliding_layers(config, count, [](std::int64_t) { return false; });
  for (std::size_t n = 0; n < found.size(); ++n) {
    if (rotated[n] == 0) found[n].attention.rotary.reset();
    if (uses_window && (typed ? sliding[n] : rotated[n] == 0)) found[n].attention.window = window;
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> llama_rows() {
  return {{.name = "llama",
           .read = read_llama,
           .prefix = "model.",
           .ignored_keys = {"pretraining_tp", "is_llama_config", "max_sequence_length"}},
          {.name = "mistral", .read = read_mistral, .prefix = "model."},
          {.name = "granite", .read = read_granite, .prefix = "model."},
          {.name = "smollm3",
           .read = read_smollm3,
           .prefix = "model.",
           .ignored_keys = {"pretraining_tp", "max_window_layers"}}};
}

}  // namespace polariscope::models::rows
