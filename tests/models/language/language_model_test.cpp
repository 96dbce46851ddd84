// A model that is trained is the model that is audited, and its gradients are those of its loss.
#include "polariscope/models/language/language_model.h"

#include "polariscope/base/error.h"
#include "polariscope/models/language/presets.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/reweighting/attention_form.h"
#include "support/outside_data.h"
#include "tiny_configs.h"
#include "tiny_models.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace polariscope::models::language {
namespace {

using namespace polariscope::testing;
namespace fs = std::filesystem;

// The plain definition.
double plain_loss(const LanguageModel& model, const at::Tensor& tokens, double z_loss = 0.0) {
  const at::NoGradGuard guard;
  const at::Tensor logits = model.forward(tokens).narrow(1, 0, tokens.size(1) - 1).to(at::kDouble);
  const at::Tensor aims = tokens.narrow(1, 1, tokens.size(1) - 1).unsqueeze(2);
  const double entropy = -at::log_softmax(logits, 2).gather(2, aims).mean().item<double>();
  return entropy + z_loss * at::logsumexp(logits, 2).square().mean().item<double>();
}

TEST(LanguageModel, LossIsTheMeanOverNextTokens) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel model = model_of(config);
    const at::Tensor tokens = drawn_tokens(3, 9, model.shape().vocabulary, 1);
    const HeadLoss found = model.loss(tokens, next(tokens), 0.01);
    EXPECT_NEAR(found.cross_entropy, plain_loss(model, tokens), 1e-12);
    EXPECT_NEAR(found.loss.item<double>(), plain_loss(model, tokens, 0.01), 1e-12);
  }
}

// The scale is of the product, not of the bias.
TEST(LanguageModel, LogitsThatAreScaledAndHaveABias) {
  const nlohmann::ordered_json gptj = tiny_configs()[8];
  ASSERT_EQ(gptj["model_type"], "gptj");
  Blueprint blueprint = blueprint_of(gptj, "the test's config");
  blueprint.description.logit_scale = 0.25;
  LanguageModel model({.blueprint = blueprint, .deviation = 0.3}, at::kDouble, 3);
  at::Tensor bias = model.parameters().tensor("head.bias").detach();
  for (std::int64_t i = 0; i < bias.numel(); ++i) bias.data_ptr<double>()[i] = 0.1 * static_cast<double>(i % 7);
  const at::Tensor tokens = drawn_tokens(2, 8, model.shape().vocabulary, 2);
  EXPECT_NEAR(model.loss(tokens, next(tokens)).cross_entropy, plain_loss(model, tokens), 1e-12);
  EXPECT_LT(gradient_error(model, tokens, 0.02), 1e-8);
}

TEST(LanguageModel, GradientsAreThoseOfDifferences) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel model = model_of(config);
    EXPECT_LT(gradient_error(model, drawn_tokens(2, 8, model.shape().vocabulary, 2), 0.02), 1e-8);
  }
}

TEST(LanguageModel, GradientsOfEveryAttention) {
  for (const auto& form : reweighting::attention_forms()) {
    if (form.maps_queries) continue;
    SCOPED_TRACE(std::string(form.name));
    LanguageModel model = model_of(tiny_llama(), at::kDouble, {.form = std::string(form.name)});
    EXPECT_LT(gradient_error(model, drawn_tokens(2, 8, model.shape().vocabulary, 3), 0.0), 1e-7);
  }
}

