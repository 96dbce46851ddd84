// StarCoder2: rotary positions, layer norms, biases, a feed-forward without gate, maybe a window in all layers.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_starcoder2(const ConfigReader& config, const TensorsAtHand& tensors) {
  const bool biases = config.flag("use_bias", true);
  Plan plan = llama(config, tensors,
                    {.tied_head = true,
                     .epsilon_key = "norm_epsilon",
                     .epsilon = 1e-5,
                     .norm = NormKind::kLayer,
                     .activation = "gelu_pytorch_tanh",
                     .context = 4096,
                     .key_heads = 2,
                     .query_bias = biases,
                     .output_bias = biases,
                     .feed_forward_bias = biases,
                     .gated = false});
  config.only_text("norm_type", "layer_norm");
  config.only_text("mlp_type", "default");
  const auto window = config.maybe_size("sliding_window");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    plan.description.layers[n].attention.window = window;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.linear(kUp, "mlp.c_fc", biases);
    places.linear(kDown, "mlp.c_proj", biases);
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> starcoder2_rows() {
  return {{.name = "starcoder2",
           .read = read_starcoder2,
           .prefix = "model.",
           .ignored_keys = {"embedding_dropout", "residual_dropout"}}};
}

}  // namespace polariscope::models::rows
