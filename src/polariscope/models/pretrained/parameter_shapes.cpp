#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/parameters.h"

namespace polariscope::models {
namespace {

using namespace parameter;

class Shapes {
 public:
  void vector(std::string_view name, std::int64_t size, bool may_have_bias = false) {
    put(name, {size}, size, may_have_bias);
  }
  void matrix(std::string_view name, std::int64_t out, std::int64_t in, bool may_have_bias = true) {
    put(name, {out, in}, out, may_have_bias);
  }
  void norm(std::string_view name, const std::optional<NormDescription>& norm, std::int64_t size) {
    if (norm) vector(name, size, true);
  }

  std::string prefix;
  std::map<std::string, ParameterShape, std::less<>> found;

 private:
  void put(std::string_view name, std::vector<std::int64_t> shape, std::int64_t out, bool may_have_bias) {
    const std::string full = prefix + std::string(name);
    if (may_have_bias) found[bias(full)] = {.shape = {out}, .needed = false};
    found[full] = {.shape = std::move(shape), .needed = true};
  }
};

void add_attention(Shapes& shapes, const AttentionDescription& attention, std::int64_t width) {
  const std::int64_t queries = attention.heads * attention.query_width;
  const std::int64_t keys = attention.key_heads * attention.query_width;
  if (attention.latent) {
    const Latent& latent = *attention.latent;
    if (latent.query_rank > 0) {
      shapes.matrix(kQueryDown, latent.query_rank, width);
      shapes.vector(kQueryDownNorm, latent.query_rank);
    }
    shapes.matrix(kQuery, queries, latent.query_rank > 0 ? latent.query_rank : width);
    shapes.matrix(kLatentDown, latent.key_value_rank, width);
    shapes.vector(kLatentNorm, latent.key_value_rank);
    shapes.matrix(kRotaryKey, latent.rope_width, width);
    shapes.matrix(kLatentKey, attention.heads * latent.nope_width, latent.key_value_rank);
    shapes.matrix(kLatentValue, attention.heads * attention.value_width, latent.key_value_rank);
  } else {
    shapes.matrix(kQuery, queries, width);
    shapes.matrix(kKey, keys, width);
    shapes.matrix(kValue, attention.key_heads * attention.value_width, width);
  }
  shapes.matrix(kOutput, width, attention.heads * attention.value_width);
  if (attention.output_gate) shapes.matrix(kOutputGate, attention.heads * attention.value_width, width);
  switch (attention.query_key_norm) {
    case QueryKeyNorm::kNone: break;
    case QueryKeyNorm::kPerHead:
      shapes.vector(kQueryNorm, attention.query_width, true);
      shapes.vector(kKeyNorm, attention.query_width, true);
      break;
    case QueryKeyNorm::kOwn:
      shapes.matrix(kQueryNorm, attention.heads, attention.query_width, false);
      shapes.matrix(kKeyNorm, attention.key_heads, attention.query_width, false);
      break;
    case QueryKeyNorm::kWhole:
      shapes.vector(kQueryNorm, queries, true);
      shapes.vector(kKeyNorm, keys, true);
      break;
  }
  if (attention.sink) shapes.vector(kSink, attention.heads);
}

void add_feed_forward(Shapes& shapes, const FeedForwardDescription& forward, std::int64_t width) {
  const auto add_one = [&](std::string_view gate, std::string_view up, std::string_view down, std::int64_t units) {
    if (forward.gated) shapes.matrix(gate, units, width);
    shapes.matrix(up, units, width);
    shapes.matrix(down, width, units);
  };
  if (!forward.experts) {
    add_one(kGate, kUp, kDown, forward.width);
    return;
  }
  const Experts& experts = *forward.experts;
  shapes.matrix(kRouter, experts.count, width);
  if (experts.routing == Routing::kSigmoid) shapes.vector(kChoiceBias, experts.count);
  for (std::int64_t e = 0; e < experts.count; ++e) {
    add_one(expert(e, kGate), expert(e, kUp), expert(e, kDown), forward.width);
  }
  if (experts.shared_width > 0) add_one(kSharedGate, kSharedUp, kSharedDown, experts.shared_width);
}

}  // namespace

std::map<std::string, ParameterShape, std::less<>> parameter_shapes(const Description& model) {
  Shapes shapes;
  shapes.matrix(kEmbedding, model.vocabulary, model.embedding_width, false);
  if (model.learned_positions > 0) shapes.matrix(kPositions, model.learned_positions, model.width, false);
  if (model.token_types > 0) shapes.matrix(kTokenTypes, model.token_types, model.width, false);
  if (model.embedding_width != model.width) {
    shapes.matrix(kEmbeddingIn, model.width, model.embedding_width, false);
    shapes.matrix(kEmbeddingOut, model.embedding_width, model.width, false);
  }
  shapes.norm(kEmbeddingNorm, model.embedding_norm, model.width);
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    const LayerDescription& one = model.layers[n];
    shapes.prefix = layer(static_cast<std::int64_t>(n), "");
    shapes.norm(kAttentionNorm, one.attention_norms.before, model.width);
    shapes.norm(kAttentionNormAfter, one.attention_norms.after, model.width);
    shapes.norm(kAttentionNormSum, one.attention_norms.after_sum, model.width);
    add_attention(shapes, one.attention, model.width);
    shapes.norm(kFeedForwardNorm, one.feed_forward_norms.before, model.width);
    shapes.norm(kFeedForwardNormAfter, one.feed_forward_norms.after, model.width);
    shapes.norm(kFeedForwardNormSum, one.feed_forward_norms.after_sum, model.width);
    add_feed_forward(shapes, one.feed_forward, model.width);
  }
  shapes.prefix.clear();
  shapes.norm(kFinalNorm, model.final_norm, model.width);
  if (!model.has_head) return shapes.found;
  if (model.masked_head) {
    shapes.matrix(kMaskedDense, model.width, model.width);
    shapes.norm(kMaskedNorm, model.masked_head->norm, model.width);
  }
  shapes.matrix(kHead, model.vocabulary, model.embedding_width);
  if (model.tied_head) shapes.found.erase(std::string(kHead));
  return shapes.found;
}

}  // namespace polariscope::models
