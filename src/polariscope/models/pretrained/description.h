// A pretrained decoder or encoder described by data: what the one forward pass reads. A row of rows/ makes it from
// the model's config; docs/adding-an-architecture.md says how.
//
//   x_0 = N(scale · E[token] + T[0] + P[position + offset])            (N, T, P where the model has them)
//   x  <- S(x + m · A(attention(B(x))))                                each branch of a layer: attention, then
//   x  <- S(x + m · A(feed_forward(B(x))))                             feed-forward; B, A, S are norms or nothing
//   x  <- x + m · A(attention(B(x))) + m · A'(feed_forward(B'(x)))     a parallel layer
//   logits = cap(logit_scale · W H(N(x)) + b)                          H: a masked-language-model head, or nothing
//
// Which weights there are is said by the parameters (parameter_names.h): a bias that is no parameter is zero.
#pragma once

#include "polariscope/models/pretrained/rotary.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace polariscope::models {

enum class NormKind {
  kLayer,  // (x - mean) / √(variance + ε) · weight + bias
  kRms,    // x / √(mean x² + ε) · weight
};

// Weights are what x is multiplied by: formats that store them minus one are undone where they are read.
struct NormDescription {
  NormKind kind = NormKind::kLayer;
  double epsilon = 1e-5;

  bool operator==(const NormDescription&) const = default;
};

enum class Activation {
  kGelu,         // x Φ(x)
  kGeluTanh,     // its tanh form
  kGeluSigmoid,  // x σ(1.702 x)
  kSilu,         // x σ(x)
  kRelu,
  kReluSquared,
};

// Where queries and keys are normed, before rotation.
enum class QueryKeyNorm {
  kNone,
  kPerHead,  // each head by itself, all with one weight [query_width]
  kOwn,      // each head by itself, with weights of its own: [heads, query_width], keys [key_heads, query_width]
  kWhole,    // all heads together: [heads * query_width], keys [key_heads * query_width]
};

enum class AttentionWeights {
  kSoftmax,
  kSigmoid,  // σ(logit), each key by itself (Ramapuram et al. 2024)
};

// What is added to the logit of query i and key j, by head.
struct Alibi {
  std::vector<double> slopes = {};  // [heads] > 0: slope · (j - i); empty: none
  bool scaled = false;              // times the attention's scale, as if it were part of q·k (falcon)
  // The slope, and its product with the key's position j in place of j - i, are rounded to bfloat16 (falcon).
  bool bfloat16 = false;

  bool operator==(const Alibi&) const = default;
};

// Queries and keys through low ranks, one rotary key for all heads (DeepSeek). A head's query and key are
// [nope_width | rope_width], query_width = nope_width + rope_width; only the last part is rotated.
struct Latent {
  std::int64_t query_rank = 0;  // 0: queries come of the input directly
  std::int64_t key_value_rank = 0;
  std::int64_t nope_width = 0, rope_width = 0;
  NormDescription norm = {};  // of both latents

  bool operator==(const Latent&) const = default;
};

// logit_ij = cap(scale · q_i·k_j) + alibi + logit_bias for the visible j, then softmax (with the sink as one more
// column) or sigmoid. Query head h reads key head h / (heads / key_heads).
struct AttentionDescription {
  std::int64_t heads = 0, key_heads = 0;
  std::int64_t query_width = 0;  // of a head's query and key
  std::int64_t value_width = 0;  // of a head's value
  double scale = 1.0;
  std::optional<double> soft_cap = {};       // c tanh(logit / c)
  std::optional<std::int64_t> window = {};   // query i sees keys i - window + 1 ... i
  bool sink = false;                         // a learned logit a head, not scaled, dropped after the softmax
  std::optional<double> constant_sink = {};  // the same, of all heads and not learned: softmax1 at 0
  AttentionWeights weights = AttentionWeights::kSoftmax;
  std::string form = {};  // a row of the table of attentions in place of `weights` (own_attention.h)
  double logit_bias = 0.0;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  NormDescription query_key_norm_kind = {};  // where there is one
  std::optional<std::int64_t> rotary = {};   // index in Description::rotary; without: positions do not enter here
  Alibi alibi = {};
  std::optional<double> clip = {};  // queries, keys and values are cut to [-clip, clip], before their norm
  std::optional<Latent> latent = {};
  // What all heads give is multiplied, number by number, by σ(x W_gᵀ) before the output matrix, x what attention reads
  // (Qiu et al. 2025, Gated Attention for Large Language Models, their elementwise, head-specific G1).
  bool output_gate = false;

