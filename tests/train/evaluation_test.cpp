// Evaluation of models made by hand, whose answers are known.
#include "polariscope/train/evaluation.h"

#include "polariscope/metrics/flip_rate.h"
#include "polariscope/models/architecture.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace polariscope {
namespace {

// Uniform attention of one head, without MLP and LayerNorm, every parameter 0.
class HandMade {
 public:
  explicit HandMade(train::TrainingOptions options)
      : options_(train::completed(options)), task_(train::TaskBatches::make(options_)), model_(model()) {
    for (auto& [name, values] : model_->parameters().named_values()) parameters_[name] = values.zero_();
  }
  at::Tensor& operator[](const std::string& name) { return parameters_.at(name); }
  train::Evaluation evaluation() const { return train::evaluate(*model_, *task_, options_); }
  const train::TaskBatches& task() const { return *task_; }

 private:
  std::unique_ptr<models::Model> model() const {
    models::ModelOptions model{.attention = options_.attention,
                               .shape = {.layers = options_.layers, .heads = options_.heads, .width = options_.width}};
    model.architecture.positions = models::Positions::kNone;
    model.architecture.layer_norm = model.architecture.mlp = false;
    task_->fit(model.shape);
    return models::make_model(model, at::kFloat, 0);
  }
  train::TrainingOptions options_;
  std::unique_ptr<train::TaskBatches> task_;
  std::unique_ptr<models::Model> model_;
  std::map<std::string, at::Tensor> parameters_;
};

train::TrainingOptions small(const char* task) {
  return {.task = task,
          .evaluation_sequences = 40,
          .attention = "uniform",
          .layers = 1,
          .heads = 1,
          .width = 8,
          .batch = 16};
}

TEST(Evaluation, OfAModelThatSaysNothingIsChance) {
  const HandMade model(small("induction"));
  const train::Evaluation evaluation = model.evaluation();
  EXPECT_NEAR(evaluation.loss, 1.2 * std::log(50.0), 1e-5);  // the last position, and 0.2 of the others' mean
  EXPECT_EQ(evaluation.accuracy, 0.0);                       // of equal logits the first is taken, BOS
  ASSERT_EQ(evaluation.length, 12);
  ASSERT_EQ(evaluation.heads.size(), 1U);
  const train::HeadEvaluation& head = evaluation.heads[0];
  double entropy = 0.0, square = 0.0, norm = 0.0, sink = 0.0;
  for (int i = 0; i < 12; ++i) {
    entropy += std::log(i + 1.0) / 12.0;
    square += std::log(i + 1.0) * std::log(i + 1.0) / 12.0;
    norm += 1.0 / (i + 1.0);
    if (i >= 1 && i <= 9) sink += 1.0 / (i + 1.0) / 9.0;
    for (int j = 0; j < 12; ++j) EXPECT_NEAR(head.map[i * 12 + j], j <= i ? 1.0 / (i + 1.0) : 0.0, 1e-6);
  }
  EXPECT_NEAR(head.entropy.value(), entropy, 1e-6);
  EXPECT_NEAR(head.entropy.standard_deviation(), std::sqrt(square - entropy * entropy), 1e-6);
  EXPECT_NEAR(head.frobenius_norm.value(), std::sqrt(norm), 1e-6);
  EXPECT_NEAR(head.row_sum.value(), 1.0, 1e-6);
  EXPECT_NEAR(head.first_token_share.value(), sink, 1e-6);
  EXPECT_EQ(head.flips.count(), 0);
}

TEST(Evaluation, OfAModelThatCountsLabelsIsRightAndCannotBeFlipped) {
  train::TrainingOptions options = small("token-groups");
  HandMade model(options);
  // A token is the unit vector of its label; uniform attention adds up; the largest sum is the label.
  for (int token = 1; token < 81; ++token) model["embedding.weight"][token][(token - 1) / 20] = 1.0;
  for (int i = 0; i < 8; ++i) {
    model["layers.0.v_proj.weight"][i][i] = 1.0;
    model["layers.0.o_proj.weight"][i][i] = 1.0;
  }
  for (int label = 0; label < 4; ++label) model["output_proj.weight"][label][label] = 11.0;
  const train::Evaluation evaluation = model.evaluation();
  EXPECT_EQ(evaluation.accuracy, 1.0);
  EXPECT_NEAR(evaluation.loss, std::log(std::exp(10.0) + 3.0) - 10.0, 1e-6);
  const train::HeadEvaluation& head = evaluation.heads[0];
  EXPECT_NEAR(head.entropy.value(), std::log(11.0), 1e-6);
  EXPECT_NEAR(head.frobenius_norm.value(), 1.0, 1e-6);
  EXPECT_NEAR(head.maximum.value(), 1.0 / 11.0, 1e-6);
  EXPECT_GT(head.flips.count(), 0);
  EXPECT_EQ(head.flips.value(), 0.0);  // nine tokens outvote one
}

// From CLS's attention in all sequences at once, which evaluate() never has.
std::vector<metrics::Mean> flips_of_all_kept(const models::Model& model, const train::TaskBatches& task,
                                             const train::TrainingOptions& options) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(options.evaluation_sequences));
  std::iota(all.begin(), all.end(), 0);
  const train::Batch batch = task.batch(tasks::Split::kEvaluation, all);
  const std::int64_t length = batch.tokens.size(1);
  at::Tensor rows;
  model.forward(batch.tokens, {.see = [&](const models::LayerAttention& layer) {
                  rows = layer.weights().select(2, length - 1).contiguous();
                }});
  const auto numbers = [](const at::Tensor& t) {
    return std::span<const std::int64_t>(t.data_ptr<std::int64_t>(), static_cast<std::size_t>(t.numel()));
  };
  const auto predict = [&](std::span<const std::int64_t> tokens) {
    const at::Tensor trials = at::empty({static_cast<std::int64_t>(tokens.size()) / length, length}, at::kLong);
    std::ranges::copy(tokens, trials.data_ptr<std::int64_t>());
    const at::Tensor best = model.forward(trials).select(1, length - 1).argmax(1).contiguous();
    return std::vector<std::int64_t>(numbers(best).begin(), numbers(best).end());
  };
  const metrics::AttentionMap<float> map{.values = {rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())},
                                         .samples = rows.size(0),
                                         .heads = rows.size(1),
                                         .queries = 1,
                                         .keys = length};
  return metrics::flip_rate(map, numbers(batch.tokens), numbers(batch.targets),
                            metrics::draw_flip_pairs(numbers(batch.targets), {.seed = options.seed}), predict);
}

