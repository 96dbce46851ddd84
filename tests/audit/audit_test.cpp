// Texts of different lengths, what does not fit a model, and what is written of rows.
#include "polariscope/audit/audit.h"

#include "audit/tiny_models.h"
#include "polariscope/base/safetensors.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;
using Texts = std::vector<std::vector<std::int32_t>>;

AuditResult audit_of(const models::PretrainedModel& model, const Texts& texts,
                     Precision precision = Precision::kFloat32, int threads = 0) {
  return audit(model.description(), model, texts,
               {.precision = precision, .row_arrays = true, .threads = threads, .progress = {}});
}

std::string complaint_about(const TinyTensors& tensors, const nlohmann::json& config, const Texts& texts) {
  const TemporaryFolder folder;
  return complaint_of([&] { audit_of(open_tiny(folder, config, tensors), texts); });
}

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// NaN is the same as NaN.
void expect_same(double found, double expected) {
  EXPECT_EQ(std::isnan(found), std::isnan(expected));
  if (!std::isnan(expected)) {
    EXPECT_NEAR(found, expected, 1e-6);
  }
}

TEST(Audit, TakesTextsTogetherAsEachAlone) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Texts texts{{0, 1, 2, 3, 4, 0, 3}, {2}, {4, 3, 2}};
  const AuditResult together = audit_of(model, texts);
  const RowArrays& all = *together.arrays;
  EXPECT_EQ(all.tokens, 7);
  for (std::int64_t t = 0; t < 3; ++t) {
    const RowArrays alone = *audit_of(model, {texts[t]}).arrays;
    for (std::int64_t i = 0; i < 7; ++i) {
      const bool is_there = i < alone.tokens;
      for (std::int64_t h = 0; h < 2; ++h) {
        const double entropy = all.entropy[all.of_row(t, 0, h) + i];
        expect_same(entropy, is_there ? alone.entropy[alone.of_row(0, 0, h) + i] : kNone);
      }
      const double norm = all.hidden_norm[all.of_hidden(t, 1) + i];
      expect_same(norm, is_there ? alone.hidden_norm[alone.of_hidden(0, 1) + i] : kNone);
    }
    for (std::int64_t v = 0; v < 5; ++v) expect_same(all.logits_last[t * 5 + v], alone.logits_last[v]);
    expect_same(all.nll[t], alone.nll[0]);
  }
  EXPECT_TRUE(std::isnan(all.nll[1]));  // one token predicts none
  EXPECT_EQ(together.nll.count(), 6 + 2);
  EXPECT_EQ(together.texts[1].predicted, 0);
  EXPECT_EQ(together.layers[0].heads[0].entropy.count(), 11);
  EXPECT_EQ(together.layers[0].heads[0].relative_entropy.count(), 8);  // first rows see one key
}

TEST(Audit, OnMoreThreadsThanThereAreRowsAndOnOneIsTheSame) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, gpt2_config(), gpt2_tensors());
  const Texts texts{{0, 1, 2, 3, 4, 0}};
  const AuditResult one = audit_of(model, texts, Precision::kFloat32, 1);
  for (const int threads : {2, 7}) {
    const AuditResult many = audit_of(model, texts, Precision::kFloat32, threads);
    EXPECT_EQ(one.arrays->entropy, many.arrays->entropy);
    EXPECT_EQ(one.arrays->logits_last, many.arrays->logits_last);
  }
  const AuditResult exact = audit_of(model, texts, Precision::kFloat64);
  for (std::size_t v = 0; v < 5; ++v) EXPECT_NEAR(one.arrays->logits_last[v], exact.arrays->logits_last[v], 1e-5);
}

TEST(Audit, TellsHowFarItIs) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, gpt2_config(), gpt2_tensors());
  std::vector<double> shares;
  const Texts texts{{0, 1}, {2, 3, 4}};
  audit(model.description(), model, texts, {.progress = [&](double share) { shares.push_back(share); }});
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  ASSERT_FALSE(shares.empty());
  EXPECT_NEAR(shares.back(), 1.0, 1e-9);
}

TEST(Audit, RefusesWhatDoesNotFitTheModel) {
  const auto refused = [](const Texts& texts) { return complaint_about(gpt2_tensors(), gpt2_config(), texts); };
  EXPECT_EQ(refused({{0, 4}}), "");
  EXPECT_NE(refused({}).find("no text"), std::string::npos);
  EXPECT_NE(refused({{0}, {}}).find("text 1 has no tokens"), std::string::npos);
  EXPECT_NE(refused({{0, 5}}).find("token 1 of text 0 is 5: the model's 5 tokens are 0 to 4"), std::string::npos);
  EXPECT_NE(refused({{-1}}).find("is -1"), std::string::npos);
  EXPECT_NE(refused({{0, 1, 2, 3, 4, 0, 1}}).find("has 7 tokens: the model learned 6 positions"), std::string::npos);
}

TEST(Audit, RefusesNumbersThatAreNotFinite) {
  TinyTensors tensors = gpt2_tensors();
  tensors["transformer.h.0.mlp.c_fc.weight"].numbers[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(complaint_about(tensors, gpt2_config(), {{0, 1}}).find("transformer.h.0.mlp.c_fc.weight"),
            std::string::npos);
  tensors = gpt2_tensors();
  for (float& number : tensors["transformer.h.0.mlp.c_fc.weight"].numbers) number = 3e38f;
  EXPECT_NE(complaint_about(tensors, gpt2_config(), {{0, 1}}).find("not finite after layer 0"), std::string::npos);
}

TEST(RowArraysFile, HoldsEveryArrayByName) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, gpt2_config(), gpt2_tensors());
  const AuditResult result = audit_of(model, {{0, 1, 2}, {3, 4}});
  const auto path = folder.path() / "rows.safetensors";
  write_row_arrays(*result.arrays, path, {{"model", "tiny"}});
  const Safetensors file(path);
  EXPECT_EQ(file.metadata().at("model"), "tiny");
  const std::map<std::string, std::vector<std::int64_t>> shapes{{"entropy", {2, 1, 2, 3}}, {"first_key", {2, 1, 2, 3}},
                                                                {"maximum", {2, 1, 2, 3}}, {"hidden_norm", {2, 2, 3}},
                                                                {"logits_last", {2, 5}},   {"nll", {2}}};
  EXPECT_EQ(file.tensors().size(), shapes.size());
  for (const auto& [name, shape] : shapes) {
    ASSERT_NE(file.find(name), nullptr) << name;
    EXPECT_EQ(file.find(name)->shape, shape);
    EXPECT_EQ(file.find(name)->dtype, Dtype::kF64);
  }
  EXPECT_EQ(to_doubles(*file.find("nll")), result.arrays->nll);
}

}  // namespace
}  // namespace polariscope::audit
