// The transformer against reference runs of the polarisation paper's own model in float64 (tests/golden).
#include "polariscope/base/error.h"
#include "polariscope/models/architecture.h"
#include "polariscope/train/loss.h"
#include "polariscope/train/optimiser.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace polariscope {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-10;

const json& reference_cases() {
  static const json cases = [] {
    std::ifstream file(POLARISCOPE_SOURCE_DIR "/tests/golden/transformer_parity.json");
    return json::parse(file).at("cases");
  }();
  return cases;
}

void flatten(const json& numbers, std::vector<double>& to) {
  if (numbers.is_array()) {
    for (const json& part : numbers) flatten(part, to);
  } else {
    to.push_back(numbers.get<double>());
  }
}

void expect_near(const at::Tensor& found, const json& expected, const std::string& what) {
  std::vector<double> numbers;
  flatten(expected, numbers);
  const at::Tensor flat = found.detach().contiguous().view({-1});
  ASSERT_EQ(flat.numel(), static_cast<std::int64_t>(numbers.size())) << what;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const double size = std::max(1.0, std::abs(numbers[i]));
    EXPECT_NEAR(flat.data_ptr<double>()[i], numbers[i], kTolerance * size) << what << ", number " << i;
    if (::testing::Test::HasFailure()) return;
  }
}

at::Tensor whole_numbers(const json& numbers) {
  std::vector<double> flat;
  flatten(numbers, flat);
  const at::Tensor tensor = at::tensor(flat, at::kDouble).to(at::kLong);
  if (!numbers[0].is_array()) return tensor;
  return tensor.view({static_cast<std::int64_t>(numbers.size()), -1});
}

class ReferenceRun : public ::testing::TestWithParam<int> {
 protected:
  ReferenceRun()
      : run_(reference_cases()[GetParam()]),
        induction_(run_["kind"] == "induction"),
        model_(models::make_model(options(), at::kDouble, 0)) {
    const at::NoGradGuard guard;
    const json& parameters = run_["params"];
    const auto named = model_->parameters().named_values();
    EXPECT_EQ(named.size(), parameters.size());
    for (const auto& [name, values] : named) {
      std::vector<double> numbers;
      flatten(parameters.at(name), numbers);
      values.copy_(at::tensor(numbers, at::kDouble).view(values.sizes()));
    }
  }

  models::ModelOptions options() const {
    models::ModelOptions options{.architecture = models::find_architecture("polarisation"),
                                 .attention = run_["attention_type"],
                                 .shape = {.layers = run_["layers"],
                                           .heads = run_["heads"],
                                           .width = run_["embed_dim"],
                                           .vocabulary = run_["vocab"],
                                           .outputs = run_["output_dim"],
                                           .causal = induction_}};
    options.architecture.positions = models::find_positions(run_["positional_type"]);
    options.architecture.layer_norm = run_["use_layernorm"];
    options.architecture.mlp = run_["use_mlp"];
    return options;
  }

  at::Tensor loss_of(const at::Tensor& logits) const {
    const at::Tensor targets = whole_numbers(run_["Y"]);
    return induction_ ? train::induction_loss(logits, targets, 0.2) : train::classification_loss(logits, targets);
  }

  const json& run_;
  bool induction_;
  std::unique_ptr<models::Model> model_;
};

TEST_P(ReferenceRun, HasTheSameLogitsWeightsGradientsAndSteps) {
  const at::Tensor tokens = whole_numbers(run_["X"]);
  train::AdamW optimiser({}, model_->parameters().values());
  for (int step = 0; step < 4; ++step) {
    std::vector<at::Tensor> weights;
    const at::Tensor logits = model_->forward(
        tokens, {.statistics = {"entropy"},
                 .see = [&](const models::LayerAttention& layer) { weights.push_back(layer.weights()); }});
    const at::Tensor loss = loss_of(logits);
    EXPECT_NEAR(loss.item<double>(), run_["losses_before_each_of_3_steps_and_after"][step].get<double>(), kTolerance);
    if (step == 3) break;
    model_->parameters().clear_gradients();
    loss.backward();
    if (step == 0) {
      expect_near(logits, run_["logits"], "logits");
      expect_near(at::stack(weights), run_["attn"], "attention");
      for (const auto& [name, gradient] : model_->parameters().named_gradients()) {
        const json& expected = run_["grads"].at(name);  // null where the loss does not depend on it
        if (!expected.is_null()) expect_near(gradient, expected, "gradient of " + name);
      }
    }
    optimiser.step(model_->parameters().values(), model_->parameters().gradients());
  }
  for (const auto& [name, values] : model_->parameters().named_values()) {
    expect_near(values, run_["params_after_3_adamw_steps"].at(name), name + " after three steps");
  }
}

std::string name_of(const ::testing::TestParamInfo<int>& place) {
  const json& run = reference_cases()[place.param];
  return fmt::format("{}_{}_{}", place.param, run["kind"].get<std::string>(), run["attention_type"].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Golden, ReferenceRun, ::testing::Range(0, 29), name_of);

}  // namespace
}  // namespace polariscope
