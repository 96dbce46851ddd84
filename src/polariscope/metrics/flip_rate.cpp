#include "polariscope/metrics/flip_rate.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::metrics {
namespace {

template <class T>
bool all_finite(std::span<const T> row) {
  return std::all_of(row.begin(), row.end(), [](T w) { return std::isfinite(w); });
}

// The tokens in falling order of attention.
template <class T>
std::vector<std::int64_t> ranked(std::span<const std::int64_t> tokens, std::span<const T> attention) {
  std::vector<std::size_t> places(attention.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return attention[a] > attention[b]; });
  std::vector<std::int64_t> order;
  for (const std::size_t place : places) order.push_back(tokens[place]);
  return order;
}

// Fisher-Yates.
void shuffle(std::span<std::int64_t> tokens, RandomStream& random) {
  for (std::size_t left = tokens.size(); left > 1; --left) std::swap(tokens[left - 1], tokens[random.below(left)]);
}

template <class T>
void require_sizes(const AttentionMap<T>& attention, std::span<const std::int64_t> tokens,
                   std::span<const std::int64_t> labels, std::span<const FlipPair> pairs) {
  validate(attention);
  if (!attention.lengths.empty()) throw Error("flip rate: padded sequences: all must have their CLS last");
  if (attention.queries < 1 || attention.keys < 2) {
    throw Error("flip rate: {} queries and {} keys: the row of CLS, a token and CLS are needed", attention.queries,
                attention.keys);
  }
  if (tokens.size() != static_cast<std::size_t>(attention.samples * attention.keys) ||
      labels.size() != static_cast<std::size_t>(attention.samples)) {
    throw Error("flip rate: {} tokens and {} labels: {} samples of {} tokens have {} and {}", tokens.size(),
                labels.size(), attention.samples, attention.keys, attention.samples * attention.keys,
                attention.samples);
  }
  for (const FlipPair& pair : pairs) {
    if (pair.first >= labels.size() || pair.second >= labels.size()) {
      throw Error("flip rate: a pair of samples {} and {}: there are {}", pair.first, pair.second, labels.size());
    }
  }
}

}  // namespace

std::vector<FlipPair> draw_flip_pairs(std::span<const std::int64_t> labels, const FlipRateOptions& options) {
  if (options.pairs < 1) throw Error("flip rate: {} pairs: at least 1 is needed", options.pairs);
  if (std::all_of(labels.begin(), labels.end(), [&](std::int64_t label) { return label == labels.front(); })) {
    throw Error("flip rate: {} samples have no two different labels", labels.size());
  }
  std::vector<FlipPair> pairs;
  for (int i = 0; i < options.pairs; ++i) {
    FlipPair pair{0, 0, RandomStream(options.seed, static_cast<std::uint64_t>(i))};
    do {
      pair.first = pair.random.below(labels.size());
      pair.second = pair.random.below(labels.size());
    } while (labels[pair.first] == labels[pair.second]);
    pairs.push_back(pair);
  }
  return pairs;
}

template <class T>
std::vector<Mean> flip_rate(const AttentionMap<T>& attention, std::span<const std::int64_t> tokens,
                            std::span<const std::int64_t> labels, std::span<const FlipPair> pairs,
                            const PredictLabels& predict) {
  require_sizes(attention, tokens, labels, pairs);
  const auto length = static_cast<std::size_t>(attention.keys);
  std::vector<Mean> rates;
  for (std::int64_t head = 0; head < attention.heads; ++head) {
    const auto content_attention = [&](std::size_t sample) {
      return attention.row(static_cast<std::int64_t>(sample), head, attention.queries - 1).first(length - 1);
    };
    const auto ranked_content = [&](std::size_t sample) {
      return ranked(tokens.subspan(sample * length, length - 1), content_attention(sample));
    };
    Mean rate;
    std::vector<std::int64_t> trials, donors;
    for (FlipPair pair : pairs) {  // a copy: every head shuffles by the same random numbers
      if (!all_finite(content_attention(pair.first)) || !all_finite(content_attention(pair.second))) {
        for (int way = 0; way < 2; ++way) rate.add(std::numeric_limits<double>::quiet_NaN());
        continue;
      }
      std::vector<std::int64_t> one = ranked_content(pair.first), other = ranked_content(pair.second);
      std::swap(one.front(), other.front());
      shuffle(one, pair.random);
      shuffle(other, pair.random);
      one.push_back(tokens[(pair.first + 1) * length - 1]);
      other.push_back(tokens[(pair.second + 1) * length - 1]);
      trials.insert(trials.end(), one.begin(), one.end());
      trials.insert(trials.end(), other.begin(), other.end());
      donors.insert(donors.end(), {labels[pair.second], labels[pair.first]});
    }
    const std::vector<std::int64_t> predicted = donors.empty() ? donors : predict(trials);
    if (predicted.size() != donors.size()) {
      throw Error("flip rate: {} labels were predicted for {} sequences", predicted.size(), donors.size());
    }
    for (std::size_t i = 0; i < donors.size(); ++i) rate.add(predicted[i] == donors[i] ? 1.0 : 0.0);
    rates.push_back(rate);
  }
  return rates;
}

template std::vector<Mean> flip_rate(const AttentionMap<float>&, std::span<const std::int64_t>,
                                     std::span<const std::int64_t>, std::span<const FlipPair>, const PredictLabels&);
template std::vector<Mean> flip_rate(const AttentionMap<double>&, std::span<const std::int64_t>,
                                     std::span<const std::int64_t>, std::span<const FlipPair>, const PredictLabels&);

}  // namespace polariscope::metrics
