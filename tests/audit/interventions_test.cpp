// What taking away or varying something costs, against models whose weights say the same.
#include "polariscope/audit/interventions.h"

#include "audit/tiny_models.h"
#include "polariscope/audit/variations.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;
using Lists = std::vector<std::vector<std::int32_t>>;

double nll_of(const models::PretrainedModel& model, const Lists& texts) {
  return audit(model.description(), model, texts, {}).nll.value();
}

TEST(Interventions, WithoutTheOnlyKeyThereIsNothingLeft) {
  const TemporaryFolder folder, mute;
  TinyTensors tensors = llama_tensors();
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), tensors);
  for (float& number : tensors["model.layers.0.self_attn.v_proj.weight"].numbers) number = 0.0f;
  const models::PretrainedModel without_values = open_tiny(mute, tiny_llama_config(), tensors);
  const Lists texts{{1, 2}, {3, 0}};  // what is predicted comes of first rows, which see one key
  const InterventionCosts costs = intervention_costs(model, texts, {});
  EXPECT_NEAR(costs.nll, nll_of(model, texts), 1e-6);
  ASSERT_EQ(costs.sinks.size(), 2U);  // all layers; the one
  EXPECT_EQ(costs.sinks[0].layer, -1);
  EXPECT_EQ(costs.sinks[1].layer, 0);
  for (const Intervention& of : costs.sinks) EXPECT_NEAR(of.nll, nll_of(without_values, texts), 1e-6);
  EXPECT_GT(std::abs(costs.sinks[0].nll - costs.nll), 1e-3);
  EXPECT_TRUE(costs.heads.empty());
}

TEST(Interventions, WithoutAHeadIsWithoutItsColumnsOfTheOutput) {
  const TemporaryFolder folder;
  const TinyTensors tensors = llama_tensors();
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), tensors);
  const Lists texts{{1, 2, 3, 4, 0}};
  const InterventionCosts costs = intervention_costs(model, texts, {.heads = true, .threads = 1, .progress = {}});
  ASSERT_EQ(costs.heads.size(), 2U);
  for (std::int64_t h = 0; h < 2; ++h) {
    const TemporaryFolder own;
    TinyTensors cut = tensors;
    std::vector<float>& output = cut["model.layers.0.self_attn.o_proj.weight"].numbers;
    for (std::int64_t row = 0; row < 4; ++row) output[row * 4 + 2 * h] = output[row * 4 + 2 * h + 1] = 0.0f;
    EXPECT_NEAR(costs.heads[h].nll, nll_of(open_tiny(own, tiny_llama_config(), cut), texts), 1e-6);
    EXPECT_EQ(costs.heads[h].head, h);
  }
}

TEST(Interventions, HoldNoMoreMemoryThanIsAllowed) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Lists texts{{1, 2, 3}};
  const auto costs = [&](std::int64_t memory) {
    return complaint_of([&] { intervention_costs(model, texts, {.threads = 1, .memory = memory, .progress = {}}); });
  };
  EXPECT_EQ(costs(std::int64_t{1} << 30), "");
  EXPECT_NE(costs(1).find("one token needs"), std::string::npos) << costs(1);
}

TEST(Variations, OfTheFirstTokenPredictTheSameTokens) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Lists texts{{1, 2, 3}, {4, 0}};
  const std::vector<FirstToken> tokens{{-1, "none"}, {2, "two"}};
  const std::vector<Variation> found = first_token_variations(model, texts, tokens, {});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NEAR(found[0].nll, nll_of(model, texts), 1e-6);
  // By hand: all predictions but those of the first token.
  const double with_first = nll_of(model, {{2, 1, 2, 3}}) * 3 + nll_of(model, {{2, 4, 0}}) * 2;
  const double of_first = nll_of(model, {{2, 1}}) + nll_of(model, {{2, 4}});
  EXPECT_NEAR(found[1].nll, (with_first - of_first) / 3, 1e-5);
}

TEST(Variations, OfTheWeightsAreWhatTheirNamesSay) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Lists texts{{1, 2, 3, 4, 0, 2}};
  const std::vector<std::string> names{"softmax1",      "sink=0",          "sink=-60",
                                       "temperature=1", "temperature=1e9", "soft-cap=1e4"};
  const std::vector<Variation> found = what_if(model, texts, names, {});
  ASSERT_EQ(found.size(), 7U);
  EXPECT_EQ(found[0].name, "as it is");
  EXPECT_EQ(found[1].nll, found[2].nll);
  EXPECT_GT(std::abs(found[1].nll - found[0].nll), 1e-4);
  EXPECT_NEAR(found[3].nll, found[0].nll, 1e-6);  // a sink that takes nothing
  EXPECT_EQ(found[4].nll, found[0].nll);
  EXPECT_NEAR(found[5].relative_entropy, 1.0, 1e-6);  // rows of equal weights
  EXPECT_NEAR(found[6].nll, found[0].nll, 1e-5);
}

TEST(Variations, OfTheTemperatureFlattenBiasesToo) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  models::Description sloped = model.description();
  sloped.layers[0].attention.alibi.slopes = {1.0, 0.5};
  const Lists texts{{1, 2, 3, 4, 0, 2}};
  const auto relative = [&](const models::Description& description) {
    return audit(description, model, texts, {}).layers[0].heads[0].relative_entropy.value();
  };
  EXPECT_LT(relative(sloped), 0.99);
  EXPECT_NEAR(relative(varied(sloped, "temperature=1e9")), 1.0, 1e-6);
}

TEST(Variations, ThatCannotBeAreNamed) {
  const TemporaryFolder folder;
  const models::Description model = open_tiny(folder, tiny_llama_config(), llama_tensors()).description();
  for (const char* wrong : {"softmax2", "sink", "sink=x", "soft-cap=0", "temperature=-1", "temperature=nan", ""}) {
    const std::string complaint = complaint_of([&] { varied(model, wrong); });
    EXPECT_NE(complaint.find("expected softmax1, sink=Z, soft-cap=C or temperature=T"), std::string::npos) << wrong;
  }
  models::Description other = model;
  other.layers[0].attention.sink = true;
  EXPECT_NE(complaint_of([&] { varied(other, "softmax1"); }).find("learned sink already"), std::string::npos);
  other = model;
  other.layers[0].attention.alibi.slopes = {1.0, 0.5};
  EXPECT_NE(complaint_of([&] { varied(other, "soft-cap=30"); }).find("bias on its logits"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::audit
