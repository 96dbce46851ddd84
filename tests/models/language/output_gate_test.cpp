// σ(x W_g) on what attention gives: its definition, its gradients, and the audit's pass over the same numbers.
#include "polariscope/models/language/published_model.h"
#include "polariscope/models/pretrained/run_model.h"
#include "support/temporary_folder.h"
#include "tiny_configs.h"
#include "tiny_models.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sqrt.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

namespace polariscope::models::language {
namespace {

constexpr OwnAttention kGated{.output_gate = true};

at::Tensor rms(const at::Tensor& x) { return x / at::sqrt(x.square().mean(1, true) + 1e-5); }

// Of a single token, which attends to itself alone; without the feed-forward.
TEST(OutputGate, IsTheSigmoidOfWhatAttentionReads) {
  const auto config = changed(tiny_llama(), {{"num_hidden_layers", 1}});
  const LanguageModel model = model_of(config, at::kDouble, kGated);
  const at::NoGradGuard guard;
  const auto of = [&](const char* name) { return model.parameters().tensor(name).detach(); };
  at::Tensor down = of("layer.0.feed_forward.down");
  down.zero_();
  const at::Tensor x = of("embedding").narrow(0, 5, 1), reads = rms(x);
  // 4 queries and 2 keys of 6 numbers, then 2 values; heads 0 and 1 read the first.
  const at::Tensor values = reads.matmul(of("layer.0.attention.query").narrow(0, 36, 12).t()).view({1, 2, 1, 6});
  const at::Tensor heads = values.expand({1, 2, 2, 6}).reshape({1, 24});
  const at::Tensor gate = at::sigmoid(reads.matmul(of("layer.0.attention.output_gate").t()));
  const at::Tensor sum = x + (heads * gate).matmul(of("layer.0.attention.output").t());
  const at::Tensor expected = rms(sum).matmul(of("head").t());
  EXPECT_LT((model.forward(tokens_of({{5}})).view({1, -1}) - expected).abs().max().item<double>(), 1e-12);
}

TEST(OutputGate, HasTheGradientsOfDifferences) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel model = model_of(config, at::kDouble, kGated);
    EXPECT_LT(gradient_error(model, drawn_tokens(2, 8, model.shape().vocabulary, 2), 0.0), 1e-8);
  }
}

TEST(OutputGate, IsTheSameInTheAudit) {
  for (const auto& config : {tiny_llama(), tiny_gpt2(), tiny_configs()[8]}) {
    SCOPED_TRACE(config.dump());
    const LanguageModel model = model_of(config, at::kFloat, {.form = "relu_kernel/sum", .output_gate = true});
    const testing::TemporaryFolder folder;
    const auto named = model.parameters().named_values();
    write_published(
        model.blueprint().config,
        [&](std::string_view name) -> std::span<const float> {
          for (const auto& [each, values] : named) {
            if (each == name) return {values.data_ptr<float>(), static_cast<std::size_t>(values.numel())};
          }
          return {};
        },
        folder.path());
    const PretrainedModel published{checkpoints::Checkpoint(folder.path().string())};
    const at::Tensor tokens = drawn_tokens(1, 9, model.shape().vocabulary, 3);
    TokenBatch texts;
    texts.add(std::vector<std::int32_t>(tokens.data_ptr<std::int64_t>(), tokens.data_ptr<std::int64_t>() + 9));
    const Predictions found = run_model<double>(published.description(), published, texts, {}, nullptr);
    const at::NoGradGuard guard;
    double sum = 0.0;
    for (int i = 0; i < 8; ++i) sum -= found.log_likelihoods.at(i);
    EXPECT_NEAR(sum / 8.0, model.loss(tokens, next(tokens)).cross_entropy, 1e-5);
  }
}

}  // namespace
}  // namespace polariscope::models::language
