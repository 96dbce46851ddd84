#include "polariscope/train/optimiser.h"

#include "polariscope/attention/torch/plain_operators.h"
#include "polariscope/base/error.h"
#include "polariscope/train/internal/optimiser_kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <string_view>

namespace polariscope::train {
namespace {

// Comparisons are written so that NaN fails them.
void require(bool holds, std::string_view what, double found) {
  if (!holds) throw Error("{}, found {}", what, found);
}

// run.operator()<T>() in the type of the numbers; the root of what it returns.
template <class Run>
double root_of(const at::Tensor& numbers, const Run& run) {
  return std::sqrt(numbers.scalar_type() == at::kDouble ? run.template operator()<double>()
                                                        : run.template operator()<float>());
}

// As adamw_step(), in LibTorch's own operators.
double plain_adamw_step(const AdamWOptions& o, double steps, const at::Tensor& gradients, const at::Tensor& values,
                        const at::Tensor& mean, const at::Tensor& square) {
  mean.mul_(o.beta_1).add_(gradients, 1.0 - o.beta_1);
  square.mul_(o.beta_2).addcmul_(gradients, gradients, 1.0 - o.beta_2);
  const at::Tensor size = square.sqrt().mul_(1.0 / std::sqrt(1.0 - std::pow(o.beta_2, steps))).add_(o.epsilon);
  const at::Tensor moved =
      mean / size * (o.learning_rate / (1.0 - std::pow(o.beta_1, steps))) + values * (o.learning_rate * o.weight_decay);
  values.sub_(moved);
  return std::pow(gradient_norm(moved), 2.0);
}

}  // namespace

double gradient_norm(const at::Tensor& gradients) {
  if (attention::takes_plain_operators(gradients)) return gradients.to(at::kDouble).norm().item<double>();
  return root_of(gradients, [&]<class T>() { return squared_norm(gradients.numel(), gradients.data_ptr<T>()); });
}

AdamW::AdamW(const AdamWOptions& options, const at::Tensor& values, std::int64_t decayed)
    : options_(options),
      decayed_(decayed),
      mean_(at::zeros_like(values)),
      square_(at::zeros_like(values)),
      steps_(at::zeros({1}, at::kLong)) {
  require(options.learning_rate > 0.0, "AdamW's learning rate must be positive", options.learning_rate);
  require(options.epsilon > 0.0, "AdamW's epsilon must be positive", options.epsilon);
  require(options.beta_1 >= 0.0 && options.beta_1 < 1.0, "AdamW's beta 1 must be in [0, 1)", options.beta_1);
  require(options.beta_2 >= 0.0 && options.beta_2 < 1.0, "AdamW's beta 2 must be in [0, 1)", options.beta_2);
  require(options.weight_decay >= 0.0, "AdamW's weight decay must be at least 0", options.weight_decay);
}

double AdamW::step(const at::Tensor& values, const at::Tensor& gradients) {
  const auto steps = static_cast<double>(++*steps_.data_ptr<std::int64_t>());
  AdamWOptions without_decay = options_;
  without_decay.weight_decay = 0.0;
  if (attention::takes_plain_operators(values)) {
    const auto part = [&](const AdamWOptions& options, std::int64_t first, std::int64_t count) {
      return plain_adamw_step(options, steps, gradients.narrow(0, first, count), values.narrow(0, first, count),
                              mean_.narrow(0, first, count), square_.narrow(0, first, count));
    };
    return std::sqrt(part(options_, 0, decayed_) + part(without_decay, decayed_, values.numel() - decayed_));
  }
  return root_of(values, [&]<class T>() {
    const auto step = [&](const AdamWOptions& options, std::int64_t first, std::int64_t end) {
      return adamw_step(adamw_factors<T>(options, steps), end - first, gradients.data_ptr<T>() + first,
                        values.data_ptr<T>() + first, mean_.data_ptr<T>() + first, square_.data_ptr<T>() + first);
    };
    return step(options_, 0, decayed_) + step(without_decay, decayed_, values.numel());
  });
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  return {{"mean", mean_}, {"square", square_}, {"steps", steps_}};
}

Sgd::Sgd(const SgdOptions& options, const at::Tensor& values) : options_(options), velocity_(at::zeros_like(values)) {
  require(options.learning_rate > 0.0, "SGD's learning rate must be positive", options.learning_rate);
  require(options.momentum >= 0.0 && options.momentum < 1.0, "SGD's momentum must be in [0, 1)", options.momentum);
}

double Sgd::step(const at::Tensor& values, const at::Tensor& gradients) {
  if (attention::takes_plain_operators(values)) {
    velocity_.mul_(options_.momentum).add_(gradients);
    at::Tensor(values).sub_(velocity_, options_.learning_rate);
    return options_.learning_rate * gradient_norm(velocity_);
  }
  return root_of(values, [&]<class T>() {
    return sgd_step(static_cast<T>(options_.learning_rate), static_cast<T>(options_.momentum), values.numel(),
                    gradients.data_ptr<T>(), values.data_ptr<T>(), velocity_.data_ptr<T>());
  });
}

std::vector<std::pair<std::string, at::Tensor>> Sgd::state() const { return {{"velocity", velocity_}}; }

}  // namespace polariscope::train
