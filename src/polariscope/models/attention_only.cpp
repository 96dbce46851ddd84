#include "polariscope/models/attention_only.h"

#include "polariscope/base/denormals.h"
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/random.h"
#include "polariscope/models/internal/attention_only_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polariscope::models {
namespace {

constexpr int kMostTokens = 64, kMostLayers = 64;

template <class Value, std::size_t count>
Value find_named(std::string_view kind, std::string_view name,
                 const std::array<std::pair<std::string_view, Value>, count>& table) {
  std::array<std::string_view, count> known;
  for (std::size_t i = 0; i < count; ++i) {
    if (table[i].first == name) return table[i].second;
    known[i] = table[i].first;
  }
  throw Error("{}", unknown_name(kind, name, known));
}

void require_within(std::string_view what, int found, int least, int most) {
  if (found < least || found > most) {
    throw Error("attention-only model: {} {}, expected {} to {}", found, what, least, most);
  }
}

LayerPlan plan_of(const AttentionOnlyOptions& o, const reweighting::AttentionForm& form) {
  return {.form = form,
          .layer_form = o.layer_form,
          .qk_norm = o.qk_norm,
          .layers = o.layers,
          .tokens = o.tokens,
          .causal = o.causal,
          .score_width = o.layer_form == LayerForm::kCovariate ? kTokenWidth - 1 : kTokenWidth};
}

// Where a parameter's numbers stand among a layer's.
struct SlotOf {
  const char* name;
  LayerSlot first;
  bool square;  // [width, width], else [width]; a single number where width is 0
};
constexpr std::array kSlots{SlotOf{"query", kQuerySlot, true},
                            SlotOf{"key", kKeySlot, true},
                            SlotOf{"value", kValueSlot, true},
                            SlotOf{"query_norm.gain", kQueryGainSlot, false},
                            SlotOf{"query_norm.bias", kQueryBiasSlot, false},
                            SlotOf{"key_norm.gain", kKeyGainSlot, false},
                            SlotOf{"key_norm.bias", kKeyBiasSlot, false},
                            SlotOf{"gain", kGainSlot, false},
                            SlotOf{"sink", kSinkSlot, false}};

bool exists(const LayerPlan& plan, LayerSlot slot) {
  switch (slot) {
    case kQueryGainSlot:
    case kKeyGainSlot: return plan.qk_norm == QkNorm::kLayer || plan.qk_norm == QkNorm::kRms;
    case kQueryBiasSlot:
    case kKeyBiasSlot: return plan.qk_norm == QkNorm::kLayer;
    case kGainSlot: return plan.qk_norm == QkNorm::kL2;
    case kSinkSlot: return plan.form.learned_sink;
    default: return true;
  }
}

ParameterPlace place_of(const LayerPlan& plan, int layer, const SlotOf& slot, std::int64_t first) {
  const std::int64_t width = plan.score_width;
  ParameterPlace place{
      .name = fmt::format("layer{}.{}", layer + 1, slot.name), .shape = {1}, .first = first, .count = 1};
  if (slot.square) {
    place.shape = {width, width};
    place.count = width * width;
    place.bound = 1.0 / std::sqrt(static_cast<double>(width));
  } else if (slot.first == kGainSlot) {
    place.start = std::log2(static_cast<double>(plan.tokens) * (plan.tokens - 1));
  } else if (slot.first != kSinkSlot) {
    place.shape = {width};
    place.count = width;
    place.start = slot.first == kQueryGainSlot || slot.first == kKeyGainSlot ? 1.0 : 0.0;
  }
  return place;
}

// Calls visit(layer, slot, index) with the slot of every parameter's numbers, index being that among the flat ones.
template <class Visit>
void for_each_number(const LayerPlan& plan, const Visit& visit) {
  std::int64_t index = 0;
  for (int layer = 0; layer < plan.layers; ++layer) {
    for (const SlotOf& slot : kSlots) {
      if (!exists(plan, slot.first)) continue;
      const ParameterPlace place = place_of(plan, layer, slot, index);
      for (std::int64_t i = 0; i < place.count; ++i) {
        const std::int64_t row = i / plan.score_width, column = i % plan.score_width;
        visit(layer, slot.first + (slot.square ? row * kTokenWidth + column : i), index++);
      }
    }
  }
}

template <class T>
std::vector<LayerNumbers<T>> numbers_of(const LayerPlan& plan, std::span<const T> values) {
  std::vector<LayerNumbers<T>> numbers(static_cast<std::size_t>(plan.layers));
  for (LayerNumbers<T>& layer : numbers) {
    layer.fill(T(0));
    if (plan.layer_form == LayerForm::kCovariate) layer[kValueSlot + kTokenWidth * kTokenWidth - 1] = T(1);
  }
  for_each_number(plan, [&](int layer, std::int64_t slot, std::int64_t index) {
    numbers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(slot)] = values[static_cast<std::size_t>(index)];
  });
  return numbers;
}

AttentionOnlyStatistics statistics_of(const std::array<double, kStatisticSlots>& sums, std::int64_t batch, int tokens) {
  const auto maps = static_cast<double>(batch);
  const double rows = maps * tokens;
  const double entropy = sums[kEntropySum] / rows;
  // Not std::max, which would hide a NaN.
  const double variance = sums[kEntropySquares] / rows - entropy * entropy;
  return {.entropy = entropy,
          .entropy_deviation = variance < 0.0 ? 0.0 : std::sqrt(variance),
          .frobenius_norm = sums[kFrobeniusSum] / maps,
          .logit_variance = sums[kLogitVarianceSum] / rows,
          .maximum = sums[kMaximumSum] / rows,
          .first_key = sums[kFirstKeySum] / rows,
          .skewness = sums[kSkewnessSum] / rows,
          .row_sum = sums[kRowSumSum] / rows,
          .dead_rows = sums[kDeadSum] / rows};
}

