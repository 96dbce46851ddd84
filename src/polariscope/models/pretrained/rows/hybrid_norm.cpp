// The 7B pair that the polarisation paper measures (AXLearn's Gala with "hybridnorm" and ALiBi): x + N(f(N(x))), RMS
// norms on each head of queries and keys, softmax or sigmoid with a bias. Its public files are AXLearn's own; converted
// ones have Llama's and Gemma 2's names and these keys of their own beside Llama's:
//   attention_weights  "softmax" (default) or "sigmoid"
//   sigmoid_bias       added to a sigmoid's logits; default -log(max_position_embeddings)
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_hybrid_norm(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.tied_head = true, .epsilon = 1e-5, .context = 4096, .rotates = false});
  Description& model = plan.description;
  const std::string weights = config.text("attention_weights", "softmax");
  if (weights != "softmax" && weights != "sigmoid") {
    throw Error("{} is \"{}\": expected \"softmax\" or \"sigmoid\"", config.at("attention_weights"), weights);
  }
  const double bias = config.number("sigmoid_bias", -std::log(static_cast<double>(model.context)));
  const std::vector<double> slopes = alibi_slopes(model.layers.front().attention.heads);
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    LayerDescription& layer = model.layers[n];
    layer.attention.alibi.slopes = slopes;
    if (weights == "sigmoid") {
      layer.attention.weights = AttentionWeights::kSigmoid;
      layer.attention.logit_bias = bias;
    }
    layer.attention.query_key_norm = QueryKeyNorm::kPerHead;
    layer.attention.query_key_norm_kind = *model.final_norm;
    layer.attention_norms.after = layer.feed_forward_norms.after = model.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(kQueryNorm, "self_attn.q_norm");
    places.weight(kKeyNorm, "self_attn.k_norm");
    places.weight(kAttentionNormAfter, "post_attention_layernorm");
    places.weight(kFeedForwardNorm, "pre_feedforward_layernorm");
    places.weight(kFeedForwardNormAfter, "post_feedforward_layernorm");
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> hybrid_norm_rows() {
  return {{.name = "hybrid_norm", .read = read_hybrid_norm, .prefix = "model."}};
}

}  // namespace polariscope::models::rows
