// gpt-oss: a learned sink for each head, windows in every other layer, YaRN, experts stored [in, out] in one tensor
// with gate and up in turn, biases everywhere.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

constexpr double kSwish = 1.702;  // of Activation::kGeluSigmoid

void put_experts_of_one_tensor(const SourcePlaces& places, std::int64_t count) {
  places.linear(kRouter, "mlp.router", true);
  for (std::int64_t e = 0; e < count; ++e) {
    const RowRange even{0, 1, 2}, odd{1, 1, 2};
    places.exactly(expert(e, kGate), "mlp.experts.gate_up_proj", {.expert = e, .transposed = true, .rows = even});
    places.exactly(expert(e, kUp), "mlp.experts.gate_up_proj", {.expert = e, .transposed = true, .rows = odd});
    places.exactly(expert(e, kDown), "mlp.experts.down_proj", {.expert = e, .transposed = true});
    places.exactly(bias(expert(e, kGate)), "mlp.experts.gate_up_proj_bias", {.expert = e, .rows = even});
    places.exactly(bias(expert(e, kUp)), "mlp.experts.gate_up_proj_bias", {.expert = e, .rows = odd});
    places.exactly(bias(expert(e, kDown)), "mlp.experts.down_proj_bias", {.expert = e});
  }
}

Plan read_gpt_oss(const ConfigReader& config, const TensorsAtHand& tensors) {
  if (!config.flag("attention_bias", true)) throw Error("{} is false: not understood", config.at("attention_bias"));
  Plan plan = llama(config, tensors,
                    {.theta = 150000.0,
                     .epsilon = 1e-5,
                     .context = 131072,
                     .key_heads = 8,
                     .head_width = 64,
                     .query_bias = true,
                     .output_bias = true,
                     .rotates = false});
  Description& model = plan.description;
  const std::int64_t width = model.layers.front().attention.query_width;
  Rotary positions = rotary(config, width, model.context, {.theta = 150000.0});
  if (!config.has("rope_parameters") && !config.has("rope_scaling")) {
    positions.scaling = RotaryScaling::kYarn;
    positions.factor = 32.0;
    positions.original_length = 4096;
    positions.truncate = false;
  }
  model.rotary = {positions};
  if (config.number("swiglu_alpha", kSwish) != kSwish) {
    throw Error("{}: only {} is understood", config.at("swiglu_alpha"), kSwish);
  }
  const Experts experts{.count = config.size("num_local_experts", 128),
                        .chosen = config.size("num_experts_per_tok", config.size("experts_per_token", 4)),
                        .routing = Routing::kTopThenSoftmax};
  const auto window = size_or_null(config, "sliding_window", 128);
  const std::vector<bool> slides =
      sliding_layers(config, static_cast<std::int64_t>(model.layers.size()), [](std::int64_t n) { return n % 2 == 0; });
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    LayerDescription& layer = model.layers[n];
    layer.attention.rotary = 0;
    layer.attention.sink = true;
    if (slides[n]) layer.attention.window = window;
    layer.feed_forward.activation = Activation::kGeluSigmoid;
    layer.feed_forward.up_offset = 1.0;
    layer.feed_forward.limit = config.number("swiglu_limit", 7.0);
    use_experts(config, tensors, plan, static_cast<std::int64_t>(n), experts);
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.exactly(kSink, "self_attn.sinks");
    put_experts_of_one_tensor(places, experts.count);
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gpt_oss_rows() {
  return {{.name = "gpt_oss",
           .read = read_gpt_oss,
           .prefix = "model.",
           .ignored_keys = {"hidden_act", "output_router_logits", "router_aux_loss_coef", "initial_context_length"}}};
}

}  // namespace polariscope::models::rows
