// A model's parameters: names, starts, views of one memory.
#include "polariscope/models/parameters.h"

#include "polariscope/models/architecture.h"
#include "support/complaint.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

namespace polariscope {
namespace {

std::vector<models::ParameterSpec> some_specs() {
  return {{{"a"}, {40, 25}, models::Start::kNormal},
          {{"left", "right"}, {6, 2}, models::Start::kUniform, 0.25, false},
          {{"scale"}, {3}, models::Start::kOnes},
          {{"shift"}, {3}, models::Start::kZeros},
          {{"w"}, {50, 4}, models::Start::kUniform, 0.5}};
}

TEST(Parameters, HaveEveryNameInOrderWithItsPartOfTheShape) {
  const models::Parameters parameters(some_specs(), at::kDouble, 3);
  std::vector<std::string> names;
  for (const auto& [name, values] : parameters.named_values()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "left", "right", "scale", "shift", "w"}));
  EXPECT_EQ(parameters.named_values()[2].second.sizes(), at::IntArrayRef({3, 2}));
  EXPECT_EQ(parameters.tensor("left").sizes(), at::IntArrayRef({6, 2}));
  EXPECT_TRUE(parameters.has("w"));
  EXPECT_FALSE(parameters.has("right"));
  EXPECT_EQ(testing::complaint_of([&] { parameters.tensor("right"); }), "the model has no parameter \"right\"");
}

TEST(Parameters, ThatAreNotTrainedLieOutsideWhatTheOptimiserSees) {
  models::Parameters parameters(some_specs(), at::kDouble, 3);
  EXPECT_EQ(parameters.values().numel(), 40 * 25 + 3 + 3 + 50 * 4);
  EXPECT_FALSE(parameters.tensor("left").requires_grad());
  const at::Tensor left = parameters.tensor("left").clone();
  parameters.values().zero_();
  EXPECT_TRUE(parameters.tensor("left").equal(left));
  EXPECT_EQ(parameters.tensor("w").abs().sum().item<double>(), 0.0);
}

TEST(Parameters, StartAsTheirSpecsSay) {
  const models::Parameters parameters(some_specs(), at::kDouble, 3);
  const auto values = [&](const char* name) { return parameters.tensor(name).detach(); };
  EXPECT_NEAR(values("a").mean().item<double>(), 0.0, 4.0 / std::sqrt(1000.0));  // four standard errors
  EXPECT_NEAR(values("a").std().item<double>(), 1.0, 4.0 / std::sqrt(2000.0));
  EXPECT_LE(values("w").abs().max().item<double>(), 0.5);
  EXPECT_GT(values("w").abs().max().item<double>(), 0.45);
  EXPECT_LE(values("left").abs().max().item<double>(), 0.25);
  EXPECT_EQ(values("scale").sum().item<double>(), 3.0);
  EXPECT_EQ(values("shift").abs().sum().item<double>(), 0.0);
}

TEST(Parameters, OfBothTypesStartFromTheSameNumbers) {
  const models::Parameters single(some_specs(), at::kFloat, 3), twice(some_specs(), at::kDouble, 3);
  EXPECT_TRUE(single.values().equal(twice.values().to(at::kFloat)));
  EXPECT_FALSE(single.values().equal(models::Parameters(some_specs(), at::kFloat, 4).values()));
}

TEST(Parameters, GatherGradientsInOneTensor) {
  models::Parameters parameters(some_specs(), at::kDouble, 3);
  (parameters.tensor("w") * 2.0).sum().backward();
  (parameters.tensor("scale") * 5.0).sum().backward();
  EXPECT_EQ(parameters.gradients().sum().item<double>(), 200 * 2.0 + 3 * 5.0);
  for (const auto& [name, gradient] : parameters.named_gradients()) {
    EXPECT_EQ(gradient.reshape({-1})[0].item<double>(), name == "w" ? 2.0 : name == "scale" ? 5.0 : 0.0) << name;
  }
  parameters.clear_gradients();
  EXPECT_EQ(parameters.gradients().abs().sum().item<double>(), 0.0);
}

// Of one layer of width 16 over nine tokens.
models::ModelOptions small_options() {
  models::ModelOptions options{.architecture = models::find_architecture("polarisation"),
                               .shape = {.layers = 1, .width = 16, .vocabulary = 9, .outputs = 9}};
  options.architecture.positions = models::Positions::kAdd;
  return options;
}

std::map<std::string, at::Tensor> start_of(const models::ModelOptions& options) {
  const std::unique_ptr<models::Model> model = models::make_model(options, at::kFloat, 5);
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, values] : model->parameters().named_values()) all[name] = values;
  return all;
}

TEST(TransformerParameters, OfALayerDoNotDependOnTheOtherOptions) {
  const models::ModelOptions small = small_options();
  models::ModelOptions large = small;
  large.shape.layers = 2;
  large.architecture.mlp = large.architecture.layer_norm = false;
  large.attention = "uniform";
  const auto of_small = start_of(small), of_large = start_of(large);
  int shared = 0;
  for (const auto& [name, values] : of_small) {
    const auto other = of_large.find(name);
    if (other == of_large.end()) continue;
    ++shared;
    EXPECT_TRUE(values.equal(other->second)) << name;
  }
  EXPECT_EQ(shared, 2 + 8 + 2);  // embeddings, a layer's four projections, the last one
}

TEST(TransformerParameters, AreThoseOfThePapersModel) {
  std::set<std::string> names;
  for (const auto& [name, values] : start_of(small_options())) {
    names.insert(name);
  }
  for (const char* name : {"embedding.weight", "pos_embedding.weight", "layers.0.q_proj.weight", "layers.0.k_proj.bias",
                           "layers.0.v_proj.weight", "layers.0.o_proj.bias", "layers.0.norm1.weight",
                           "layers.0.mlp.0.weight", "layers.0.mlp.2.bias", "final_norm.bias", "output_proj.weight"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Transformer, RefusesWhatDoesNotFit) {
  const auto complaint = [](const models::ModelOptions& options) {
    return testing::complaint_of([&] { models::make_model(options, at::kFloat, 0); });
  };
  const models::ModelOptions good{.shape = {.vocabulary = 5, .outputs = 5}};
  EXPECT_EQ(complaint(good), "");
  models::ModelOptions o = good;
  o.shape.heads = 3;
  EXPECT_EQ(complaint(o), "heads must divide the width 128, found 3 heads");
  o = good;
  o.shape.width = 9;
  o.shape.heads = 1;
  EXPECT_EQ(complaint(o), "positions \"concat\" share the width with the tokens: it must be even, found 9");
  o = good;
  o.shape.layers = 0;
  EXPECT_EQ(complaint(o), "the transformer's number of layers must be positive, found 0");
  o = good;
  o.attention = "softmx";
  EXPECT_NE(complaint(o).find("softmax"), std::string::npos);
}

}  // namespace
}  // namespace polariscope
