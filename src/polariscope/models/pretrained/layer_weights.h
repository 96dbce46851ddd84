// The weights of one layer as the forward pass multiplies with them. `Operations` are those of forward_pass.h.
#pragma once

#include "polariscope/models/pretrained/description.h"
#include "polariscope/models/pretrained/parameter_names.h"

#include <cstdint>
#include <string>
#include <vector>

namespace polariscope::models {

template <class Operations>
struct FeedForwardWeights {
  typename Operations::Matrix up, down;  // up: gate above up where the feed-forward is gated

  // prefix: what stands before "gate", "up" and "down" in the parameters' names.
  void load(Operations& operations, const std::string& prefix, bool gated) {
    std::vector<std::string> names;
    if (gated) names.push_back(prefix + "gate");
    names.push_back(prefix + "up");
    operations.load(up, names);
    operations.load(down, {prefix + "down"});
  }
};

template <class Operations>
struct LayerWeights {
  using Matrix = typename Operations::Matrix;
  using Vector = typename Operations::Vector;
  using Norm = typename Operations::Norm;

  // Queries, keys and values in one product; of latent attention the two latents and the rotary key, and the second
  // products of both latents.
  Matrix projections, latent_query, latent_key_value;
  Norm query_latent_norm, latent_norm, query_norm, key_norm;
  Matrix output_gate, output;
  Norm attention_before, attention_after, attention_sum;
  Vector sink;

  Norm feed_forward_before, feed_forward_after, feed_forward_sum;
  FeedForwardWeights<Operations> feed_forward;  // of experts: the shared one
  Matrix router;
  Vector choice_bias;

  // Of layer `number`; the memory of an earlier layer's is used again.
  void load(Operations& operations, const LayerDescription& of, std::int64_t number) {
    const auto name = [&](std::string_view parameter) { return parameter::layer(number, parameter); };
    const auto norm = [&](const std::optional<NormDescription>& there, Norm& to, std::string_view parameter) {
      if (there) operations.load(to, name(parameter));
    };
    load_attention(operations, of.attention, name);
    norm(of.attention_norms.before, attention_before, parameter::kAttentionNorm);
    norm(of.attention_norms.after, attention_after, parameter::kAttentionNormAfter);
    norm(of.attention_norms.after_sum, attention_sum, parameter::kAttentionNormSum);
    norm(of.feed_forward_norms.before, feed_forward_before, parameter::kFeedForwardNorm);
    norm(of.feed_forward_norms.after, feed_forward_after, parameter::kFeedForwardNormAfter);
    norm(of.feed_forward_norms.after_sum, feed_forward_sum, parameter::kFeedForwardNormSum);
    const bool gated = of.feed_forward.gated;
    if (const auto& experts = of.feed_forward.experts) {
      operations.load(router, {name(parameter::kRouter)});
      if (experts->routing == Routing::kSigmoid) operations.load(choice_bias, name(parameter::kChoiceBias));
      if (experts->shared_width > 0) feed_forward.load(operations, name("feed_forward.shared."), gated);
    } else {
      feed_forward.load(operations, name("feed_forward."), gated);
    }
  }

 private:
  template <class Name>
  void load_attention(Operations& operations, const AttentionDescription& of, const Name& name) {
    using namespace parameter;
    if (const auto& latent = of.latent) {
      operations.load(projections,
                      {name(latent->query_rank > 0 ? kQueryDown : kQuery), name(kLatentDown), name(kRotaryKey)});
      if (latent->query_rank > 0) {
        operations.load(query_latent_norm, name(kQueryDownNorm));
        operations.load(latent_query, {name(kQuery)});
      }
      operations.load(latent_norm, name(kLatentNorm));
      operations.load(latent_key_value, {name(kLatentKey), name(kLatentValue)});
    } else {
      operations.load(projections, {name(kQuery), name(kKey), name(kValue)});
    }
    if (of.query_key_norm != QueryKeyNorm::kNone) {
      operations.load(query_norm, name(kQueryNorm));
      operations.load(key_norm, name(kKeyNorm));
    }
    if (of.sink) operations.load(sink, name(kSink));
    if (of.output_gate) operations.load(output_gate, {name(kOutputGate)});
    operations.load(output, {name(kOutput)});
  }
};

}  // namespace polariscope::models