TEST(Evaluation, TakesFlipRatesAsIfItHadKeptEverySequence) {
  train::TrainingOptions options = small("token-groups");
  options.attention = "softmax";
  options.evaluation_sequences = 1500;
  options.heads = 2;
  options = train::completed(options);
  const std::unique_ptr<train::TaskBatches> task = train::TaskBatches::make(options);
  models::ModelOptions shape{.shape = {.layers = 1, .heads = 2, .width = 8}};
  shape.architecture.positions = models::Positions::kNone;
  task->fit(shape.shape);
  const std::unique_ptr<models::Model> model = models::make_model(shape, at::kFloat, 3);
  const train::Evaluation evaluation = train::evaluate(*model, *task, options);
  const std::vector<metrics::Mean> expected = flips_of_all_kept(*model, *task, options);
  for (int head = 0; head < 2; ++head) {
    const metrics::Mean& flips = evaluation.heads[head].flips;
    EXPECT_EQ(flips.count(), 1000);
    EXPECT_EQ(flips.value(), expected[head].value());
    EXPECT_GT(flips.value(), 0.0);
    EXPECT_LT(flips.value(), 1.0);
  }
}

TEST(Evaluation, DoesNotDependOnTheBatch) {
  train::TrainingOptions options = small("induction");
  options.attention = "softmax";
  const auto with_batch = [&](std::int64_t batch) {
    options.batch = batch;
    const train::TrainingOptions all = train::completed(options);
    const std::unique_ptr<train::TaskBatches> task = train::TaskBatches::make(all);
    models::ModelOptions model{.shape = {.layers = 1, .heads = 2, .width = 8}};
    task->fit(model.shape);
    return train::evaluate(*models::make_model(model, at::kFloat, 3), *task, all);
  };
  const train::Evaluation one = with_batch(40), other = with_batch(7);
  EXPECT_NEAR(one.loss, other.loss, 1e-6);
  EXPECT_NEAR(one.accuracy, other.accuracy, 1e-12);
  EXPECT_NEAR(one.heads[1].entropy.value(), other.heads[1].entropy.value(), 1e-6);
  EXPECT_EQ(one.heads[1].entropy.count(), other.heads[1].entropy.count());
}

}  // namespace
}  // namespace polariscope
