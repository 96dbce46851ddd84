#include "polariscope/train/regression_trainer.h"

#include "polariscope/base/parallel.h"
#include "polariscope/train/internal/optimiser_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace polariscope::train {
namespace {

constexpr std::int64_t kDrawnAtOnce = 256;  // examples that a thread draws

const RegressionOptions& validated(const RegressionOptions& options) {
  validate(options);
  return options;
}

bool uses_sgd(const RegressionOptions& options) { return options.optimiser == "sgd"; }

}  // namespace

RegressionTrainer::RegressionTrainer(const RegressionOptions& options, int threads)
    : options_(validated(options)),
      model_(model_of(options)),
      task_({.tokens = static_cast<int>(options.tokens)}, options.seed, tasks::Split::kTraining),
      threads_(threads) {
  const auto count = static_cast<std::size_t>(model_.parameter_count());
  const auto batch = static_cast<std::size_t>(options_.batch);
  state_ = {model_.initial_values(options_.seed), std::vector<float>(count), {}};
  if (!uses_sgd(options_)) state_.second.resize(count);
  before_ = state_;
  gradient_.resize(count);
  tokens_.resize(batch * static_cast<std::size_t>(options_.tokens * models::kTokenWidth));
  answers_.resize(batch);
}

void RegressionTrainer::draw(std::int64_t first) {
  const std::int64_t size = options_.tokens * models::kTokenWidth;
  parallel_for((options_.batch + kDrawnAtOnce - 1) / kDrawnAtOnce, threads_, [&](std::int64_t i) {
    const std::int64_t at = i * kDrawnAtOnce, count = std::min(kDrawnAtOnce, options_.batch - at);
    task_.fill(first + at, count, std::span(tokens_).subspan(static_cast<std::size_t>(at * size), count * size),
               std::span(answers_).subspan(static_cast<std::size_t>(at), count));
  });
}

RegressionRecord RegressionTrainer::advance() {
  draw(course_.batch(step_ + 1) * options_.batch);
  models::AttentionOnlyResult result =
      model_.step(state_.values, tokens_, answers_, std::span<float>(gradient_), threads_);
  RegressionRecord record{.step = ++step_, .loss = result.loss, .layers = std::move(result.layers)};
  double squares = 0.0;
  for (const float g : gradient_) squares += static_cast<double>(g) * static_cast<double>(g);
  record.gradient_norm = std::sqrt(squares);
  if (!std::isfinite(record.loss) || !std::isfinite(record.gradient_norm)) {
    diverged_ = true;
    record.update_norm = std::numeric_limits<double>::quiet_NaN();
    return record;
  }
  before_ = state_;
  record.update_norm = std::sqrt(update());
  last_finite_ = record;
  return record;
}

double RegressionTrainer::update() {
  const RegressionOptions& o = options_;
  const double rate = o.learning_rate * course_.rate(step_);
  if (uses_sgd(o)) {
    return sgd_step(static_cast<float>(rate), static_cast<float>(o.momentum), model_.parameter_count(),
                    gradient_.data(), state_.values.data(), state_.first.data());
  }
  const AdamWOptions adam{.learning_rate = rate, .weight_decay = o.optimiser == "adamw" ? o.weight_decay : 0.0};
  return adamw_step(adamw_factors<float>(adam, static_cast<double>(step_)), model_.parameter_count(), gradient_.data(),
                    state_.values.data(), state_.first.data(), state_.second.data());
}

std::vector<RegressionTrainer::Part> RegressionTrainer::parts() const {
  if (uses_sgd(options_)) return {{"", &State::values}, {"velocity.", &State::first}};
  return {{"", &State::values}, {"mean.", &State::first}, {"square.", &State::second}};
}

std::vector<StoredTensor> RegressionTrainer::tensors(const State& state, const char* prefix) const {
  std::vector<StoredTensor> all;
  for (const auto& [kind, numbers] : parts()) {
    for (const models::ParameterPlace& place : model_.parameters()) {
      all.push_back({.name = fmt::format("{}{}{}", prefix, kind, place.name),
                     .dtype = Dtype::kF32,
                     .shape = place.shape,
                     .bytes = std::as_bytes(
                         std::span(state.*numbers)
                             .subspan(static_cast<std::size_t>(place.first), static_cast<std::size_t>(place.count)))});
    }
  }
  return all;
}

Checkpoint RegressionTrainer::checkpoint() const {
  Checkpoint checkpoint{.tensors = tensors(state_, ""), .metadata = {}};
  for (StoredTensor& one : tensors(before_, "before.")) checkpoint.tensors.push_back(std::move(one));
  return checkpoint;
}

Checkpoint RegressionTrainer::before_last_finite() const { return {.tensors = tensors(before_, ""), .metadata = {}}; }

void RegressionTrainer::restore(const Safetensors& checkpoint, std::int64_t step) {
  const std::vector<StoredTensor> likes = tensors(before_, "before.");
  auto like = likes.begin();
  State before = before_;
  for (const Part& part : parts()) {
    for (const models::ParameterPlace& place : model_.parameters()) {
      read_tensor(checkpoint, *like++,
                  std::as_writable_bytes(
                      std::span(before.*part.numbers)
                          .subspan(static_cast<std::size_t>(place.first), static_cast<std::size_t>(place.count))));
    }
  }
  state_ = before_ = std::move(before);
  diverged_ = false;
  last_finite_ = {};
  step_ = std::max<std::int64_t>(0, step - 1);
  if (step > 0) advance();
}

}  // namespace polariscope::train
