// Parameters out of fused, transposed, stacked and shifted tensors.
#include "polariscope/models/pretrained/sources.h"

#include "polariscope/models/pretrained/architecture_row.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "tiny_checkpoint.h"

#include <gtest/gtest.h>

namespace polariscope::models {
namespace {

using namespace polariscope::testing;

// The tiny Llama with the query taken from elsewhere.
std::vector<float> query_from(const TinyTensor& tensor, Source source) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["fused"] = tensor;
  static Source from;
  from = std::move(source);
  from.tensor = "fused";
  const PretrainedRow row{.name = "tiny", .read = [](const ConfigReader& config, const TensorsAtHand& at_hand) {
                            Plan plan = find_pretrained_row("llama").read(config, at_hand);
                            plan.sources["layer.0.attention.query"] = from;
                            plan.ignored_tensors = {"*q_proj.weight"};
                            return plan;
                          }};
  const TemporaryFolder folder;
  write_tiny(folder.path(), tiny_llama_config(), tensors);
  const PretrainedModel model(checkpoints::Checkpoint(folder.path().string()), row);
  const std::vector<float> whole = model.read("layer.0.attention.query");
  // By rows it is the same as at once.
  std::vector<float> rows(16);
  model.read_rows("layer.0.attention.query", 0, 1, rows.data());
  model.read_rows("layer.0.attention.query", 1, 3, rows.data() + 4);
  EXPECT_EQ(rows, whole);
  return whole;
}

std::vector<float> rows_of(std::initializer_list<int> rows) {
  std::vector<float> numbers;
  for (const int row : rows) {
    for (int column = 0; column < 4; ++column) numbers.push_back(static_cast<float>(4 * row + column));
  }
  return numbers;
}

TEST(Sources, OfBlocksAreOneAfterTheOther) {
  // 2 heads on 1 key head of width 2: queries are rows 0 to 3, the key 4 and 5, the value 6 and 7.
  EXPECT_EQ(query_from(counting({8, 4}), {.rows = fused::block_query(2, 1, 2)}), rows_of({0, 1, 2, 3}));
  EXPECT_EQ(fused::block_key(2, 1, 2), (RowRange{4, 2, 8}));
  EXPECT_EQ(fused::block_value(2, 1, 2), (RowRange{6, 2, 8}));
}

TEST(Sources, OfGroupsSkipKeysAndValues) {
  // 2 heads on 2 key heads of width 2: each has rows of query, key, value.
  EXPECT_EQ(query_from(counting({12, 4}), {.rows = fused::group_query(2, 2, 2)}), rows_of({0, 1, 6, 7}));
  EXPECT_EQ(query_from(counting({12, 4}), {.rows = fused::group_key(2, 2, 2)}), rows_of({2, 3, 8, 9}));
  EXPECT_EQ(query_from(counting({12, 4}), {.rows = fused::group_value(2, 2, 2)}), rows_of({4, 5, 10, 11}));
}

TEST(Sources, OfTransposedTensorsAreColumns) {
  TinyTensor stored{.shape = {4, 8}, .numbers = std::vector<float>(32)};
  for (std::size_t in = 0; in < 4; ++in) {
    for (std::size_t out = 0; out < 8; ++out) stored.numbers[8 * in + out] = static_cast<float>(4 * out + in);
  }
  EXPECT_EQ(query_from(stored, {.transposed = true, .rows = {4, 4, 8}}), rows_of({4, 5, 6, 7}));
  EXPECT_EQ(query_from(stored, {.transposed = true, .rows = {1, 1, 2}}), rows_of({1, 3, 5, 7}));
}

TEST(Sources, OfExpertsAreTheirPart) {
  EXPECT_EQ(query_from(counting({3, 4, 4}), {.expert = 2}), rows_of({8, 9, 10, 11}));
  EXPECT_EQ(query_from(counting({3, 8, 4}), {.expert = 1, .rows = {1, 1, 2}}), rows_of({9, 11, 13, 15}));
}

TEST(Sources, OfNormsStoredMinusOneAreOneMore) {
  std::vector<float> wanted = rows_of({0, 1, 2, 3});
  for (float& number : wanted) number += 1.0f;
  EXPECT_EQ(query_from(counting({4, 4}), {.add = 1.0}), wanted);
}

TEST(Sources, OfStackedTensorsAreOneBelowTheOther) {
  nlohmann::json config = tiny_llama_config();
  config["model_type"] = "stablelm";
  config["qk_layernorm"] = true;
  config["partial_rotary_factor"] = 1.0;
  TinyTensors tensors = tiny_llama_tensors();
  for (const std::string norm :
       {"model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"}) {
    tensors[norm + ".bias"] = counting({4});
  }
  tensors["model.layers.0.self_attn.q_layernorm.norms.0.weight"] = counting({2}, 10.0f);
  tensors["model.layers.0.self_attn.q_layernorm.norms.1.weight"] = counting({2}, 20.0f);
  tensors["model.layers.0.self_attn.k_layernorm.norms.0.weight"] = counting({2}, 30.0f);
  const TemporaryFolder folder;
  const PretrainedModel model = open_tiny(folder, config, tensors);
  EXPECT_EQ(model.read("layer.0.attention.query_norm"), (std::vector<float>{10, 11, 20, 21}));
  EXPECT_EQ(model.shape("layer.0.attention.query_norm"), (std::vector<std::int64_t>{2, 2}));
}

TEST(Sources, SayWhereStoredBytesServeAsTheyAre) {
  const TemporaryFolder folder;
  const PretrainedModel model = open_tiny(folder, tiny_llama_config(), tiny_llama_tensors());
  const auto stored = model.stored("layer.0.feed_forward.up");
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->rows, 6);
  EXPECT_EQ(stored->columns, 4);
  EXPECT_EQ(stored->bytes.size(), 6 * 4 * sizeof(float));
  EXPECT_FALSE(model.stored("final_norm").has_value());
}

// Old files of GPT-2 have no "transformer." before their names and hold masks.
TEST(Sources, OfABaseModelsFileLackThePrefix) {
  TinyTensors tensors;
  for (const auto& [name, tensor] : tiny_llama_tensors()) {
    tensors[name.substr(std::string("model.").size())] = tensor;
  }
  const TemporaryFolder folder;
  const PretrainedModel model = open_tiny(folder, tiny_llama_config(), tensors);
  EXPECT_EQ(model.place("embedding"), "tensor \"embed_tokens.weight\"");
}

TEST(Sources, OfATiedHeadThatTheFileHoldsOtherwiseAreApart) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  const TemporaryFolder same, other;
  EXPECT_TRUE(open_tiny(same, tiny_llama_config(), tensors).description().tied_head);
  tensors["lm_head.weight"].numbers[0] = 7.0f;
  const PretrainedModel model = open_tiny(other, tiny_llama_config(), tensors);
  EXPECT_FALSE(model.description().tied_head);
  EXPECT_EQ(model.read("head")[0], 7.0f);
}

TEST(Sources, OfAModelWithoutAHeadSaySo) {
  nlohmann::json config = tiny_llama_config();
  config["tie_word_embeddings"] = false;
  config["architectures"] = {"LlamaModel"};
  const TemporaryFolder folder;
  EXPECT_FALSE(open_tiny(folder, config, tiny_llama_tensors()).description().has_head);
}

}  // namespace
}  // namespace polariscope::models
