// What every row of the table of architectures gives, seen as a model alone.
#include "polariscope/base/error.h"
#include "polariscope/models/architecture.h"
#include "support/complaint.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

models::ModelOptions small(const models::Architecture& architecture) {
  return {.architecture = architecture,
          .attention = "sigmoid/sum",
          .shape = {.layers = 3, .heads = 2, .width = 8, .vocabulary = 5, .outputs = 4, .longest = 6}};
}

at::Tensor tokens() { return at::tensor({0, 1, 2, 3, 4, 0, 4, 4, 1, 0, 2, 2}, at::kLong).view({2, 6}); }

class EveryArchitecture : public ::testing::TestWithParam<models::Architecture> {
 protected:
  std::unique_ptr<models::Model> model_ = make_model(small(GetParam()), at::kDouble, 1);
};

TEST_P(EveryArchitecture, IsFoundByItsName) {
  EXPECT_EQ(models::find_architecture(GetParam().name).name, GetParam().name);
}

TEST_P(EveryArchitecture, HasTheShapeItWasMadeWith) {
  EXPECT_EQ(model_->shape().layers, 3);
  const at::Tensor logits = model_->forward(tokens());
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 6, 4}));
}

TEST_P(EveryArchitecture, NamesEveryTensorOnce) {
  std::set<std::string> names;
  for (const auto& [name, values] : model_->parameters().named_values()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(name.find_first_of("{} "), std::string::npos) << name;
  }
}

TEST_P(EveryArchitecture, ShowsEachLayerOnceInOrderWithWhatWasAskedFor) {
  std::int64_t next = 0;
  const at::Tensor watched =
      model_->forward(tokens(), {.statistics = {"row_sum", "entropy"}, .see = [&](const models::LayerAttention& layer) {
                                   EXPECT_EQ(layer.layer, next++);
                                   EXPECT_EQ(layer.statistics.entropy.sizes(), at::IntArrayRef({2, 2, 6}));
                                   EXPECT_TRUE(layer.statistics.row_sum.defined());
                                   EXPECT_FALSE(layer.statistics.maximum.defined());
                                 }});
  EXPECT_EQ(next, 3);
  EXPECT_TRUE(watched.equal(model_->forward(tokens())));
}

TEST_P(EveryArchitecture, ShowsWeightsThatAreThoseOfItsRows) {
  const at::NoGradGuard no_gradient;
  model_->forward(
      tokens(),
      {.statistics = {"first_key", "sum_of_squares"}, .see = [&](const models::LayerAttention& layer) {
         const at::Tensor weights = layer.weights();
         ASSERT_EQ(weights.sizes(), at::IntArrayRef({2, 2, 6, 6}));
         EXPECT_TRUE(at::allclose(weights.select(3, 0), layer.statistics.first_key, 1e-12, 1e-12));
         EXPECT_TRUE(at::allclose((weights * weights).sum(-1), layer.statistics.sum_of_squares, 1e-12, 1e-12));
       }});
}

TEST_P(EveryArchitecture, GivesGradientsThroughTheStatisticsItShows) {
  at::Tensor entropy;
  model_->forward(tokens(), {.statistics = {"entropy"}, .see = [&](const models::LayerAttention& layer) {
                               if (layer.layer == 2) entropy = layer.statistics.entropy.sum();
                             }});
  entropy.backward();
  EXPECT_GT(model_->parameters().gradients().abs().max().item<double>(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryArchitecture,
                         ::testing::ValuesIn(models::architectures().begin(), models::architectures().end()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Architecture, AnUnknownNameIsRefusedWithTheNearestOne) {
  const std::string complaint = complaint_of([] { models::find_architecture("polarization"); });
  EXPECT_NE(complaint.find("did you mean \"polarisation\"?"), std::string::npos) << complaint;
}

// What a copy of a row leaves out is not among the parameters either.
TEST(Architecture, WithoutNormMlpAndPositionsHasNoTensorsOfThem) {
  models::ModelOptions options = small(models::find_architecture("polarisation"));
  options.architecture.positions = models::Positions::kNone;
  options.architecture.layer_norm = options.architecture.mlp = false;
  for (const auto& [name, values] : make_model(options, at::kFloat, 0)->parameters().named_values()) {
    EXPECT_EQ(name.find("norm"), std::string::npos) << name;
    EXPECT_EQ(name.find("mlp"), std::string::npos) << name;
    EXPECT_EQ(name.find("pos_"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace polariscope::testing
