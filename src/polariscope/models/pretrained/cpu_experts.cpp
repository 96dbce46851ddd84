// Mixtures of experts: which a row goes through, and what they make of it.
#include "polariscope/base/parallel.h"
#include "polariscope/models/pretrained/cpu_operations.h"
#include "polariscope/models/pretrained/internal/one_of_many.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::models {
namespace {

void to_softmax(std::vector<double>& votes) {
  const double most = std::ranges::max(votes);
  double sum = 0.0;
  for (double& vote : votes) sum += vote = std::exp(vote - most);
  for (double& vote : votes) vote /= sum;
}

// The largest `count`, the earlier of equal ones first.
std::vector<std::int32_t> largest(const std::vector<double>& numbers, std::int64_t count) {
  std::vector<std::int32_t> order(numbers.size());
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&](std::int32_t a, std::int32_t b) {
    return numbers[a] != numbers[b] ? numbers[a] > numbers[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + count, order.end(), larger);
  order.resize(count);
  return order;
}

// Experts outside the best groups cannot be chosen; a group counts by the sum of its best two.
void keep_best_groups(const Experts& of, std::vector<double>& scores) {
  const std::int64_t size = of.count / of.groups;
  std::vector<double> sums;
  for (std::int64_t g = 0; g < of.groups; ++g) {
    const std::vector<double> group(scores.begin() + g * size, scores.begin() + (g + 1) * size);
    double sum = 0.0;
    for (const std::int32_t best : largest(group, std::min<std::int64_t>(2, size))) sum += group[best];
    sums.push_back(sum);
  }
  std::vector<bool> kept(of.groups, false);
  for (const std::int32_t group : largest(sums, of.chosen_groups)) kept[group] = true;
  for (std::int64_t e = 0; e < of.count; ++e) {
    if (!kept[e / size]) scores[e] = -std::numeric_limits<double>::infinity();
  }
}

// Of one row. `votes` become the weights of all experts.
std::vector<std::int32_t> choose(const Experts& of, std::span<const double> choice_bias, std::vector<double>& votes) {
  if (of.routing == Routing::kSigmoid) {
    for (double& vote : votes) vote = 1.0 / (1.0 + std::exp(-vote));
    std::vector<double> scores = votes;
    for (std::size_t e = 0; e < scores.size(); ++e) scores[e] += choice_bias[e];
    if (of.groups > 1) keep_best_groups(of, scores);
    return largest(scores, of.chosen);
  }
  if (of.routing == Routing::kSoftmaxThenTop) to_softmax(votes);
  return largest(votes, of.chosen);
}

}  // namespace

template <class T>
Routes CpuOperations<T>::routes(const Array& votes, const Experts& experts, const Vector& choice_bias) const {
  Routes routes;
  routes.experts.resize(votes.rows * experts.chosen);
  routes.weights.resize(votes.rows * experts.chosen);
  const std::vector<double> bias(choice_bias.begin(), choice_bias.end());
  for_ranges(votes.rows, [&](TokenRange range) {
    for (std::int64_t r = range.first; r < range.first + range.count; ++r) {
      std::vector<double> of_all(votes.row(r), votes.row(r) + experts.count);
      const std::vector<std::int32_t> chosen = choose(experts, bias, of_all);
      std::vector<double> weights;
      for (const std::int32_t e : chosen) weights.push_back(of_all[e]);
      if (experts.routing == Routing::kTopThenSoftmax) to_softmax(weights);
      const double sum = std::accumulate(weights.begin(), weights.end(), experts.weight_floor);
      for (std::int64_t c = 0; c < experts.chosen; ++c) {
        routes.experts[r * experts.chosen + c] = chosen[c];
        routes.weights[r * experts.chosen + c] = weights[c] / (experts.renormalise ? sum : 1.0) * experts.weight_scale;
      }
    }
  });
  return routes;
}

template <class T>
Rows<T> CpuOperations<T>::mixed(const Array& x, const Routes& routes, const Experts& experts,
                                const std::function<Array(std::int64_t expert, const Array& rows)>& visit) {
  // Places of `routes` that lead to each expert.
  std::vector<std::vector<std::int64_t>> places(experts.count);
  for (std::size_t i = 0; i < routes.experts.size(); ++i) places[routes.experts[i]].push_back(i);
  const Array parts = make(x.rows * experts.chosen, x.width);
  parallel_for(experts.count, options_.threads, [&](std::int64_t e) {
    const OneOfMany one;
    if (places[e].empty()) return;
    const Array rows = make(static_cast<std::int64_t>(places[e].size()), x.width);
    for (std::int64_t i = 0; i < rows.rows; ++i)
      std::copy_n(x.row(places[e][i] / experts.chosen), x.width, rows.row(i));
    const Array y = visit(e, rows);
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      const T weight = static_cast<T>(routes.weights[places[e][i]]);
      std::transform(y.row(i), y.row(i) + y.width, parts.row(places[e][i]), [=](T number) { return weight * number; });
    }
  });
  const Array sums = make(x.rows, x.width);
  for_ranges(x.rows, [&](TokenRange range) {
    for (std::int64_t r = range.first; r < range.first + range.count; ++r) {
      T* sum = sums.row(r);
      std::copy_n(parts.row(r * experts.chosen), x.width, sum);
      for (std::int64_t c = 1; c < experts.chosen; ++c) {
        const T* part = parts.row(r * experts.chosen + c);
        std::transform(sum, sum + x.width, part, sum, std::plus<>());
      }
    }
  });
  return sums;
}

template Routes CpuOperations<float>::routes(const Array&, const Experts&, const Vector&) const;
template Routes CpuOperations<double>::routes(const Array&, const Experts&, const Vector&) const;
template Rows<float> CpuOperations<float>::mixed(const Array&, const Routes&, const Experts&,
                                                 const std::function<Array(std::int64_t, const Array&)>&);
template Rows<double> CpuOperations<double>::mixed(const Array&, const Routes&, const Experts&,
                                                   const std::function<Array(std::int64_t, const Array&)>&);

}  // namespace polariscope::models
