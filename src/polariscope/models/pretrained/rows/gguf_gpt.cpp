// GGUF files of architectures with layer norms. Fused projections are blocks of queries, keys and values, whatever the
// original had; matrices are [out, in].
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/gguf_parts.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

GgufForm form(Activation activation, bool gated, bool fused) {
  return {.norm = NormKind::kLayer, .norm_bias = true, .activation = activation, .gated = gated, .fused = fused};
}

Plan read_gpt2(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm gpt2 = form(Activation::kGeluTanh, false, true);
  gpt2.rotates = false;
  Plan plan = gguf_decoder(config, tensors, gpt2);
  plan.description.learned_positions = plan.description.context;
  SourcePlaces(plan.sources, "", "").weight(kPositions, "position_embd");
  return plan;
}

Plan read_gptneox(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = gguf_decoder(config, tensors, form(Activation::kGelu, false, true));
  const bool parallel = config.flag("use_parallel_residual", true);
  for (LayerDescription& layer : plan.description.layers) layer.parallel = parallel;
  return plan;
}

Plan read_bloom(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm bloom = form(Activation::kGeluTanh, false, true);
  bloom.rotates = false;
  Plan plan = gguf_decoder(config, tensors, bloom);
  plan.description.embedding_norm = plan.description.final_norm;
  SourcePlaces(plan.sources, "", "").linear(kEmbeddingNorm, "token_embd_norm", true);
  const std::vector<double> slopes = alibi_slopes(plan.description.layers.front().attention.heads);
  for (LayerDescription& layer : plan.description.layers) layer.attention.alibi.slopes = slopes;
  return plan;
}

// The new decoder's norm before attention is the second one.
Plan read_falcon(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm falcon = form(Activation::kGelu, false, true);
  falcon.parallel = true;
  Plan plan = gguf_decoder(config, tensors, falcon);
  if (!tensors.has("blk.0.attn_norm_2.weight")) return plan;
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    plan.description.layers[n].feed_forward_norms.before = plan.description.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n), "blk.");
    places.linear(kAttentionNorm, "attn_norm_2", true);
    places.linear(kFeedForwardNorm, "attn_norm", true);
  }
  return plan;
}

Plan read_starcoder2(const ConfigReader& config, const TensorsAtHand& tensors) {
  return gguf_decoder(config, tensors, form(Activation::kGeluTanh, false, false));
}

Plan read_stablelm(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm stablelm = form(Activation::kSilu, true, false);
  stablelm.parallel = config.flag("use_parallel_residual", false);
  Plan plan = gguf_decoder(config, tensors, stablelm);
  put_gguf_query_key_norm(tensors, plan, QueryKeyNorm::kOwn);
  return plan;
}

Plan read_command_r(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = gguf_decoder(config, tensors, {.norm = NormKind::kLayer, .neighbours = true, .parallel = true});
  plan.description.logit_scale = config.number("logit_scale");
  put_gguf_query_key_norm(tensors, plan, QueryKeyNorm::kOwn);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gguf_gpt_rows() {
  return {{.name = "gpt2", .read = read_gpt2},
          {.name = "gptneox", .read = read_gptneox},
          {.name = "bloom", .read = read_bloom},
          {.name = "falcon", .read = read_falcon, .ignored_keys = {"falcon.tensor_data_layout"}},
          {.name = "starcoder2", .read = read_starcoder2},
          {.name = "stablelm", .read = read_stablelm},
          {.name = "command-r", .read = read_command_r}};
}

}  // namespace polariscope::models::rows
