// DistilBERT: BERT without token types, with names of its own.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

constexpr double kEpsilon = 1e-12;

void put_sources(Plan& plan) {
  const SourcePlaces embeddings(plan.sources, "", "distilbert.embeddings.");
  embeddings.weight(kEmbedding, "word_embeddings");
  embeddings.weight(kPositions, "position_embeddings");
  embeddings.linear(kEmbeddingNorm, "LayerNorm", true);
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "distilbert.transformer.layer.");
    layer.linear(kQuery, "attention.q_lin", true);
    layer.linear(kKey, "attention.k_lin", true);
    layer.linear(kValue, "attention.v_lin", true);
    layer.linear(kOutput, "attention.out_lin", true);
    layer.linear(kAttentionNormSum, "sa_layer_norm", true);
    layer.linear(kUp, "ffn.lin1", true);
    layer.linear(kDown, "ffn.lin2", true);
    layer.linear(kFeedForwardNormSum, "output_layer_norm", true);
  }
  if (!plan.description.has_head) return;
  const SourcePlaces head(plan.sources, "", "");
  head.linear(kMaskedDense, "vocab_transform", true);
  head.linear(kMaskedNorm, "vocab_layer_norm", true);
  head.linear(kHead, "vocab_projector", true);
}

Plan read_distilbert(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("dim", "hidden_size");
  config.also("n_heads", "num_attention_heads");
  config.also("n_layers", "num_hidden_layers");
  Plan plan;
  Description& model = plan.description;
  model.causal = false;
  model.vocabulary = config.size("vocab_size", 30522);
  model.width = model.embedding_width = config.size("dim", 768);
  model.learned_positions = model.context = config.size("max_position_embeddings", 512);
  model.tied_head = config.flag("tie_word_embeddings", true);
  model.embedding_norm = layer_norm(kEpsilon);
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("n_heads", 12)),
                         .feed_forward = {.width = config.size("hidden_dim", 3072),
                                          .activation = activation(config, "activation", "gelu")}};
  layer.attention_norms.after_sum = layer.feed_forward_norms.after_sum = model.embedding_norm;
  model.layers = layers(config, tensors, config.size("n_layers", 6), layer);
  model.has_head = tensors.has("vocab_transform.weight");
  if (model.has_head) model.masked_head = {.activation = layer.feed_forward.activation, .norm = layer_norm(kEpsilon)};
  put_sources(plan);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> distilbert_rows() {
  return {{.name = "distilbert",
           .read = read_distilbert,
           .prefix = "distilbert.",
           // The table of positions is in the file whatever sinusoidal_pos_embds says.
           .ignored_keys = {"dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_"},
           .ignored_tensors = {"pre_classifier.*", "classifier.*", "qa_outputs.*"}}};
}

}  // namespace polariscope::models::rows
