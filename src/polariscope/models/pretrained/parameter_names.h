// What the parameters of a description are called, and their shapes. A matrix is [out, in], row-major, whatever the
// file says; the bias of `name` is `name` + kBias, and is a parameter only where the checkpoint has one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace polariscope::models::parameter {

inline constexpr std::string_view kBias = ".bias";

inline constexpr std::string_view kEmbedding = "embedding";               // [vocabulary, embedding_width]
inline constexpr std::string_view kPositions = "embedding.positions";     // [learned_positions, width]
inline constexpr std::string_view kTokenTypes = "embedding.token_types";  // [token_types, width]
inline constexpr std::string_view kEmbeddingNorm = "embedding.norm";      // [width]
inline constexpr std::string_view kEmbeddingIn = "embedding.in";          // [width, embedding_width], if those differ
inline constexpr std::string_view kEmbeddingOut = "embedding.out";        // [embedding_width, width], before the head
inline constexpr std::string_view kFinalNorm = "final_norm";              // [width]
inline constexpr std::string_view kHead = "head";                         // [vocabulary, embedding_width], unless tied
inline constexpr std::string_view kMaskedDense = "masked_head.dense";     // [width, width]
inline constexpr std::string_view kMaskedNorm = "masked_head.norm";       // [width]

// Of a layer: layer(n, kQuery) is "layer.<n>.attention.query". H heads, K key heads, d query width, v value width.
inline constexpr std::string_view kAttentionNorm = "attention.norm";             // [width], before
inline constexpr std::string_view kAttentionNormAfter = "attention.norm_after";  // [width]
inline constexpr std::string_view kAttentionNormSum = "attention.norm_sum";      // [width]
inline constexpr std::string_view kQuery = "attention.query";                    // [H d, width or query_rank]
inline constexpr std::string_view kKey = "attention.key";                        // [K d, width]
inline constexpr std::string_view kValue = "attention.value";                    // [K v, width]
inline constexpr std::string_view kOutput = "attention.output";                  // [width, H v]
inline constexpr std::string_view kOutputGate = "attention.output_gate";         // [H v, width], with an output_gate
inline constexpr std::string_view kQueryNorm = "attention.query_norm";           // see QueryKeyNorm
inline constexpr std::string_view kKeyNorm = "attention.key_norm";
inline constexpr std::string_view kSink = "attention.sink";  // [H]
// Latent attention has these in place of key and value; with a query_rank, kQuery reads the latent.
inline constexpr std::string_view kQueryDown = "attention.query_down";           // [query_rank, width]
inline constexpr std::string_view kQueryDownNorm = "attention.query_down_norm";  // [query_rank]
inline constexpr std::string_view kLatentDown = "attention.latent_down";         // [key_value_rank, width]
inline constexpr std::string_view kLatentNorm = "attention.latent_norm";         // [key_value_rank]
inline constexpr std::string_view kRotaryKey = "attention.rotary_key";           // [rope_width, width]
inline constexpr std::string_view kLatentKey = "attention.latent_key";           // [H nope_width, key_value_rank]
inline constexpr std::string_view kLatentValue = "attention.latent_value";       // [H v, key_value_rank]

inline constexpr std::string_view kFeedForwardNorm = "feed_forward.norm";             // [width], before
inline constexpr std::string_view kFeedForwardNormAfter = "feed_forward.norm_after";  // [width]
inline constexpr std::string_view kFeedForwardNormSum = "feed_forward.norm_sum";      // [width]
inline constexpr std::string_view kGate = "feed_forward.gate";                        // [units, width], if gated
inline constexpr std::string_view kUp = "feed_forward.up";                            // [units, width]
inline constexpr std::string_view kDown = "feed_forward.down";                        // [width, units]
// With experts there are expert(e, kGate) ... "feed_forward.expert.<e>.gate" in place of those three, and the
// router; the shared one, if there is any, is "feed_forward.shared.gate" ...
inline constexpr std::string_view kRouter = "feed_forward.router";           // [count, width]
inline constexpr std::string_view kChoiceBias = "feed_forward.choice_bias";  // [count], Routing::kSigmoid
inline constexpr std::string_view kSharedGate = "feed_forward.shared.gate";  // [shared_width, width]
inline constexpr std::string_view kSharedUp = "feed_forward.shared.up";      // [shared_width, width]
inline constexpr std::string_view kSharedDown = "feed_forward.shared.down";  // [width, shared_width]

inline std::string layer(std::int64_t number, std::string_view name) {
  return "layer." + std::to_string(number) + "." + std::string(name);
}

// expert(3, kUp) is "feed_forward.expert.3.up".
inline std::string expert(std::int64_t number, std::string_view name) {
  return "feed_forward.expert." + std::to_string(number) + std::string(name.substr(name.rfind('.')));
}

inline std::string bias(std::string_view name) { return std::string(name) + std::string(kBias); }

}  // namespace polariscope::models::parameter