  bool operator==(const AttentionDescription&) const = default;
};

enum class Routing {
  kSoftmaxThenTop,  // weights: softmax over all experts, of the chosen ones
  kTopThenSoftmax,  // weights: softmax over the chosen ones
  kSigmoid,         // weights: σ; chosen by σ + choice bias
};

// Experts instead of one feed-forward; each is one of FeedForwardDescription::width units.
struct Experts {
  std::int64_t count = 0, chosen = 0;
  Routing routing = Routing::kSoftmaxThenTop;
  bool renormalise = true;                     // the chosen weights are divided by their sum
  double weight_floor = 0.0;                   // added to that sum (deepseek: 1e-20)
  double weight_scale = 1.0;                   // then the weights are multiplied by this
  std::int64_t groups = 1, chosen_groups = 1;  // kSigmoid: a group counts by the sum of its best two
  std::int64_t shared_width = 0;               // units of the expert that every token goes through; 0: none

  bool operator==(const Experts&) const = default;
};

// gated: down(act(gate x) · (up x + up_offset)), else down(act(up x)).
struct FeedForwardDescription {
  std::int64_t width = 0;
  Activation activation = Activation::kGelu;
  bool gated = false;
  double up_offset = 0.0;            // gpt_oss: 1
  std::optional<double> limit = {};  // gate is cut above it, up on both sides, before the activation
  std::optional<Experts> experts = {};

  bool operator==(const FeedForwardDescription&) const = default;
};

// The norms of a branch: on what it reads, on what it gives before it is added, on the sum.
struct BranchNorms {
  std::optional<NormDescription> before = {}, after = {}, after_sum = {};

  bool operator==(const BranchNorms&) const = default;
};

// In a parallel layer whose feed-forward has no norm of its own before it, it reads what attention reads.
struct LayerDescription {
  AttentionDescription attention = {};
  FeedForwardDescription feed_forward = {};
  BranchNorms attention_norms = {}, feed_forward_norms = {};
  bool parallel = false;

  bool operator==(const LayerDescription&) const = default;
};

// The head of masked language models between the last layer and the logits: norm(act(W x + b)).
struct MaskedHead {
  Activation activation = Activation::kGelu;
  NormDescription norm = {};

  bool operator==(const MaskedHead&) const = default;
};

struct Description {
  std::string architecture = {};  // the row's name
  bool causal = true;
  std::int64_t vocabulary = 0, width = 0;
  std::int64_t context = 0;          // positions it was made for; with learned positions no text is longer
  std::int64_t embedding_width = 0;  // of the table; if it is not `width`, maps lead in and out (opt-350m)
  double embedding_scale = 1.0;
  std::int64_t token_types = 0;        // rows of an embedding of which row 0 is added; 0: none
  std::int64_t learned_positions = 0;  // rows of the table of positions; 0: none
  std::int64_t position_offset = 0;    // position p is its row p + offset
  std::optional<NormDescription> embedding_norm = {};
  std::vector<Rotary> rotary = {};
  std::vector<LayerDescription> layers = {};
  double residual_multiplier = 1.0;  // m
  std::optional<NormDescription> final_norm = {};
  bool has_head = true;    // files of a bare encoder hold none: there are no logits
  bool tied_head = false;  // the head is the embedding table
  std::optional<MaskedHead> masked_head = {};
  double logit_scale = 1.0;
  std::optional<double> logit_cap = {};  // c tanh(logit / c)

  bool operator==(const Description&) const = default;
};

}  // namespace polariscope::models
