// Language models of tiny_configs.h, tokens for them, and whether their gradients are those of their loss.
#pragma once

#include "polariscope/base/random.h"
#include "polariscope/models/language/language_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace polariscope::models::language {

inline at::Tensor tokens_of(const std::vector<std::vector<std::int64_t>>& texts) {
  const auto length = static_cast<std::int64_t>(texts.front().size());
  at::Tensor tokens = at::empty({static_cast<std::int64_t>(texts.size()), length}, at::kLong);
  auto* to = tokens.data_ptr<std::int64_t>();
  for (const auto& text : texts) to = std::copy(text.begin(), text.end(), to);
  return tokens;
}

inline at::Tensor drawn_tokens(std::int64_t batch, std::int64_t length, std::int64_t vocabulary, std::uint64_t seed) {
  RandomStream random(seed, 7);
  std::vector<std::vector<std::int64_t>> texts(batch, std::vector<std::int64_t>(length));
  for (auto& text : texts) {
    for (auto& token : text) token = static_cast<std::int64_t>(random.uniform() * static_cast<double>(vocabulary));
  }
  return tokens_of(texts);
}

// The next token of each, none for the last.
inline at::Tensor next(const at::Tensor& tokens) {
  at::Tensor targets = at::empty_like(tokens).fill_(-1);
  const std::int64_t length = tokens.size(1);
  targets.narrow(1, 0, length - 1).copy_(tokens.narrow(1, 1, length - 1));
  return targets;
}

inline LanguageModel model_of(const nlohmann::ordered_json& config, at::ScalarType type = at::kDouble,
                              const OwnAttention& own = {}, bool sigma_reparam = false) {
  return {
      {.blueprint = blueprint_of(config, "the test's config", own), .deviation = 0.3, .sigma_reparam = sigma_reparam},
      type,
      3};
}

// Their worst disagreement, over the gradient's own size: numbers' central differences along each of a few directions.
inline double gradient_error(LanguageModel& model, const at::Tensor& tokens, double z_loss) {
  const at::Tensor targets = next(tokens);
  model.parameters().clear_gradients();
  model.loss(tokens, targets, z_loss).loss.backward();
  const at::Tensor values = model.parameters().values(), gradients = model.parameters().gradients();
  const at::NoGradGuard guard;
  RandomStream random(11, 1);
  double worst = 0.0;
  for (int direction = 0; direction < 3; ++direction) {
    at::Tensor along = at::empty_like(values);
    for (std::int64_t i = 0; i < along.numel(); ++i) along.data_ptr<double>()[i] = random.normal();
    along /= along.norm();
    constexpr double kStep = 1e-5;
    const auto loss_at = [&](double step) {
      at::Tensor moved = values;
      moved.add_(along, step);
      const double loss = model.loss(tokens, targets, z_loss).loss.item<double>();
      moved.add_(along, -step);
      return loss;
    };
    const double slope =
        (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0 * kStep) - loss_at(-2.0 * kStep))) / (12.0 * kStep);
    const double expected = (gradients * along).sum().item<double>();
    worst = std::max(worst, std::abs(slope - expected) / (std::abs(expected) + gradients.norm().item<double>()));
  }
  return worst;
}

}  // namespace polariscope::models::language
