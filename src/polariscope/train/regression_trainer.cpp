#include "polariscope/train/regression_trainer.h"

#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/train/internal/optimiser_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

namespace polariscope::train {
namespace {

constexpr std::int64_t kDrawnAtOnce = 256;  // examples that a thread draws

const RegressionOptions& validated(const RegressionOptions& options) {
  validate(options);
  return options;
}

// The step of a checkpoint; -1 where it has none.
std::int64_t step_of(const Safetensors& file) {
  const auto found = file.metadata().find("step");
  std::int64_t step = -1;
  if (found == file.metadata().end()) return step;
  const char *begin = found->second.data(), *end = begin + found->second.size();
  const auto [rest, failure] = std::from_chars(begin, end, step);
  return failure == std::errc() && rest == end ? step : -1;
}

}  // namespace

// Numbers of a state under the name of the file.
struct RegressionTrainer::Stored {
  std::string name;
  std::vector<std::int64_t> shape;
  float* first;
  std::size_t count;
};

RegressionTrainer::RegressionTrainer(const RegressionOptions& options, int threads)
    : options_(validated(options)),
      model_(model_of(options)),
      task_({.tokens = static_cast<int>(options.tokens)}, options.seed, tasks::Split::kTraining),
      threads_(threads) {
  const auto count = static_cast<std::size_t>(model_.parameter_count());
  const auto batch = static_cast<std::size_t>(options_.batch);
  state_ = {model_.initial_values(options_.seed), std::vector<float>(count)};
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
  draw(step_ * options_.batch);
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
  const SquaredNorms norms =
      sgd_step(static_cast<float>(options_.learning_rate), static_cast<float>(options_.momentum),
               model_.parameter_count(), gradient_.data(), state_.values.data(), state_.velocity.data());
  record.update_norm = std::sqrt(norms.update);
  last_finite_ = record;
  return record;
}

std::vector<RegressionTrainer::Stored> RegressionTrainer::stored(State& state, const char* prefix) const {
  std::vector<Stored> all;
  for (const auto& [kind, numbers] : {std::pair{"", &state.values}, std::pair{"velocity.", &state.velocity}}) {
    for (const models::ParameterPlace& place : model_.parameters()) {
      all.push_back({.name = fmt::format("{}{}{}", prefix, kind, place.name),
                     .shape = place.shape,
                     .first = numbers->data() + place.first,
                     .count = static_cast<std::size_t>(place.count)});
    }
  }
  return all;
}

void RegressionTrainer::write(const std::filesystem::path& path, std::int64_t step,
                              const std::vector<Stored>& all) const {
  std::vector<StoredTensor> tensors;
  for (const Stored& one : all) {
    tensors.push_back({.name = one.name,
                       .dtype = Dtype::kF32,
                       .shape = one.shape,
                       .bytes = std::as_bytes(std::span(one.first, one.count))});
  }
  write_safetensors(path, tensors, {{"step", fmt::format("{}", step)}});
}

void RegressionTrainer::write_checkpoint(const std::filesystem::path& path) {
  std::vector<Stored> all = stored(state_, "");
  for (Stored& one : stored(before_, "before.")) all.push_back(std::move(one));
  write(path, last_finite_.step, all);
}

void RegressionTrainer::write_last_finite(const std::filesystem::path& path) {
  write(path, last_finite_.step, stored(before_, ""));
}

void RegressionTrainer::read_checkpoint(const std::filesystem::path& path) {
  const Safetensors file(path);
  const std::int64_t step = step_of(file);
  if (step < 0 || step > options_.steps) {
    throw Error("{} is no checkpoint of this run: it is of no step from 0 to {}", path.string(), options_.steps);
  }
  State before = before_;
  for (const Stored& one : stored(before, "before.")) {
    const StoredTensor* found = file.find(one.name);
    if (found == nullptr || found->dtype != Dtype::kF32 || found->shape != one.shape) {
      throw Error("{} is no checkpoint of this run: its tensor {} is missing or different", path.string(), one.name);
    }
    std::memcpy(one.first, found->bytes.data(), found->bytes.size());
  }
  state_ = before_ = std::move(before);
  diverged_ = false;
  last_finite_ = {};
  step_ = std::max<std::int64_t>(0, step - 1);
  if (step > 0) advance();
}

}  // namespace polariscope::train
