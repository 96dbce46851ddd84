// Mixtures of experts over tensors: which a row goes through, and what they make of it.
#include "polariscope/models/language/tensor_operations.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <tuple>

namespace polariscope::models::language {
namespace {

at::Tensor places_of_largest(const at::Tensor& scores, std::int64_t count) {
  return std::get<1>(scores.detach().topk(count, 1));
}

// Experts outside the best groups cannot be chosen; a group counts by the sum of its best two.
at::Tensor within_best_groups(const at::Tensor& scores, const Experts& of) {
  const std::int64_t size = of.count / of.groups, rows = scores.size(0);
  const at::Tensor groups = scores.view({rows, of.groups, size});
  const at::Tensor sums = std::get<0>(groups.topk(std::min<std::int64_t>(2, size), 2)).sum(2);
  const at::Tensor best = std::get<1>(sums.topk(of.chosen_groups, 1));
  at::Tensor kept = at::zeros({rows, of.groups}, scores.options().dtype(at::kBool));
  kept.scatter_(1, best, true);
  return groups.masked_fill(kept.logical_not().unsqueeze(2), -std::numeric_limits<double>::infinity())
      .view({rows, of.count});
}

}  // namespace

TensorOperations::Routes TensorOperations::routes(const Array& votes, const Experts& of,
                                                  const Vector& choice_bias) const {
  Routes routes;
  const at::Tensor& all = votes.numbers();
  switch (of.routing) {
    case Routing::kSoftmaxThenTop: {
      const at::Tensor weights = at::softmax(all, 1);
      routes.experts = places_of_largest(weights, of.chosen);
      routes.weights = weights.gather(1, routes.experts);
      break;
    }
    case Routing::kTopThenSoftmax:
      routes.experts = places_of_largest(all, of.chosen);
      routes.weights = at::softmax(all.gather(1, routes.experts), 1);
      break;
    case Routing::kSigmoid: {
      const at::Tensor weights = at::sigmoid(all);
      at::Tensor scores = weights.detach() + choice_bias.detach();
      if (of.groups > 1) scores = within_best_groups(scores, of);
      routes.experts = places_of_largest(scores, of.chosen);
      routes.weights = weights.gather(1, routes.experts);
      break;
    }
  }
  if (of.renormalise) routes.weights = routes.weights / (routes.weights.sum(1, true) + of.weight_floor);
  routes.weights = routes.weights * of.weight_scale;
  return routes;
}

TensorRows TensorOperations::mixed(const Array& x, const Routes& routes, const Experts& experts,
                                   const std::function<Array(std::int64_t expert, const Array& rows)>& visit) const {
  at::Tensor sum = at::zeros({x.rows, x.width}, x.numbers().options());
  for (std::int64_t e = 0; e < experts.count; ++e) {
    const at::Tensor there = routes.experts.eq(e).nonzero();  // [places, 2]: row and choice
    if (there.size(0) == 0) continue;
    const at::Tensor rows = there.select(1, 0), choices = there.select(1, 1);
    const Array y = visit(e, TensorRows(x.numbers().index_select(0, rows)));
    const at::Tensor weights = routes.weights.index_select(0, rows).gather(1, choices.unsqueeze(1));
    sum = sum.index_add(0, rows, y.numbers() * weights);
  }
  return TensorRows(sum);
}

}  // namespace polariscope::models::language
