// What rows of GGUF files are made of: the metadata and tensor names of llama.cpp.
#pragma once

#include "polariscope/models/pretrained/architecture_row.h"

namespace polariscope::models::rows {

// A decoder as a GGUF file says, with what its architecture takes for granted.
struct GgufForm {
  NormKind norm = NormKind::kRms;
  bool norm_bias = false;
  bool rotates = true;
  bool neighbours = false;  // pairs (2i, 2i + 1)
  Activation activation = Activation::kSilu;
  bool gated = true;
  bool fused = false;  // attn_qkv: all queries, all keys, all values
};

// Biases are wherever the first layer has them; without output.weight the head is the embedding.
Plan gguf_decoder(const ConfigReader& config, const TensorsAtHand& tensors, const GgufForm& form);

// Matrices of experts: ffn_gate_exps [experts, units, width] and its kin. Takes expert_count and
// expert_used_count; nothing changes where there is no such key.
void put_gguf_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan);

// A norm for each head of queries and keys, if the first layer has it.
void put_gguf_query_key_norm(const TensorsAtHand& tensors, Plan& plan, QueryKeyNorm kind);

}  // namespace polariscope::models::rows
