// BERT and RoBERTa: encoders with a norm after each sum. Files of the bare encoder (sentence embeddings) have no head.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

// `base`: "bert.", which files of the bare encoder leave out.
void put_sources(Plan& plan, const std::string& base) {
  const SourcePlaces embeddings(plan.sources, "", base + "embeddings.");
  embeddings.weight(kEmbedding, "word_embeddings");
  embeddings.weight(kPositions, "position_embeddings");
  embeddings.weight(kTokenTypes, "token_type_embeddings");
  embeddings.linear(kEmbeddingNorm, "LayerNorm", true);
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), base + "encoder.layer.");
    layer.linear(kQuery, "attention.self.query", true);
    layer.linear(kKey, "attention.self.key", true);
    layer.linear(kValue, "attention.self.value", true);
    layer.linear(kOutput, "attention.output.dense", true);
    layer.linear(kAttentionNormSum, "attention.output.LayerNorm", true);
    layer.linear(kUp, "intermediate.dense", true);
    layer.linear(kDown, "output.dense", true);
    layer.linear(kFeedForwardNormSum, "output.LayerNorm", true);
  }
}

Plan read_encoder(const ConfigReader& config, const TensorsAtHand& tensors, const std::string& base) {
  Plan plan;
  Description& model = plan.description;
  model.causal = false;
  model.vocabulary = config.size("vocab_size");
  model.width = model.embedding_width = config.size("hidden_size", 768);
  model.learned_positions = model.context = config.size("max_position_embeddings", 512);
  model.token_types = config.size("type_vocab_size", 2);
  model.tied_head = config.flag("tie_word_embeddings", true);
  config.only("is_decoder", false);
  config.only_text("position_embedding_type", "absolute");
  model.embedding_norm = layer_norm(config.number("layer_norm_eps", 1e-12));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("num_attention_heads", 12)),
                         .feed_forward = {.width = config.size("intermediate_size", 3072),
                                          .activation = activation(config, "hidden_act", "gelu")}};
  layer.attention_norms.after_sum = layer.feed_forward_norms.after_sum = model.embedding_norm;
  model.layers = layers(config, tensors, config.size("num_hidden_layers", 12), layer);
  put_sources(plan, base);
  return plan;
}

Plan read_bert(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_encoder(config, tensors, "bert.");
  Description& model = plan.description;
  model.has_head = tensors.has("cls.predictions.transform.dense.weight");
  if (!model.has_head) return plan;
  model.masked_head = {.activation = model.layers.front().feed_forward.activation, .norm = *model.embedding_norm};
  const SourcePlaces head(plan.sources, "", "cls.predictions.");
  head.linear(kMaskedDense, "transform.dense", true);
  head.linear(kMaskedNorm, "transform.LayerNorm", true);
  head.weight(kHead, "decoder");
  head.exactly(bias(kHead), "bias");
  return plan;
}

// Positions begin behind the row of the padding token.
Plan read_roberta(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_encoder(config, tensors, "roberta.");
  Description& model = plan.description;
  model.position_offset = config.integer("pad_token_id", 1) + 1;
  if (model.position_offset < 0 || model.position_offset >= model.context) {
    throw Error("{}: no row of the {} positions is left behind it", config.at("pad_token_id"), model.context);
  }
  model.context -= model.position_offset;
  model.has_head = tensors.has("lm_head.dense.weight");
  if (!model.has_head) return plan;
  model.masked_head = {.activation = Activation::kGelu, .norm = *model.embedding_norm};
  const SourcePlaces head(plan.sources, "", "lm_head.");
  head.linear(kMaskedDense, "dense", true);
  head.linear(kMaskedNorm, "layer_norm", true);
  head.weight(kHead, "decoder");
  head.exactly(bias(kHead), "bias");
  return plan;
}

const std::vector<std::string_view> kKeys = {"attention_probs_dropout_prob",
                                             "hidden_dropout_prob",
                                             "classifier_dropout",
                                             "gradient_checkpointing",
                                             "directionality",
                                             "pooler_*",
                                             "output_past",
                                             "dropout"};

}  // namespace

std::vector<PretrainedRow> bert_rows() {
  // Heads for other tasks and the pooler read the encoder; they do not change it.
  return {
      {.name = "bert",
       .read = read_bert,
       .prefix = "bert.",
       .ignored_keys = kKeys,
       .ignored_tensors = {"pooler.*", "bert.pooler.*", "cls.seq_relationship.*", "cls.predictions.decoder.bias",
                           "classifier.*", "qa_outputs.*"}},
      {.name = "roberta",
       .read = read_roberta,
       .prefix = "roberta.",
       .ignored_keys = kKeys,
       .ignored_tensors = {"pooler.*", "roberta.pooler.*", "lm_head.decoder.bias", "classifier.*", "qa_outputs.*"}}};
}

}  // namespace polariscope::models::rows
