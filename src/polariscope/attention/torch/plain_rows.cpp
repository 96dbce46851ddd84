#include "polariscope/attention/torch/internal/plain_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

namespace polariscope::attention {
namespace {

using reweighting::AttentionForm;
using reweighting::Normaliser;
using reweighting::RowRule;
using reweighting::Transform;
using reweighting::WeightFunction;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

at::Tensor row_sums(const at::Tensor& x) { return x.sum(-1, true); }
at::Tensor or_one(const at::Tensor& x) { return at::where(x == 0, at::ones_like(x), x); }
at::Tensor where_or_zero(const at::Tensor& condition, const at::Tensor& x) {
  return at::where(condition, x, at::zeros_like(x));
}

at::Tensor transformed(const AttentionForm& form, const at::Tensor& s, const at::Tensor& visible,
                       const at::Tensor& lengths) {
  switch (form.transform) {
    case Transform::kNone: return s;
    case Transform::kSoftCap: return form.transform_factor * at::tanh(s / form.transform_factor);
    case Transform::kLogCount:
      return form.transform_factor * s * visible.sum(-1, true).clamp_min(1).to(s.scalar_type()).log();
    case Transform::kMinusLogKeys: return s - lengths.clamp_min(1).to(s.scalar_type()).log();
  }
  return s;
}

// The largest visible score of each row, without derivative; 0 where there is none.
at::Tensor largest(const at::Tensor& z, const at::Tensor& visible) {
  const at::Tensor most = z.detach().masked_fill(visible.logical_not(), -kInfinity).amax({-1}, true);
  return at::where(most == -kInfinity, at::zeros_like(most), most);
}

struct Exponentials {
  at::Tensor e, total, shift;  // e^(z - shift), their sums with the sink's
};
Exponentials exponentials(const at::Tensor& z, const at::Tensor& visible, const at::Tensor& sink) {
  at::Tensor shift = largest(z, visible), score;
  if (sink.defined()) {
    score = sink.view({-1, 1, 1});
    shift = at::maximum(shift, score.detach());
  }
  const at::Tensor e = where_or_zero(visible, at::exp(z - shift)), total = row_sums(e);
  return {e, sink.defined() ? total + at::exp(score - shift) : total, shift};
}

at::Tensor raised(const at::Tensor& x, const at::Tensor& visible, const at::Tensor& tau, double exponent) {
  const at::Tensor over = x - tau, inside = visible.logical_and(over > 0);
  return where_or_zero(inside, at::pow(at::where(inside, over, at::ones_like(over)), exponent));
}

// max((α - 1) z - τ, 0)^(1/(α - 1)). The threshold is found by halving; a step of Newton's from there has its
// derivative.
at::Tensor entmax(const at::Tensor& z, const at::Tensor& visible, double alpha) {
  const at::Tensor x = (alpha - 1.0) * z;
  const double power = 1.0 / (alpha - 1.0);
  at::Tensor high = largest(x, visible), low = high - 1.0;
  for (int i = 0; i < (z.scalar_type() == at::kDouble ? 56 : 28); ++i) {
    const at::Tensor middle = (low + high) / 2.0;
    const at::Tensor enough = row_sums(raised(x.detach(), visible, middle, power)) >= 1.0;
    low = at::where(enough, middle, low);
    high = at::where(enough, high, middle);
  }
  const at::Tensor slope = power * row_sums(raised(x.detach(), visible, low, power - 1.0));
  const at::Tensor tau = low + (row_sums(raised(x, visible, low, power)) - 1.0) * (slope > 0) / or_one(slope);
  return raised(x, visible, tau, power);
}

at::Tensor weight_of(WeightFunction function, const at::Tensor& z) {
  switch (function) {
    case WeightFunction::kExp: return at::exp(z);
    case WeightFunction::kSigmoid: return at::sigmoid(z);
    case WeightFunction::kRelu: return at::relu(z);
    case WeightFunction::kElu1: return at::where(z > 0, z + 1.0, at::exp(z.clamp_max(0.0)));
    case WeightFunction::kIdentity: return z;
    case WeightFunction::kAbs: return z.abs();
    case WeightFunction::kSquare: return z * z;
    case WeightFunction::kOne: return at::ones_like(z);
  }
  return z;
}

at::Tensor normalised(const AttentionForm& form, const at::Tensor& w, const at::Tensor& count) {
  switch (form.normaliser) {
    case Normaliser::kNone: return w;
    case Normaliser::kSum:
    case Normaliser::kSumAndSink: {
      const at::Tensor total = row_sums(w) + form.sum_offset;
      return where_or_zero(total != 0, w / or_one(total));
    }
    case Normaliser::kMax1: return w / row_sums(w).abs().clamp_min(1.0);
    case Normaliser::kCount: return w / at::pow(count, form.count_power);
  }
  return w;
}

at::Tensor log_where_positive(const at::Tensor& x) { return at::where(x > 0, x, at::ones_like(x)).log(); }

at::Tensor entropy(const PlainRows& rows) {
  const at::Tensor mass = rows.size.sum(-1), some = mass > 0, safe = at::where(some, mass, at::ones_like(mass));
  return where_or_zero(some, safe.log() - (rows.size * rows.log_size).sum(-1) / safe);
}

at::Tensor skewness(const PlainRows& rows) {
  const at::Tensor p = rows.p.detach();
  const at::Tensor away = where_or_zero(rows.visible, p - (p.sum(-1) / rows.count).unsqueeze(-1));
  const at::Tensor second = away.pow(2).sum(-1) / rows.count, third = away.pow(3).sum(-1) / rows.count;
  const double epsilon = p.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                        : static_cast<double>(std::numeric_limits<float>::epsilon());
  const at::Tensor varied = second > (4.0 * epsilon * p.abs().amax({-1})).square();
  return where_or_zero(varied, third / at::pow(at::where(varied, second, at::ones_like(second)), 1.5));
}

}  // namespace

PlainRows weighed(const AttentionForm& form, const at::Tensor& scores, const at::Tensor& visible,
                  const at::Tensor& lengths, const at::Tensor& sink) {
  PlainRows rows;
  rows.visible = visible;
  rows.z = where_or_zero(visible, transformed(form, scores, visible, lengths));
  const at::Tensor &z = rows.z, count = visible.sum(-1, true).clamp_min(1).to(z.scalar_type());
  rows.count = count.squeeze(-1);
  if (form.rule == RowRule::kElementwise && form.weight == WeightFunction::kExp) {
    const bool to_sink = form.normaliser == Normaliser::kSumAndSink;
    const at::Tensor at_zero = to_sink ? at::zeros({z.size(1)}, z.options().requires_grad(false)) : at::Tensor();
    const auto [e, total, shift] = exponentials(z, visible, sink.defined() ? sink : at_zero);
    rows.p = e / or_one(total);
    rows.size = e;
    rows.log_size = where_or_zero(e > 0, z - shift);
    rows.total = rows.p.sum(-1);
    const at::Tensor some = total > 0;
    rows.log_sum_exp = at::where(some, shift + log_where_positive(total), at::full_like(total, -kInfinity)).squeeze(-1);
    return rows;
  }
  at::Tensor w;
  switch (form.rule) {
    case RowRule::kElementwise:
      w = where_or_zero(visible, weight_of(form.weight, z));
      rows.p = normalised(form, w, count);
      break;
    case RowRule::kClippedSoftmax: {
      const auto [e, total, shift] = exponentials(z, visible, {});
      w = where_or_zero(visible, ((form.zeta - form.gamma) * (e / or_one(total)) + form.gamma).clamp(0.0, 1.0));
      break;
    }
    case RowRule::kSoftpick: {
      const at::Tensor low = largest(z, visible).clamp_min(0.0);  // all is divided by e^low
      const at::Tensor e = where_or_zero(visible, at::exp(z - low) - at::exp(-low));
      w = at::relu(e) / (row_sums(e.abs()) + form.epsilon * at::exp(-low));
      break;
    }
    case RowRule::kSparsemax: w = entmax(z, visible, 2.0); break;
    case RowRule::kEntmax: w = entmax(z, visible, form.alpha); break;
  }
  if (!rows.p.defined()) rows.p = w;
  rows.size = w.abs();
  rows.log_size = log_where_positive(rows.size);
  rows.total = w.sum(-1);
  return rows;
}

at::Tensor statistic_of(const PlainRows& rows, const std::string& name) {
  const at::Tensor some = rows.visible.any(-1);
  if (name == "entropy") return entropy(rows);
  if (name == "sum_of_squares") return (rows.p * rows.p).sum(-1);
  if (name == "maximum" || name == "argmax") {
    const at::Tensor place =
        rows.p.detach().abs().masked_fill(rows.visible.logical_not(), -1.0).argmax(-1, /*keepdim=*/true);
    if (name == "argmax") return place.squeeze(-1).masked_fill(some.logical_not(), -1).to(at::kInt);
    return where_or_zero(some, rows.p.abs().gather(-1, place).squeeze(-1));
  }
  if (name == "first_key") return rows.p.select(-1, 0);
  if (name == "first_visible_key") {
    return rows.p.gather(-1, rows.visible.to(at::kByte).argmax(-1, /*keepdim=*/true)).squeeze(-1);
  }
  if (name == "row_sum") return rows.total.detach();
  if (name == "log_sum_exp") return rows.log_sum_exp;
  if (name == "logit_mean") return rows.z.sum(-1) / rows.count;
  if (name == "logit_variance") {
    const at::Tensor mean = (rows.z.sum(-1) / rows.count).unsqueeze(-1);
    return where_or_zero(rows.visible, rows.z - mean).square().sum(-1) / rows.count;
  }
  if (name == "logit_maximum") {
    return where_or_zero(some, rows.z.detach().masked_fill(rows.visible.logical_not(), -kInfinity).amax({-1}));
  }
  if (name == "skewness") return skewness(rows);
  return rows.visible.sum(-1).to(at::kInt);  // "visible"
}

}  // namespace polariscope::attention
