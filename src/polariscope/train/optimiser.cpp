#include "polariscope/train/optimiser.h"

#include "polariscope/base/error.h"

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <string_view>

namespace polariscope {
namespace {

// Comparisons are written so that NaN fails them.
void require(bool holds, std::string_view what, double found) {
  if (!holds) throw Error("{}, found {}", what, found);
}

// Sums of a block in the numbers' own type, of blocks in double: exact enough, and the same bits every time.
constexpr std::int64_t kBlock = 1024;

template <class T, class Step>
StepNorms in_blocks(std::int64_t count, const T* gradients, const Step& step) {
  double gradient = 0.0, update = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = std::min(begin + kBlock, count);
    T of_gradients = 0, of_updates = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const T moved = step(i);
      of_gradients += gradients[i] * gradients[i];
      of_updates += moved * moved;
    }
    gradient += static_cast<double>(of_gradients);
    update += static_cast<double>(of_updates);
  }
  return {std::sqrt(gradient), std::sqrt(update)};
}

template <class T>
StepNorms adamw(const AdamWOptions& o, double steps, std::int64_t count, T* values, const T* gradients, T* mean,
                T* square) {
  const T keep = static_cast<T>(1.0 - o.learning_rate * o.weight_decay);
  const T beta_1 = static_cast<T>(o.beta_1), beta_2 = static_cast<T>(o.beta_2);
  const T rest_1 = static_cast<T>(1.0 - o.beta_1), rest_2 = static_cast<T>(1.0 - o.beta_2);
  const T rate = static_cast<T>(o.learning_rate / (1.0 - std::pow(o.beta_1, steps)));
  const T root = static_cast<T>(std::sqrt(1.0 - std::pow(o.beta_2, steps)));
  const T epsilon = static_cast<T>(o.epsilon);
  return in_blocks<T>(count, gradients, [=](std::int64_t i) {
    const T g = gradients[i], before = values[i];
    mean[i] = beta_1 * mean[i] + rest_1 * g;
    square[i] = beta_2 * square[i] + rest_2 * g * g;
    values[i] = before * keep - rate * mean[i] / (std::sqrt(square[i]) / root + epsilon);
    return values[i] - before;
  });
}

template <class T>
StepNorms sgd(const SgdOptions& o, std::int64_t count, T* values, const T* gradients, T* velocity) {
  const T rate = static_cast<T>(o.learning_rate), momentum = static_cast<T>(o.momentum);
  return in_blocks<T>(count, gradients, [=](std::int64_t i) {
    velocity[i] = momentum * velocity[i] + gradients[i];
    const T moved = -rate * velocity[i];
    values[i] += moved;
    return moved;
  });
}

}  // namespace

AdamW::AdamW(const AdamWOptions& options, const at::Tensor& values)
    : options_(options),
      mean_(at::zeros_like(values)),
      square_(at::zeros_like(values)),
      steps_(at::zeros({1}, at::kLong)) {
  require(options.learning_rate > 0.0, "AdamW's learning rate must be positive", options.learning_rate);
  require(options.epsilon > 0.0, "AdamW's epsilon must be positive", options.epsilon);
  require(options.beta_1 >= 0.0 && options.beta_1 < 1.0, "AdamW's beta 1 must be in [0, 1)", options.beta_1);
  require(options.beta_2 >= 0.0 && options.beta_2 < 1.0, "AdamW's beta 2 must be in [0, 1)", options.beta_2);
  require(options.weight_decay >= 0.0, "AdamW's weight decay must be at least 0", options.weight_decay);
}

StepNorms AdamW::step(const at::Tensor& values, const at::Tensor& gradients) {
  const auto steps = static_cast<double>(++*steps_.data_ptr<std::int64_t>());
  const auto run = [&]<class T>() {
    return adamw<T>(options_, steps, values.numel(), values.data_ptr<T>(), gradients.data_ptr<T>(), mean_.data_ptr<T>(),
                    square_.data_ptr<T>());
  };
  return values.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  return {{"mean", mean_}, {"square", square_}, {"steps", steps_}};
}

Sgd::Sgd(const SgdOptions& options, const at::Tensor& values) : options_(options), velocity_(at::zeros_like(values)) {
  require(options.learning_rate > 0.0, "SGD's learning rate must be positive", options.learning_rate);
  require(options.momentum >= 0.0 && options.momentum < 1.0, "SGD's momentum must be in [0, 1)", options.momentum);
}

StepNorms Sgd::step(const at::Tensor& values, const at::Tensor& gradients) {
  const auto run = [&]<class T>() {
    return sgd<T>(options_, values.numel(), values.data_ptr<T>(), gradients.data_ptr<T>(), velocity_.data_ptr<T>());
  };
  return values.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

std::vector<std::pair<std::string, at::Tensor>> Sgd::state() const { return {{"velocity", velocity_}}; }

}  // namespace polariscope
