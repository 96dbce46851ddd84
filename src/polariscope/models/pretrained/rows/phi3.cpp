// Phi-3: fused projections, LongRoPE ("su" and "yarn" as its type mean it too), a window in all layers.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <tuple>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_phi3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.epsilon = 1e-5, .context = 4096, .rotates = false});
  Description& model = plan.description;
  model.rotary = {rotary(config, model.layers.front().attention.query_width, model.context,
                         {.original_length = 4096, .yarn_is_longrope = true})};
  config.only("lm_head_bias", false);
  const auto scaling = model.rotary.front().scaling;
  if (scaling != RotaryScaling::kNone && scaling != RotaryScaling::kLongRope) {
    throw Error("{}: phi3 knows no other scaling of rotary positions than \"longrope\"", config.where());
  }
  const auto window = config.maybe_size("sliding_window");
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    LayerDescription& layer = model.layers[n];
    layer.attention.rotary = 0;
    layer.attention.window = window;
    const auto [heads, key_heads, width] =
        std::tuple(layer.attention.heads, layer.attention.key_heads, layer.attention.query_width);
    const std::int64_t units = layer.feed_forward.width;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(kQuery, "self_attn.qkv_proj", {.rows = fused::block_query(heads, key_heads, width)});
    places.weight(kKey, "self_attn.qkv_proj", {.rows = fused::block_key(heads, key_heads, width)});
    places.weight(kValue, "self_attn.qkv_proj", {.rows = fused::block_value(heads, key_heads, width)});
    places.weight(kGate, "mlp.gate_up_proj", {.rows = {0, units, 2 * units}});
    places.weight(kUp, "mlp.gate_up_proj", {.rows = {units, units, 2 * units}});
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> phi3_rows() {
  return {{.name = "phi3",
           .read = read_phi3,
           .prefix = "model.",
           .ignored_keys = {"embd_pdrop", "resid_pdrop", "full_attn_mod", "interpolate_factor"}}};
}

}  // namespace polariscope::models::rows
