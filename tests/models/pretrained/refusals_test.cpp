// What cannot be understood is refused in one sentence that names it and what is nearest.
#include "polariscope/models/pretrained/parameter_names.h"
#include "support/complaint.h"
#include "tiny_checkpoint.h"

#include <gtest/gtest.h>

#include <limits>

namespace polariscope::models {
namespace {

using namespace polariscope::testing;

std::string complaint(const nlohmann::json& config, const TinyTensors& tensors = tiny_llama_tensors()) {
  const TemporaryFolder folder;
  return complaint_of([&] { open_tiny(folder, config, tensors); });
}

nlohmann::json with(const std::string& key, const nlohmann::json& value) {
  nlohmann::json config = tiny_llama_config();
  config[key] = value;
  return config;
}

void expect_parts(const std::string& sentence, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(sentence.find(part), std::string::npos) << part << "\n" << sentence;
}

TEST(PretrainedModel, OfTheTinyLlamaIsUnderstood) { EXPECT_EQ(complaint(tiny_llama_config()), ""); }

TEST(PretrainedModel, NamesTheNearestArchitecture) {
  expect_parts(complaint(with("model_type", "lama")), {"config.json", "\"lama\"", "did you mean \"llama\""});
  expect_parts(complaint({{"hidden_size", 4}}), {"config.json", "\"model_type\" must name the architecture"});
}

TEST(PretrainedModel, NamesAKeyThatNobodyReads) {
  expect_parts(complaint(with("rms_norm_epsilon", 1e-3)), {"\"rms_norm_epsilon\"", "0.001", "\"rms_norm_eps\""});
  expect_parts(complaint(with("rope_parameters", {{"rope_theta", 10.0}, {"factors", 2.0}})),
               {"\"rope_parameters.factors\"", "\"rope_parameters.factor\""});
  EXPECT_EQ(complaint(with("rms_norm_epsilon", nullptr)), "");
  EXPECT_EQ(complaint(with("attention_dropout", 0.5)), "");
}

TEST(PretrainedModel, NamesAValueThatIsNotUnderstood) {
  expect_parts(complaint(with("hidden_act", "gelus")), {"\"hidden_act\"", "\"gelus\"", "did you mean \"gelu\""});
  expect_parts(complaint(with("rope_scaling", {{"rope_type", "yarm"}, {"factor", 2.0}})), {"\"yarm\"", "\"yarn\""});
  expect_parts(complaint(with("rope_scaling", {{"rope_type", "linear"}})), {"\"rope_scaling.factor\" is missing"});
  expect_parts(complaint(with("hidden_size", "4")), {"\"hidden_size\": expected an integer, found \"4\""});
  expect_parts(complaint(with("hidden_size", -4)), {"\"hidden_size\" is -4"});
  expect_parts(complaint(with("num_key_value_heads", 3)), {"2 heads", "3 key heads"});
  expect_parts(complaint(with("quantization_config", {{"quant_method", "gptq"}})), {"\"quantization_config\""});
  expect_parts(complaint(with("is_encoder_decoder", true)), {"\"is_encoder_decoder\""});
}

TEST(PretrainedModel, OfMoreLayersThanTensorsIsRefusedBeforeAnythingIsMade) {
  expect_parts(complaint(with("num_hidden_layers", std::int64_t{1} << 30)), {"layers are described", "11 tensors"});
  expect_parts(complaint(with("hidden_size", std::int64_t{1} << 30)), {"embed_tokens.weight", "[5, 4]"});
}

TEST(PretrainedModel, NamesAMissingTensorAndWhatItIs) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["model.layers.0.self_attn.q_proj.qweight"] = tensors["model.layers.0.self_attn.q_proj.weight"];
  tensors.erase("model.layers.0.self_attn.q_proj.weight");
  expect_parts(complaint(tiny_llama_config(), tensors), {"q_proj.qweight"});
  tensors.erase("model.layers.0.self_attn.q_proj.qweight");
  expect_parts(complaint(tiny_llama_config(), tensors), {"\"model.layers.0.self_attn.q_proj.weight\" is missing",
                                                         "layer.0.attention.query", "the nearest there is"});
  expect_parts(complaint(with("tie_word_embeddings", false)), {"\"lm_head.weight\" is missing", "the model's head"});
  expect_parts(complaint(with("attention_bias", true)), {"k_proj.bias\" is missing"});
}

TEST(PretrainedModel, NamesATensorThatIsNoPartOfIt) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["model.layers.1.mlp.up_proj.weight"] = counting({6, 4});
  expect_parts(complaint(tiny_llama_config(), tensors),
               {"\"model.layers.1.mlp.up_proj.weight\"", "[6, 4]", "no part", "\"llama\"", "the nearest known one"});
  tensors.erase("model.layers.1.mlp.up_proj.weight");
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = counting({1});
  EXPECT_EQ(complaint(tiny_llama_config(), tensors), "");
}

TEST(PretrainedModel, NamesAShapeThatDoesNotFit) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["model.layers.0.mlp.up_proj.weight"] = counting({4, 6});
  expect_parts(complaint(tiny_llama_config(), tensors), {"up_proj.weight", "[4, 6]", "[6, 4]", "feed_forward.up"});
}

TEST(PretrainedModel, NamesAWeightThatIsNotFinite) {
  TinyTensors tensors = tiny_llama_tensors();
  tensors["model.layers.0.mlp.up_proj.weight"].numbers[9] = std::numeric_limits<float>::quiet_NaN();
  const TemporaryFolder folder;
  const PretrainedModel model = open_tiny(folder, tiny_llama_config(), tensors);
  expect_parts(complaint_of([&] { model.read(parameter::layer(0, parameter::kUp)); }),
               {"mlp.up_proj.weight", "not finite (nan)", "row 2, column 1", "layer.0.feed_forward.up"});
}

TEST(PretrainedModel, WithoutAConfigSaysSo) {
  const TemporaryFolder folder;
  write_tiny(folder.path(), tiny_llama_config(), tiny_llama_tensors());
  std::filesystem::remove(folder.path() / "config.json");
  const auto file = (folder.path() / "model.safetensors").string();
  expect_parts(complaint_of([&] { PretrainedModel{checkpoints::Checkpoint(file)}; }), {"config.json is missing"});
}

}  // namespace
}  // namespace polariscope::models
