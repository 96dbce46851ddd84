#include "polariscope/train/task_batches.h"

#include "polariscope/base/random.h"
#include "polariscope/metrics/answer_accuracy.h"
#include "polariscope/tasks/induction.h"
#include "polariscope/tasks/token_groups.h"
#include "polariscope/train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace polariscope::train {
namespace {

// Below 2^62, so no example's (tasks/split.h). Parameters draw under the same seed from the 64-bit fingerprints of
// their names, which meet an order or an example by chance alone.
constexpr std::uint64_t kOrderStream = 1;

template <class Task>
Batch filled(const Task& task, std::span<const std::int64_t> examples, std::int64_t targets_each) {
  const auto count = static_cast<std::int64_t>(examples.size());
  const std::int64_t length = task.input_length();
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, targets_each}, at::kLong)};
  auto* tokens = batch.tokens.data_ptr<std::int64_t>();
  auto* targets = batch.targets.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    task.fill(examples[i], 1, std::span(tokens + i * length, length),
              std::span(targets + i * targets_each, targets_each));
  }
  return batch;
}

// answers: [batch].
double share_right(const at::Tensor& logits, const at::Tensor& answers) {
  const auto numbers = [](const at::Tensor& t) {
    return std::span<const std::int64_t>(t.data_ptr<std::int64_t>(), static_cast<std::size_t>(t.numel()));
  };
  const at::Tensor predicted = logits.detach().select(1, logits.size(1) - 1).argmax(1).contiguous();
  return metrics::answer_accuracy(numbers(predicted), numbers(answers.contiguous()), 1);
}

class InductionBatches final : public TaskBatches {
 public:
  explicit InductionBatches(const TrainingOptions& o)
      : training_(task(o), o.seed, tasks::Split::kTraining),
        evaluation_(task(o), o.seed, tasks::Split::kEvaluation),
        auxiliary_(o.auxiliary_loss) {}

  void fit(models::ModelShape& model) const override {
    model.vocabulary = model.outputs = training_.vocabulary();
    model.causal = true;
    model.longest = std::max(model.longest, length());
  }
  std::int64_t length() const override { return training_.input_length(); }
  Batch batch(tasks::Split split, std::span<const std::int64_t> examples) const override {
    const tasks::Induction& task = split == tasks::Split::kTraining ? training_ : evaluation_;
    return filled(task, examples, task.input_length());
  }
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& targets) const override {
    return induction_loss(logits, targets, auxiliary_);
  }
  double accuracy(const at::Tensor& logits, const at::Tensor& targets) const override {
    return share_right(logits, targets.select(1, targets.size(1) - 1));
  }

 private:
  static tasks::InductionOptions task(const TrainingOptions& o) {
    return {.vocabulary = static_cast<int>(o.vocabulary),
            .sequence_length = static_cast<int>(o.sequence_length),
            .shift_query_token = o.shift_query_token};
  }
  tasks::Induction training_, evaluation_;
  double auxiliary_;
};

class TokenGroupBatches final : public TaskBatches {
 public:
  explicit TokenGroupBatches(const TrainingOptions& o)
      : training_(task(o), o.seed, tasks::Split::kTraining), evaluation_(task(o), o.seed, tasks::Split::kEvaluation) {}

  void fit(models::ModelShape& model) const override {
    model.vocabulary = training_.vocabulary();
    model.outputs = training_.labels();
    model.causal = false;
    model.longest = std::max(model.longest, length());
  }
  std::int64_t length() const override { return training_.input_length(); }
  Batch batch(tasks::Split split, std::span<const std::int64_t> examples) const override {
    Batch batch = filled(split == tasks::Split::kTraining ? training_ : evaluation_, examples, 1);
    batch.targets = batch.targets.view({-1});
    return batch;
  }
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& targets) const override {
    return classification_loss(logits, targets);
  }
  double accuracy(const at::Tensor& logits, const at::Tensor& targets) const override {
    return share_right(logits, targets);
  }

 private:
  static tasks::TokenGroupsOptions task(const TrainingOptions& o) {
    return {.vocabulary = static_cast<int>(o.vocabulary), .tokens = static_cast<int>(o.sequence_length)};
  }
  tasks::TokenGroups training_, evaluation_;
};

}  // namespace

std::unique_ptr<TaskBatches> TaskBatches::make(const TrainingOptions& options) {
  if (options.task == "induction") return std::make_unique<InductionBatches>(options);
  return std::make_unique<TokenGroupBatches>(options);
}

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  RandomStream random(seed, kOrderStream, static_cast<std::uint64_t>(epoch) << 40);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace polariscope::train
