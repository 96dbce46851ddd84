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

GgufForm form(Activation activation, bool fused) {
  return {.norm = NormKind::kLayer, .norm_bias = true, .activation = activation, .gated = false, .fused = fused};
}

Plan read_gpt2(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm gpt2 = form(Activation::kGeluTanh, true);
  gpt2.rotates = false;
  Plan plan = gguf_decoder(config, tensors, gpt2);
  plan.description.learned_positions = plan.description.context;
  SourcePlaces(plan.sources, "", "").weight(kPositions, "position_embd");
  return plan;
}

Plan read_bloom(const ConfigReader& config, const TensorsAtHand& tensors) {
  GgufForm bloom = form(Activation::kGeluTanh, true);
  bloom.rotates = false;
  Plan plan = gguf_decoder(config, tensors, bloom);
  plan.description.embedding_norm = plan.description.final_norm;
  SourcePlaces(plan.sources, "", "").linear(kEmbeddingNorm, "token_embd_norm", true);
  const std::vector<double> slopes = alibi_slopes(plan.description.layers.front().attention.heads);
  for (LayerDescription& layer : plan.description.layers) layer.attention.alibi.slopes = slopes;
  return plan;
}

Plan read_starcoder2(const ConfigReader& config, const TensorsAtHand& tensors) {
  return gguf_decoder(config, tensors, form(Activation::kGeluTanh, false));
}

}  // namespace

std::vector<PretrainedRow> gguf_gpt_rows() {
  return {{.name = "gpt2", .read = read_gpt2},
          {.name = "bloom", .read = read_bloom},
          {.name = "starcoder2", .read = read_starcoder2}};
}

}  // namespace polariscope::models::rows
