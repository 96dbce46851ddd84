// What a model learns for a form of attention is what the table says: for every form, nothing more and nothing less.
#include "polariscope/models/architecture.h"
#include "polariscope/reweighting/attention_form.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace polariscope::testing {
namespace {

using Names = std::set<std::string>;

constexpr std::int64_t kHeads = 3;

std::unique_ptr<models::Model> model_of(const models::Architecture& architecture, std::string_view attention) {
  models::ModelOptions options{
      .architecture = architecture,
      .attention = std::string(attention),
      .shape = {.layers = 2, .heads = kHeads, .width = 12, .vocabulary = 5, .outputs = 4, .longest = 6}};
  return models::make_model(options, at::kDouble, 1);
}

std::unique_ptr<models::Model> transformer(std::string_view attention) {
  return model_of(models::find_architecture("polarisation"), attention);
}

at::Tensor tokens() { return at::tensor({0, 1, 2, 3, 4, 0, 4, 4, 1, 0, 2, 2}, at::kLong).view({2, 6}); }

// A number that every logit has a part in, each its own.
at::Tensor loss_of(const models::Model& model) {
  const at::Tensor logits = model.forward(tokens());
  return (logits.sin() * logits.detach().cos().add(2.0)).sum();
}

Names named(const models::Model& model) {
  Names names;
  for (const auto& [name, values] : model.parameters().named_values()) names.insert(name);
  return names;
}

class EveryForm : public ::testing::TestWithParam<std::tuple<models::Architecture, reweighting::AttentionForm>> {
 protected:
  const models::Architecture architecture_ = std::get<0>(GetParam());
  const reweighting::AttentionForm form_ = std::get<1>(GetParam());
};

TEST_P(EveryForm, GivesAModelTheParametersOfTheTable) {
  Names expected = named(*model_of(architecture_, "softmax"));
  for (int i = 0; i < 2; ++i) {
    const std::string layer = fmt::format(fmt::runtime(architecture_.names.layer), i);
    if (form_.learned_sink) expected.insert(fmt::format("{}{}", layer, architecture_.names.sink));
    if (!form_.maps_queries) continue;
    for (const std::string_view map : {architecture_.names.map_in, architecture_.names.map_out}) {
      expected.insert(fmt::format("{}{}.weight", layer, map));
      expected.insert(fmt::format("{}{}.bias", layer, map));
    }
  }
  EXPECT_EQ(named(*model_of(architecture_, form_.name)), expected);
}

// A parameter that is there and never used would be learned in name only.
TEST_P(EveryForm, LetsTheLossDependOnEveryParameterThatIsTrained) {
  const std::unique_ptr<models::Model> model = model_of(architecture_, form_.name);
  loss_of(*model).backward();
  for (const auto& [name, gradient] : model->parameters().named_gradients()) {
    const auto is_of = [&](std::string_view part) { return name.find(fmt::format("{}.", part)) != std::string::npos; };
    const bool of_key = is_of(architecture_.names.key), of_scores = of_key || is_of(architecture_.names.query);
    // Adding one number to every score of a row leaves a softmax where it is: a key's bias has no gradient there.
    if (of_key && name.ends_with(".bias")) continue;
    const bool expected = !of_scores || form_.weight != reweighting::WeightFunction::kOne;
    EXPECT_EQ(gradient.abs().max().item<double>() > 0.0, expected) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, EveryForm,
                         ::testing::Combine(::testing::ValuesIn(models::architectures().begin(),
                                                                models::architectures().end()),
                                            ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                                                reweighting::attention_forms().end())),
                         [](const auto& both) {
                           std::string name =
                               fmt::format("{}_{}", std::get<0>(both.param).name, std::get<1>(both.param).name);
                           for (char& c : name) c = c == '/' ? '_' : c;
                           return name;
                         });

TEST(FormsOfTheTable, SayInTheirFormulasWhatIsLearned) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_EQ(form.learned_sink, form.formula.find("learned") != std::string_view::npos) << form.name;
    EXPECT_EQ(form.maps_queries, form.formula.find("the model maps") != std::string_view::npos) << form.name;
  }
}

TEST(LearnedSink, BeginsAtZeroWhereItIsSoftmax1) {
  const std::unique_ptr<models::Model> model = transformer("sink");
  EXPECT_TRUE(model->parameters().tensor("layers.1.sink").equal(at::zeros({kHeads}, at::kDouble)));
  EXPECT_TRUE(model->forward(tokens()).equal(transformer("softmax1")->forward(tokens())));
}

TEST(LearnedSink, HasTheGradientOfDifferences) {
  const std::unique_ptr<models::Model> model = transformer("sink");
  const at::NoGradGuard no_gradient;
  std::vector<double*> numbers;
  for (const char* name : {"layers.0.sink", "layers.1.sink"}) {
    auto* first = model->parameters().tensor(name).data_ptr<double>();
    for (int head = 0; head < kHeads; ++head) {
      first[head] = 0.4 * head - 0.3;
      numbers.push_back(first + head);
    }
  }
  std::vector<double> gradients;
  {
    const at::AutoGradMode gradient(true);
    loss_of(*model).backward();
  }
  for (const char* name : {"layers.0.sink", "layers.1.sink"}) {
    const at::Tensor gradient = model->parameters().tensor(name).grad();
    for (int head = 0; head < kHeads; ++head) gradients.push_back(gradient[head].item<double>());
  }
  // The loss's slope with respect to its own detached cosine is left out: held where it was.
  const at::Tensor held = model->forward(tokens()).cos().add(2.0);
  const auto loss = [&] { return (model->forward(tokens()).sin() * held).sum().item<double>(); };
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
  const std::unique_ptr<models::Model> model = transformer("sink");
  const at::NoGradGuard no_gradient;
  model->parameters().tensor("layers.0.sink").fill_(30.0);  // e^30 to nothing
  std::vector<double> weights, row_sums;                    // the largest of each layer
  model->forward(tokens(), {.statistics = {"row_sum"}, .see = [&](const models::LayerAttention& layer) {
                              weights.push_back(layer.weights().max().item<double>());
                              row_sums.push_back(layer.statistics.row_sum.max().item<double>());
                            }});
  EXPECT_LT(weights[0], 1e-9);
  EXPECT_LT(row_sums[0], 1e-9);
  EXPECT_GT(weights[1], 0.1);
}

}  // namespace
}  // namespace polariscope::testing
