// What a transformer reads first: tokens and their positions.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <string>

namespace polariscope::models {

enum class Positions {
  kConcat,  // half of the width is the token's, half the position's
  kAdd,
  kNone,
};

// "concat", "add", "no"; throws Error with the nearest known name.
Positions find_positions(const std::string& name);

// Row tokens_bi of `table` beside or plus row i of `positions`, [batch, length, width]: one node of autograd, one pass.
// tokens: int64 [batch, length]; table: [vocabulary, each]; positions: [at least length, each], undefined for kNone.
// Throws Error for a token out of the vocabulary.
at::Tensor embed(const at::Tensor& tokens, const at::Tensor& table, const at::Tensor& positions, Positions how);

}  // namespace polariscope::models