void require_size(const char* what, std::size_t found, std::int64_t expected) {
  if (found != static_cast<std::size_t>(expected)) {
    throw Error("attention-only model: {} holds {} numbers, expected {}", what, found, expected);
  }
}

}  // namespace

LayerForm find_layer_form(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, LayerForm>, 3> kForms{
      {{"residual", LayerForm::kResidual}, {"covariate", LayerForm::kCovariate}, {"plain", LayerForm::kPlain}}};
  return find_named("layer form", name, kForms);
}

QkNorm find_qk_norm(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, QkNorm>, 4> kNorms{
      {{"no", QkNorm::kNo}, {"layer", QkNorm::kLayer}, {"rms", QkNorm::kRms}, {"l2", QkNorm::kL2}}};
  return find_named("norm of queries and keys", name, kNorms);
}

template <class T>
AttentionOnly<T>::AttentionOnly(const AttentionOnlyOptions& options)
    : options_(options), form_(reweighting::find_attention_form(options.attention)) {
  require_within("layers", options.layers, 1, kMostLayers);
  require_within("tokens", options.tokens, 2, kMostTokens);
  if (form_.maps_queries) {
    throw Error(
        "attention {} needs a map of queries and keys that a model of attention alone does not have: choose another",
        form_.name);
  }
  const LayerPlan plan = plan_of(options_, form_);
  for (int layer = 0; layer < options_.layers; ++layer) {
    for (const SlotOf& slot : kSlots) {
      if (!exists(plan, slot.first)) continue;
      places_.push_back(place_of(plan, layer, slot, count_));
      count_ += places_.back().count;
    }
  }
}

template <class T>
std::vector<T> AttentionOnly<T>::initial_values(std::uint64_t seed) const {
  std::vector<T> values;
  values.reserve(static_cast<std::size_t>(count_));
  std::uint64_t stream = 0;
  for (const ParameterPlace& place : places_) {
    RandomStream random(seed, stream++);
    for (std::int64_t i = 0; i < place.count; ++i) {
      const double value = place.bound > 0.0 ? place.bound * (2.0 * random.uniform() - 1.0) : place.start;
      values.push_back(static_cast<T>(value));
    }
  }
  return values;
}

template <class T>
AttentionOnlyResult AttentionOnly<T>::step(std::span<const T> values, std::span<const T> tokens,
                                           std::span<const T> answers, std::span<T> gradient, int threads) const {
  const auto batch = static_cast<std::int64_t>(answers.size());
  const std::int64_t size = std::int64_t{options_.tokens} * kTokenWidth;
  if (batch < 1) throw Error("attention-only model: a batch of 0 sequences, expected at least 1");
  require_size("values", values.size(), count_);
  require_size("gradient", gradient.size(), count_);
  require_size("tokens", tokens.size(), batch * size);

  const LayerPlan plan = plan_of(options_, form_);
  const std::vector<LayerNumbers<T>> numbers = numbers_of(plan, values);
  // Chunks do not depend on the number of threads, so neither do the sums.
  const std::int64_t each = sequences_of_chunk<T>();
  std::vector<ChunkSums> chunks(static_cast<std::size_t>((batch + each - 1) / each));
  parallel_for(static_cast<std::int64_t>(chunks.size()), threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    const std::int64_t first = i * each;
    chunks[static_cast<std::size_t>(i)] = run_chunk<T>(plan, numbers.data(), tokens.data() + first * size,
                                                       answers.data() + first, std::min(each, batch - first), batch);
  });

  ChunkSums sums = std::move(chunks.front());
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    sums.loss += chunks[i].loss;
    for (std::size_t layer = 0; layer < sums.gradients.size(); ++layer) {
      for (int s = 0; s < kLayerSlots; ++s) sums.gradients[layer][s] += chunks[i].gradients[layer][s];
      for (int s = 0; s < kStatisticSlots; ++s) sums.statistics[layer][s] += chunks[i].statistics[layer][s];
    }
  }
  for_each_number(plan, [&](int layer, std::int64_t slot, std::int64_t index) {
    gradient[static_cast<std::size_t>(index)] =
        static_cast<T>(sums.gradients[static_cast<std::size_t>(layer)][static_cast<std::size_t>(slot)]);
  });
  AttentionOnlyResult result{.loss = sums.loss / static_cast<double>(batch), .layers = {}};
  for (const auto& layer : sums.statistics) result.layers.push_back(statistics_of(layer, batch, options_.tokens));
  return result;
}

template <class T>
std::vector<AttentionOnlyMap> AttentionOnly<T>::maps(std::span<const T> values, std::span<const T> tokens) const {
  require_size("values", values.size(), count_);
  require_size("tokens", tokens.size(), std::int64_t{options_.tokens} * kTokenWidth);
  const LayerPlan plan = plan_of(options_, form_);
  const FlushDenormals flush;
  return maps_of_sequence<T>(plan, numbers_of(plan, values).data(), tokens.data());
}

template class AttentionOnly<float>;
template class AttentionOnly<double>;

}  // namespace polariscope::models
