// Attention in LibTorch's own operators, for tensors of other devices: blocks of queries, whose weights are there for
// the output and the statistics; autograd differentiates it. What is not finite spoils its row, and rows that share a
// product with it.
#include "polariscope/attention/torch/internal/operator.h"
#include "polariscope/attention/torch/internal/plain_rows.h"
#include "polariscope/base/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::attention {
namespace {

constexpr std::int64_t kScores = 1 << 24;  // that are there at once
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

at::Tensor mapped(const reweighting::AttentionForm& form, const at::Tensor& x) {
  switch (form.feature) {
    case reweighting::FeatureMap::kNone: return x;
    case reweighting::FeatureMap::kRelu: return at::relu(x) + form.feature_offset;
    case reweighting::FeatureMap::kElu1: return at::where(x > 0, x + 1.0, at::exp(x.clamp_max(0.0)));
  }
  return x;
}

// x yᵀ or x y of every head; groups of heads read one of y.
at::Tensor product(const at::Tensor& x, const at::Tensor& y) {
  const std::int64_t batch = x.size(0), heads = x.size(1), rows = x.size(2);
  return at::matmul(x.reshape({batch, y.size(1), heads / y.size(1) * rows, x.size(3)}), y)
      .reshape({batch, heads, rows, y.size(3)});
}

// Everything but the queries, which come in blocks.
class Blocks {
 public:
  Blocks(const TensorArguments& a, const Names& statistics)
      : a_(a),
        o_(a.options),
        statistics_(statistics),
        form_(form_of(a.options)),
        query_(mapped(form_, a.query)),
        key_(mapped(form_, a.key)),
        whole_numbers_(at::TensorOptions(a.query.device()).dtype(at::kLong)),
        lengths_((o_.key_lengths.defined() ? o_.key_lengths : at::full({a.query.size(0)}, keys(), whole_numbers_))
                     .view({-1, 1, 1, 1})) {
    const double width = static_cast<double>(std::max<std::int64_t>(a.query.size(3), 1));
    scale_ = o_.scale.value_or(form_.scaled ? 1.0 / std::sqrt(width) : 1.0);
  }

  std::int64_t queries() const { return a_.query.size(2); }
  std::int64_t keys() const { return a_.key.size(2); }

  // Output and statistics of rows [first, end); adds to what columns receive.
  Tensors rows(std::int64_t first, std::int64_t end, at::Tensor& column_sums, at::Tensor& column_counts) const {
    const std::int64_t seen = o_.causal ? std::clamp<std::int64_t>(end + keys() - queries(), 1, keys()) : keys();
    const at::Tensor own = at::arange(first, end, whole_numbers_).view({-1, 1}) + lengths_ - queries();
    const at::Tensor j = at::arange(seen, whole_numbers_);
    at::Tensor z = product(query_.slice(2, first, end), key_.slice(2, 0, seen).transpose(2, 3)) * scale_;
    at::Tensor visible = visible_keys(own, j);
    if (o_.slopes.defined()) z = z - o_.slopes.view({-1, 1, 1}) * (own - j).abs();
    if (o_.bias.defined()) {
      const at::Tensor bias = o_.bias.slice(2, first, end).slice(3, 0, seen);
      const at::Tensor hidden = bias == -std::numeric_limits<double>::infinity();
      visible = visible.logical_and(hidden.logical_not());
      z = z + at::where(hidden, at::zeros_like(bias), bias);
    }
    visible = visible.expand(z.sizes());
    const at::Tensor good = at::isfinite(z), bad = visible.logical_and(good.logical_not()).any(-1);
    z = at::where(visible.logical_and(good), z, at::zeros_like(z));
    const PlainRows rows = weighed(form_, z, visible, lengths_, o_.sink);
    Tensors found{product(rows.p, a_.value.slice(2, 0, seen)).masked_fill(bad.unsqueeze(-1), kNaN)};
    for (const std::string& name : statistics_) {
      if (name == "column_means") {
        const at::Tensor p = rows.p.detach().masked_fill(bad.unsqueeze(-1).logical_and(visible), kNaN);
        column_sums.slice(2, 0, seen).add_(p.sum(2));
        column_counts.slice(2, 0, seen).add_(visible.sum(2));
        found.emplace_back();
      } else if (name == "non_finite") {
        found.push_back(bad);
      } else {
        const at::Tensor x = statistic_of(rows, name);
        found.push_back(at::isFloatingType(x.scalar_type()) ? x.masked_fill(bad, kNaN) : x);
      }
    }
    return found;
  }

 private:
  // [batch, 1, rows, keys]
  at::Tensor visible_keys(const at::Tensor& own, const at::Tensor& j) const {
    at::Tensor visible = (j < lengths_).expand({lengths_.size(0), 1, own.size(2), j.size(0)});
    if (o_.causal) visible = visible.logical_and(j <= own);
    if (o_.window) {
      visible = visible.logical_and(own - j < *o_.window);
      if (!o_.causal) visible = visible.logical_and(j - own < *o_.window);
    }
    return visible;
  }

  const TensorArguments& a_;
  const AttendOptions& o_;
  const Names& statistics_;
  reweighting::AttentionForm form_;
  at::Tensor query_, key_;
  at::TensorOptions whole_numbers_;
  at::Tensor lengths_;  // [batch, 1, 1, 1]
  double scale_ = 1.0;
};

}  // namespace

Tensors forward_in_plain_operators(const TensorArguments& a, const Names& statistics) {
  if (a.options.learned.defined()) throw Error("attend: parameters that are learned are computed on the CPU alone");
  const std::int64_t batch = a.query.size(0), heads = a.query.size(1), queries = a.query.size(2), keys = a.key.size(2);
  if (batch * heads * queries * keys == 0) throw Error("attend: without rows or keys it is computed on the CPU alone");
  const Blocks blocks(a, statistics);
  at::Tensor sums = at::zeros({batch, heads, keys}, a.query.options().requires_grad(false)),
             counts = at::zeros_like(sums);
  const std::int64_t count = std::clamp<std::int64_t>(kScores / (batch * heads * keys), 1, queries);
  std::vector<Tensors> parts(1 + statistics.size());
  for (std::int64_t first = 0; first < queries; first += count) {
    const Tensors some = blocks.rows(first, std::min(first + count, queries), sums, counts);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].push_back(some[i]);
  }
  Tensors results;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool columns = i > 0 && statistics[i - 1] == "column_means";
    results.push_back(columns ? sums / counts.clamp_min(1.0) : at::cat(parts[i], 2));
  }
  return results;
}

}  // namespace polariscope::attention
