// (γ / σ) W: its definition, its gradients with u and v held, and the plain matrices that it stands for.
#include "polariscope/models/language/sigma_reparam.h"

#include "polariscope/models/language/folded_matrix.h"
#include "polariscope/models/language/published_model.h"
#include "support/temporary_folder.h"
#include "tiny_configs.h"
#include "tiny_models.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

namespace polariscope::models::language {
namespace {

// By power iteration on WᵀW, far longer than needed.
double norm_of(const at::Tensor& matrix) {
  at::Tensor v = matrix.sum(0);
  for (int i = 0; i < 3000; ++i) {
    v = matrix.t().mv(matrix.mv(v));
    v = v / v.norm();
  }
  return matrix.mv(v).norm().item<double>();
}

std::span<const float> numbers_of(const LanguageModel& model, const std::string& name) {
  for (const auto& [each, values] : model.parameters().named_values()) {
    if (each == name) return {values.data_ptr<float>(), static_cast<std::size_t>(values.numel())};
  }
  return {};
}

TEST(SigmaReparam, DividesEveryMatrixOfAProductByItsOwnNorm) {
  const LanguageModel model = model_of(tiny_llama(), at::kDouble, {}, true);
  iterate_singular_vectors(model.parameters(), 2000);
  const at::NoGradGuard guard;
  const at::Tensor joint = reparametrised(model.parameters(), "layer.0.attention.query");
  const at::Tensor raw = model.parameters().tensor("layer.0.attention.query").detach();
  std::int64_t first = 0;
  for (const std::int64_t rows : {24, 12, 12}) {
    const at::Tensor part = joint.narrow(0, first, rows), of = raw.narrow(0, first, rows);
    EXPECT_NEAR(norm_of(part), 1.0, 1e-9);
    EXPECT_LT((part * norm_of(of) - of).abs().max().item<double>(), 1e-9);
    first += rows;
  }
  for (const char* name :
       {"layer.1.attention.output", "layer.1.feed_forward.gate", "layer.0.feed_forward.down", "head"}) {
    EXPECT_TRUE(model.parameters().has(std::string(name) + ".gain")) << name;
  }
  EXPECT_FALSE(model.parameters().has("embedding.gain"));
  // A head that is the table of tokens is no matrix of its own.
  EXPECT_FALSE(model_of(tiny_gpt2(), at::kDouble, {}, true).parameters().has("embedding.gain"));
}

TEST(SigmaReparam, HasTheGradientsOfDifferences) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel model = model_of(config, at::kDouble, {}, true);
    at::Tensor values = model.parameters().values();
    values.mul_(1.3);  // gains other than 1
    EXPECT_LT(gradient_error(model, drawn_tokens(2, 8, model.shape().vocabulary, 2), 0.0), 1e-8);
  }
}

TEST(SigmaReparam, LosesNothingWhenItIsFolded) {
  LanguageModel model = model_of(tiny_llama(), at::kFloat, {}, true);
  at::Tensor values = model.parameters().values();
  values.mul_(1.2);
  const testing::TemporaryFolder folder;
  std::vector<float> plain;
  write_published(
      model.blueprint().config,
      [&](std::string_view parameter) -> std::span<const float> {
        const std::string name(parameter);
        if (!model.parameters().has(name + ".gain") && numbers_of(model, name + ".gain").empty())
          return numbers_of(model, name);
        plain = folded(numbers_of(model, name), numbers_of(model, name + ".gain")[0], numbers_of(model, name + ".left"),
                       numbers_of(model, name + ".right"));
        return plain;
      },
      folder.path());
  const PretrainedModel published{checkpoints::Checkpoint(folder.path().string())};
  EXPECT_EQ(published.description().layers, model.blueprint().description.layers);
  const at::Tensor tokens = drawn_tokens(3, 9, 41, 5);
  const at::NoGradGuard guard;
  const double loss = model.loss(tokens, next(tokens)).cross_entropy;
  const LanguageModel again({.blueprint = blueprint_of(published)}, at::kFloat, published);
  EXPECT_NEAR(again.loss(tokens, next(tokens)).cross_entropy, loss, 1e-5);
  // Trained on with it, a published model begins as what it is: its gains are its norms.
  const LanguageModel on({.blueprint = blueprint_of(published), .sigma_reparam = true}, at::kFloat, published);
  EXPECT_NEAR(on.loss(tokens, next(tokens)).cross_entropy, loss, 1e-5);
}

}  // namespace
}  // namespace polariscope::models::language
