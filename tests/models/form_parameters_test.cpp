// What a model learns for a form of attention is what the table says: for every form, nothing more and nothing less.
#include "polariscope/models/transformer.h"
#include "polariscope/reweighting/attention_form.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

using Names = std::set<std::string>;

constexpr std::int64_t kHeads = 3;

models::Transformer transformer(std::string_view attention) {
  const models::TransformerOptions options{.attention = std::string(attention),
                                           .positions = models::Positions::kAdd,
                                           .layers = 2,
                                           .heads = kHeads,
                                           .width = 12,
                                           .vocabulary = 5,
                                           .outputs = 4,
                                           .longest = 6};
  return {options, at::kDouble, 1};
}

at::Tensor tokens() { return at::tensor({0, 1, 2, 3, 4, 0, 4, 4, 1, 0, 2, 2}, at::kLong).view({2, 6}); }

// A number that every logit has a part in, each its own.
at::Tensor loss_of(const models::Transformer& model) {
  const at::Tensor logits = model.forward(tokens()).logits;
  return (logits.sin() * logits.detach().cos().add(2.0)).sum();
}

Names named(const models::Transformer& model) {
  Names names;
  for (const auto& [name, values] : model.parameters().named_values()) names.insert(name);
  return names;
}

class EveryForm : public ::testing::TestWithParam<reweighting::AttentionForm> {};

TEST_P(EveryForm, GivesTheTransformerTheParametersOfTheTable) {
  const reweighting::AttentionForm& form = GetParam();
  Names expected = named(transformer("softmax"));
  for (int layer = 0; layer < 2; ++layer) {
    if (form.learned_sink) expected.insert(fmt::format("layers.{}.sink", layer));
    if (!form.maps_queries) continue;
    for (const char* part : {"0.weight", "0.bias", "2.weight", "2.bias"}) {
      expected.insert(fmt::format("layers.{}.attn_mlp.{}", layer, part));
    }
  }
  EXPECT_EQ(named(transformer(form.name)), expected);
}

// A parameter that is there and never used would be learned in name only.
TEST_P(EveryForm, LetsTheLossDependOnEveryParameterThatIsTrained) {
  models::Transformer model = transformer(GetParam().name);
  loss_of(model).backward();
  for (const auto& [name, gradient] : model.parameters().named_gradients()) {
    const bool of_scores = name.find(".q_proj.") != std::string::npos || name.find(".k_proj.") != std::string::npos;
    // Adding one number to every score of a row leaves a softmax where it is: a key's bias has no gradient there.
    if (name.ends_with("k_proj.bias")) continue;
    const bool expected = !of_scores || GetParam().weight != reweighting::WeightFunction::kOne;
    EXPECT_EQ(gradient.abs().max().item<double>() > 0.0, expected) << name;
  }
}

TEST_P(EveryForm, SaysInItsFormulaWhatIsLearned) {
  const reweighting::AttentionForm& form = GetParam();
  EXPECT_EQ(form.learned_sink, form.formula.find("learned") != std::string_view::npos);
  EXPECT_EQ(form.maps_queries, form.formula.find("the model maps") != std::string_view::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryForm,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         [](const auto& form) {
                           std::string name(form.param.name);
                           for (char& c : name) c = c == '/' ? '_' : c;
                           return name;
                         });

TEST(LearnedSink, BeginsAtZeroWhereItIsSoftmax1) {
  const at::Tensor sink = transformer("sink").parameters().tensor("layers.1.sink");
  EXPECT_TRUE(sink.equal(at::zeros({kHeads}, at::kDouble)));
  EXPECT_TRUE(transformer("sink").forward(tokens()).logits.equal(transformer("softmax1").forward(tokens()).logits));
}

TEST(LearnedSink, HasTheGradientOfDifferences) {
  models::Transformer model = transformer("sink");
  const at::NoGradGuard no_gradient;
  std::vector<double*> numbers;
  for (const char* name : {"layers.0.sink", "layers.1.sink"}) {
    auto* first = model.parameters().tensor(name).data_ptr<double>();
    for (int head = 0; head < kHeads; ++head) {
      first[head] = 0.4 * head - 0.3;
      numbers.push_back(first + head);
    }
  }
  std::vector<double> gradients;
  {
    const at::AutoGradMode gradient(true);
    loss_of(model).backward();
  }
  for (const char* name : {"layers.0.sink", "layers.1.sink"}) {
    const at::Tensor gradient = model.parameters().tensor(name).grad();
    for (int head = 0; head < kHeads; ++head) gradients.push_back(gradient[head].item<double>());
  }
  // The loss's slope with respect to its own detached cosine is left out: held where it was.
  const at::Tensor held = model.forward(tokens()).logits.cos().add(2.0);
  const auto loss = [&] { return (model.forward(tokens()).logits.sin() * held).sum().item<double>(); };
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    constexpr double kStep = 1e-4;
    const double at = *numbers[i];
    *numbers[i] = at + kStep;
    const double above = loss();
    *numbers[i] = at - kStep;
    const double below = loss();
    *numbers[i] = at;
    EXPECT_GT(std::abs(gradients[i]), 1e-6);
    EXPECT_NEAR(gradients[i], (above - below) / (2.0 * kStep), 1e-7);  // the truncation is of the order of the step²
  }
}

TEST(LearnedSink, TakesItsShareOfTheWeightsItself) {
  models::Transformer model = transformer("sink");
  const at::NoGradGuard no_gradient;
  model.parameters().tensor("layers.0.sink").fill_(30.0);  // e^30 to nothing
  const models::Transformer::Result result = model.forward(tokens(), {"row_sum"}, true);
  EXPECT_LT(result.weights[0].max().item<double>(), 1e-9);
  EXPECT_LT(result.statistics[0].row_sum.max().item<double>(), 1e-9);
  EXPECT_GT(result.weights[1].max().item<double>(), 0.1);
}

}  // namespace
}  // namespace polariscope::testing
