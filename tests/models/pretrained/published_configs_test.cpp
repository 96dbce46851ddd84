// Configs with the keys that published checkpoints have, and small sizes: none is refused, none is misread.
#include "polariscope/base/files.h"
#include "polariscope/models/pretrained/architecture_row.h"
#include "polariscope/models/pretrained/parameters.h"
#include "support/complaint.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace polariscope::models {
namespace {

nlohmann::json published() {
  std::ifstream file(std::string(POLARISCOPE_SOURCE_DIR) + "/tests/models/pretrained/published_configs.json");
  return nlohmann::json::parse(file);
}

// As PretrainedModel reads it, without a checkpoint: there seem to be enough tensors for any number of layers.
Plan read(const nlohmann::json& config) {
  const PretrainedRow& row = find_pretrained_row(config.at("model_type").get<std::string>());
  TensorsAtHand tensors;
  for (int i = 0; i < 64; ++i) tensors.shapes[std::to_string(i)] = {4, 4};
  return read_plan(row, config, "config.json", tensors);
}

TEST(PublishedConfigs, AreUnderstood) {
  const nlohmann::json all = published();
  for (const auto& [name, config] : all.items()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(polariscope::testing::complaint_of([&] { read(config); }), "");
  }
}

// Every parameter that the description needs has a source, and nothing else has one.
TEST(PublishedConfigs, HaveASourceForEveryParameter) {
  const nlohmann::json all = published();
  for (const auto& [name, config] : all.items()) {
    SCOPED_TRACE(name);
    const Plan plan = read(config);
    const auto shapes = parameter_shapes(plan.description);
    for (const auto& [parameter, shape] : shapes) {
      EXPECT_TRUE(!shape.needed || plan.sources.contains(parameter)) << parameter;
    }
    for (const auto& [parameter, source] : plan.sources) {
      EXPECT_TRUE(parameter.starts_with("head") || shapes.contains(parameter)) << parameter;
    }
  }
}

TEST(PublishedConfigs, OfGemma3HaveTheClassesDefaultsAndScaleFarPositionsAlone) {
  const Description model = read(published().at("gemma-3-4b")).description;
  EXPECT_EQ(model.vocabulary, 262208);
  EXPECT_EQ(model.layers[0].attention.heads, 8);
  EXPECT_EQ(model.layers[0].attention.window, 32);
  ASSERT_EQ(model.rotary.size(), 2u);
  EXPECT_EQ(model.rotary[0].scaling, RotaryScaling::kLinear);
  EXPECT_EQ(model.rotary[0].theta, 1e6);
  EXPECT_EQ(model.rotary[1].scaling, RotaryScaling::kNone);
  EXPECT_EQ(model.rotary[1].theta, 1e4);
}

TEST(PublishedConfigs, OfLlama3KeepTheOriginalLength) {
  const Rotary rotary = read(published().at("llama-3.1")).description.rotary.front();
  EXPECT_EQ(rotary.scaling, RotaryScaling::kLlama3);
  EXPECT_EQ(rotary.original_length, 32);
}

TEST(PublishedConfigs, OfQwen2HaveNoWindowUnlessTheySaySo) {
  nlohmann::json config = published().at("qwen2.5");
  EXPECT_FALSE(read(config).description.layers[1].attention.window.has_value());
  config["use_sliding_window"] = true;
  const Description model = read(config).description;
  EXPECT_FALSE(model.layers[0].attention.window.has_value());
  EXPECT_EQ(model.layers[1].attention.window, 32);
}

}  // namespace
}  // namespace polariscope::models