// For every form what the table says is learned, and nothing else; no loss depends on a parameter in name only.
TEST(LanguageModel, LearnsOfEveryAttentionWhatTheTableSays) {
  const auto names_of = [](const LanguageModel& model) {
    std::set<std::string> names;
    for (const auto& [name, values] : model.parameters().named_values()) names.insert(name);
    return names;
  };
  const std::set<std::string> usual = names_of(model_of(tiny_llama()));
  for (const auto& form : reweighting::attention_forms()) {
    if (form.maps_queries) continue;  // refused: RefusesWhatItCannotBe
    SCOPED_TRACE(std::string(form.name));
    LanguageModel model = model_of(tiny_llama(), at::kDouble, {.form = std::string(form.name)});
    std::set<std::string> expected = usual;
    for (std::int64_t layer = 0; form.learned_sink && layer < model.shape().layers; ++layer) {
      expected.insert(parameter::layer(layer, parameter::kSink));
    }
    EXPECT_EQ(names_of(model), expected);
    const at::Tensor tokens = drawn_tokens(2, 8, model.shape().vocabulary, 3);
    model.loss(tokens, next(tokens)).loss.backward();
    for (const auto& [name, gradient] : model.parameters().named_gradients()) {
      const bool of_scores = name.ends_with(parameter::kQuery) || name.ends_with(parameter::kKey);
      const bool expected_any = !of_scores || form.weight != reweighting::WeightFunction::kOne;
      EXPECT_EQ(gradient.abs().max().item<double>() > 0.0, expected_any) << name;
    }
  }
}

TEST(LanguageModel, SinglePrecisionIsNearDouble) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel exact = model_of(config), quick = model_of(config, at::kFloat);
    const at::Tensor tokens = drawn_tokens(3, 9, exact.shape().vocabulary, 4);
    exact.loss(tokens, next(tokens), 0.01).loss.backward();
    quick.loss(tokens, next(tokens), 0.01).loss.backward();
    const at::Tensor gradients = exact.parameters().gradients();
    const double apart = (quick.parameters().gradients().to(at::kDouble) - gradients).norm().item<double>();
    EXPECT_LT(apart, 3e-5 * gradients.norm().item<double>());
  }
}

// Where there are key heads enough to go round: attention shares those of a single text out by the number of threads.
TEST(LanguageModel, TheSameBitsOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  std::vector<at::Tensor> found;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    LanguageModel model =
        model_of(changed(tiny_llama(), {{"hidden_size", 96}, {"max_position_embeddings", 600}}), at::kFloat);
    const at::Tensor tokens = drawn_tokens(6, 550, model.shape().vocabulary, 5);
    model.loss(tokens, next(tokens)).loss.backward();
    found.push_back(model.parameters().gradients().clone());
  }
  at::set_num_threads(before);
  EXPECT_TRUE(found[0].equal(found[1]));
  EXPECT_TRUE(found[0].equal(found[2]));
}

TEST(LanguageModel, ProductsOfBfloat16AreNear) {
  if (!has_bfloat16_products()) GTEST_SKIP() << "this processor has no products of bfloat16";
  const auto config = changed(tiny_llama(), {{"hidden_size", 64}});
  LanguageModel exact = model_of(config, at::kFloat);
  LanguageModel rounded({.blueprint = blueprint_of(config, "the test's config"),
                         .precision = ProductPrecision::kBfloat16,
                         .deviation = 0.3},
                        at::kFloat, 3);
  const at::Tensor tokens = drawn_tokens(3, 30, exact.shape().vocabulary, 6);
  exact.loss(tokens, next(tokens)).loss.backward();
  rounded.loss(tokens, next(tokens)).loss.backward();
  const at::Tensor gradients = exact.parameters().gradients();
  const double apart =
      (rounded.parameters().gradients() - gradients).norm().item<double>() / gradients.norm().item<double>();
  EXPECT_LT(apart, 0.1);
  EXPECT_GT(apart, 1e-5);
}

