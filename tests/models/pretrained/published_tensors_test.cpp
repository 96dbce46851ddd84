// What is written as a published model's tensors is read back from them, and attention of one's own with it.
#include "models/language/tiny_configs.h"
#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/models/language/blueprint.h"
#include "polariscope/models/language/presets.h"
#include "polariscope/models/language/published_model.h"
#include "polariscope/models/pretrained/parameters.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {
namespace {

using language::Blueprint;
using testing::TemporaryFolder;
using Numbers = std::map<std::string, std::vector<float>, std::less<>>;

Numbers drawn(const Blueprint& blueprint) {
  Numbers numbers;
  RandomStream random(5, 5);
  for (const auto& [name, shape] : blueprint.shapes) {
    std::vector<float>& to = numbers[name];
    to.resize(
        static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())));
    // Whole eighths: what a format stores less one comes back to the bit.
    for (float& number : to) number = static_cast<float>(random.below(64)) / 8.0F;
  }
  return numbers;
}

void expect_read_back(const Blueprint& blueprint) {
  SCOPED_TRACE(blueprint.config.dump());
  const TemporaryFolder folder;
  const Numbers numbers = drawn(blueprint);
  language::write_published(
      blueprint.config, [&](std::string_view name) { return std::span<const float>(numbers.find(name)->second); },
      folder.path());
  const PretrainedModel read{checkpoints::Checkpoint(folder.path().string())};
  EXPECT_EQ(read.description().layers, blueprint.description.layers);
  for (const auto& [name, values] : numbers) {
    ASSERT_TRUE(read.has(name)) << name;
    EXPECT_EQ(read.read(name), values) << name;
  }
}

TEST(PublishedTensors, AreReadBackForEveryKindOfModel) {
  for (const auto& config : language::tiny_configs()) expect_read_back(language::blueprint_of(config, "the test's"));
}

TEST(PublishedTensors, AreReadBackWithAttentionOfOnesOwn) {
  for (const OwnAttention& own :
       {OwnAttention{.form = "relu_kernel/sum"}, OwnAttention{.form = "sink"},
        OwnAttention{.form = "softmax", .qk_norm = "layer"}, OwnAttention{.form = "sigmoid", .qk_norm = "rms"},
        OwnAttention{.soft_cap = 20.0}, OwnAttention{.form = "elu1_kernel/sum", .output_gate = true}}) {
    for (const auto& config : {language::tiny_llama(), language::tiny_gpt2()}) {
      expect_read_back(language::blueprint_of(config, "the test's", own));
    }
  }
}

TEST(OwnAttention, StandsInTheConfigUnderATypeThatOthersRefuse) {
  const Blueprint blueprint =
      language::blueprint_of(language::tiny_llama(), "x", {.form = "sigmoid", .qk_norm = "rms"});
  EXPECT_EQ(blueprint.config["model_type"], "polariscope-llama");
  EXPECT_EQ(blueprint.config["polariscope"]["attention"], "sigmoid");
  EXPECT_EQ(blueprint.description.layers[0].attention.form, "sigmoid");
  EXPECT_EQ(blueprint.description.layers[1].attention.query_key_norm, QueryKeyNorm::kPerHead);
  const Blueprint gated = language::blueprint_of(language::tiny_llama(), "x", {.output_gate = true});
  EXPECT_EQ(gated.config["model_type"], "polariscope-llama");
  EXPECT_TRUE(gated.description.layers[1].attention.output_gate);
  EXPECT_EQ(gated.shapes.at("layer.1.attention.output_gate"), (std::vector<std::int64_t>{24, 24}));
}

TEST(OwnAttention, IsRefusedWhereItDoesNotFit) {
  const auto refuses = [](const nlohmann::ordered_json& config, const OwnAttention& own, const char* words) {
    const std::string said = testing::complaint_of([&] { language::blueprint_of(config, "model x", own); });
    EXPECT_NE(said.find(words), std::string::npos) << said;
  };
  using language::changed;
  using language::tiny_llama;
  refuses(tiny_llama(), {.form = "mlp"}, "through an MLP");
  refuses(tiny_llama(), {.form = "sofmax"}, "softmax");
  refuses(tiny_llama(), {.form = "sigmoid", .soft_cap = 5.0}, "soft cap");
  refuses(changed(tiny_llama(), {{"model_type", "qwen3"}}), {.qk_norm = "layer"}, "in a way of its own");
  const auto own = language::blueprint_of(tiny_llama(), "x", {.form = "sigmoid"}).config;
  refuses(own, {.form = "softmax1"}, "already");
  for (const auto& [key, value] : std::vector<std::pair<std::string, nlohmann::json>>{{"qk_norm", "l3"},
                                                                                      {"soft_cap", -1.0},
                                                                                      {"soft_cap", "x"},
                                                                                      {"attention", 3},
                                                                                      {"output_gate", 2},
                                                                                      {"unheard_of", 1}}) {
    nlohmann::ordered_json bad = own;
    bad["polariscope"][key] = value;
    EXPECT_THROW(language::blueprint_of(bad, "model x"), Error) << key;
  }
}

}  // namespace
}  // namespace polariscope::models
