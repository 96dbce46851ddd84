// What keeps a language model's attention from collapsing, besides its form: a floor under entropy, a limit on scores.
#pragma once

#include "polariscope/models/language/language_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <optional>
#include <vector>

namespace polariscope::train {

// How far entropies lie below a share of what uniform causal rows have: the mean over rows of
// max(0, share·log(n_i) - H_i)², n_i the keys that row i sees: i, from 1, but no more than a window's. entropy: [batch,
// heads, length], differentiable. Scalar.
at::Tensor entropy_shortfall(const at::Tensor& entropy, double share, std::optional<std::int64_t> window = {});

// The largest score of each head over all rows, [heads]; -infinity where there is none.
std::vector<double> largest_scores(const at::Tensor& logit_maximum);

// QK-Clip (Kimi Team 2025, Kimi K2): where a head's largest score was above the limit, its queries and keys are scaled
// down so that it would have been the limit: by the root of the ratio each, or queries alone by the ratio where heads
// share their key head. Nothing happens at and below the limit, negative scores among them. scores: [layers][heads].
void clip_scores(models::language::LanguageModel& model, const std::vector<std::vector<double>>& scores, double limit);

// Throws Error for a model whose queries and keys have norms or feature maps, or are made of latents: scaling weights
// does not scale its scores.
void require_clippable(const models::language::LanguageModel& model);

}  // namespace polariscope::train