TEST(LanguageModel, ReadsPublishedModelsAsTheAuditDoes) {
  const fs::path all = outside_data("architectures");
  if (all.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  int read = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(all)) {
    if (!fs::exists(entry.path() / "reference.json") || !fs::exists(entry.path() / "config.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const PretrainedModel published{checkpoints::Checkpoint(entry.path().string())};
    if (!published.description().causal) continue;
    const LanguageModel model({.blueprint = blueprint_of(published)}, at::kDouble, published);
    std::ifstream file(entry.path() / "reference.json");
    const nlohmann::json reference = nlohmann::json::parse(file);
    const auto texts = reference["input_ids"].get<std::vector<std::vector<std::int64_t>>>();
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const at::Tensor tokens = tokens_of({texts[t]});
      const double expected = reference["nll_per_sequence"][t].get<double>();
      EXPECT_NEAR(model.loss(tokens, next(tokens)).cross_entropy, expected, 2e-7 * (1.0 + expected));
    }
    ++read;
  }
  EXPECT_GE(read, 12);
}

TEST(LanguageModel, OutOfAGgufFileHasNoConfig) {
  const fs::path folder = outside_data("architectures/gguf_llama_f32");
  if (folder.empty()) GTEST_SKIP() << "architectures/gguf_llama_f32 is not in POLARISCOPE_DATA";
  const PretrainedModel published{checkpoints::Checkpoint((folder / "model.gguf").string())};
  const LanguageModel model({.blueprint = blueprint_of(published)}, at::kDouble, published);
  EXPECT_TRUE(model.blueprint().config.is_null());
  const at::Tensor tokens = drawn_tokens(2, 8, model.shape().vocabulary, 9);
  EXPECT_NEAR(model.loss(tokens, next(tokens)).cross_entropy, plain_loss(model, tokens), 1e-12);
}

TEST(LanguageModel, ShowsEachLayersAttention) {
  const LanguageModel model = model_of(tiny_llama());
  std::vector<std::int64_t> seen;
  const LayerObserver observer{.statistics = {"entropy"}, .see = [&](const LayerAttention& layer) {
                                 seen.push_back(layer.layer);
                                 EXPECT_EQ(layer.statistics.entropy.sizes(), at::IntArrayRef({2, 4, 7}));
                                 EXPECT_NEAR(layer.weights().sum(3).min().item<double>(), 1.0, 1e-12);
                               }};
  model.loss(drawn_tokens(2, 7, 41, 8), at::empty({2, 7}, at::kLong).fill_(1), 0.0, observer);
  EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 1}));
}

TEST(LanguageModel, RefusesWhatItCannotBe) {
  EXPECT_THROW(model_of(tiny_llama(), at::kDouble, {.form = "mlp"}), Error);
  EXPECT_THROW(blueprint_of({{"model_type", "bert"}, {"vocab_size", 31}}, "x"), Error);
  EXPECT_THROW(blueprint_of({{"model_type", "lama"}}, "x"), Error);
  EXPECT_THROW(blueprint_of(changed(tiny_llama(), {{"unheard_of", 1}}), "x"), Error);
  const LanguageModel model = model_of(tiny_gpt2());
  EXPECT_THROW(model.forward(drawn_tokens(1, 21, 37, 9)), Error);
  EXPECT_THROW(model.forward(tokens_of({{37}})), Error);
}

TEST(Presets, AreAsLargeAsTheyAreSaidToBe) {
  const auto millions = [](std::string_view name) {
    double count = 0.0;
    for (const auto& [parameter, shape] : blueprint_of(config_of(find_preset(name), 0, 0), "").shapes) {
      double size = 1.0;
      for (const std::int64_t each : shape) size *= static_cast<double>(each);
      count += size;
    }
    return count / 1e6;
  };
  EXPECT_NEAR(millions("llama-3m"), 3.2, 0.15);
  EXPECT_NEAR(millions("llama-15m"), 15.2, 0.05);
  EXPECT_NEAR(millions("gpt2-15m"), 15.0, 0.2);
  EXPECT_NEAR(millions("llama-1b"), 1260.0, 10.0);
  EXPECT_NEAR(millions("gpt2-large"), 774.0, 1.1);
  EXPECT_THROW(find_preset("llama-2b"), Error);
}

}  // namespace
}  // namespace polariscope::models::language
