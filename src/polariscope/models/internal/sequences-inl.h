// A vector of sequences through all layers and back, a sequence a lane.

#if defined(POLARISCOPE_MODELS_SEQUENCES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_SEQUENCES_INL_H_
#undef POLARISCOPE_MODELS_SEQUENCES_INL_H_
#else
#define POLARISCOPE_MODELS_SEQUENCES_INL_H_
#endif

#include "polariscope/attention/transpose-inl.h"
#include "polariscope/models/internal/form_rows-inl.h"
#include "polariscope/models/internal/normalised_rows-inl.h"
#include "polariscope/models/internal/qk_norm-inl.h"

#include <algorithm>
#include <array>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
using namespace attention::HWY_NAMESPACE;

// to_i = from_i M.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void project(D d, const T* from, const T* matrix, int tokens, T* to) {
  using V = hn::Vec<D>;
  V m[kTokenWidth][kTokenWidth];
  for (int r = 0; r < kTokenWidth; ++r) {
    for (int c = 0; c < kTokenWidth; ++c) m[r][c] = hn::Set(d, matrix[r * kTokenWidth + c]);
  }
  for (int i = 0; i < tokens; ++i) {
    const Token<V> x = load_token(d, from, i);
    Token<V> y;
    for (int c = 0; c < kTokenWidth; ++c) {
      y.at[c] = hn::Mul(x.at[0], m[0][c]);
      for (int r = 1; r < kTokenWidth; ++r) y.at[c] = hn::MulAdd(x.at[r], m[r][c], y.at[c]);
    }
    store_token(d, y, to, i);
  }
}

// d_matrix += Σ_i from_iᵀ due_i; both from token `first` on.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void add_outer(D d, const T* from, const T* due, int first, int tokens, T* d_matrix) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  V sum[kTokenWidth][kTokenWidth];
  for (int s = 0; s < kTokenWidth * kTokenWidth; ++s) {
    sum[s / kTokenWidth][s % kTokenWidth] = hn::Load(d, d_matrix + s * lanes);
  }
  for (int i = first; i < tokens; ++i) {
    const Token<V> x = load_token(d, from, i), g = load_token(d, due, i);
    for (int r = 0; r < kTokenWidth; ++r) {
      for (int c = 0; c < kTokenWidth; ++c) sum[r][c] = hn::MulAdd(x.at[r], g.at[c], sum[r][c]);
    }
  }
  for (int s = 0; s < kTokenWidth * kTokenWidth; ++s) {
    hn::Store(sum[s / kTokenWidth][s % kTokenWidth], d, d_matrix + s * lanes);
  }
}

// to_i += due_i Mᵀ, from token `first` on.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void add_projected_back(D d, const T* due, const T* matrix, int first, int tokens, T* to) {
  using V = hn::Vec<D>;
  V m[kTokenWidth][kTokenWidth];
  for (int r = 0; r < kTokenWidth; ++r) {
    for (int c = 0; c < kTokenWidth; ++c) m[r][c] = hn::Set(d, matrix[r * kTokenWidth + c]);
  }
  for (int i = first; i < tokens; ++i) {
    const Token<V> g = load_token(d, due, i);
    Token<V> x = load_token(d, to, i);
    for (int r = 0; r < kTokenWidth; ++r) {
      for (int c = 0; c < kTokenWidth; ++c) x.at[r] = hn::MulAdd(g.at[c], m[r][c], x.at[r]);
    }
    store_token(d, x, to, i);
  }
}

template <class T>
class Sequences {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());

  // Numbers of room that they need.
  static std::ptrdiff_t room(const LayerPlan& plan) {
    const std::ptrdiff_t tokens = plan.tokens, token = tokens * kTokenWidth, map = tokens * tokens;
    const std::ptrdiff_t layer = 7 * token + 5 * tokens + 2 * map;
    const std::ptrdiff_t sums = int{kLayerSlots} + int{kStatisticSlots};
    return kMostLanes * (plan.layers * (layer + sums) + 6 * token + 3 * tokens);
  }

  Sequences(const LayerPlan& plan, const LayerNumbers<T>* numbers, T* room)
      : plan_(plan),
        numbers_(numbers),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        normalised_(!plan.causal && is_normalised(plan.form)),
        scale_(plan.layer_form == LayerForm::kPlain ? T(1) : T(1) / static_cast<T>(plan.tokens)),
        layers_(static_cast<std::size_t>(plan.layers)),
        statistics_(static_cast<std::size_t>(plan.layers)) {
    const auto take = [&](std::ptrdiff_t vectors) {
      T* taken = room;
      room += vectors * lanes_;
      return taken;
    };
    const std::ptrdiff_t tokens = plan.tokens, token = tokens * kTokenWidth, map = tokens * tokens;
    for (LayerArrays<T>& a : layers_) {
      for (T** array : {&a.input, &a.normed_query, &a.normed_key, &a.query, &a.key, &a.value, &a.output}) {
        *array = take(token);
      }
      for (T** array : {&a.query_scale, &a.key_scale, &a.inverse, &a.shift, &a.row_sum}) *array = take(tokens);
      a.weights = take(map);
      a.scores = take(map);
    }
    gradients_ = take(std::ptrdiff_t{plan.layers} * kLayerSlots);
    sums_ = take(kStatisticSlots);
    entropies_ = take(tokens);
    logit_squares_ = take(tokens);
    result_ = take(token);
    d_state_ = take(token);
    d_output_ = take(token);
    d_query_ = take(token);
    d_key_ = take(token);
    d_value_ = take(token);
    pulled_ = take(tokens);
    std::fill_n(gradients_, std::ptrdiff_t{plan.layers} * kLayerSlots * lanes_, T(0));
  }

  int lanes() const { return lanes_; }

  // Adds `count` sequences, at most lanes(). batch: of the whole step.
  void add(const T* tokens, const T* answers, int count, std::int64_t batch) {
    count_ = count;
    gather(tokens);
    for (int layer = 0; layer < plan_.layers; ++layer) forward(layer);
    add_loss(answers, batch);
    for (int layer = plan_.layers - 1; layer >= 0; --layer) backward(layer);
  }

  // Of one sequence, layer by layer.
  std::vector<AttentionOnlyMap> maps(const T* tokens) {
    count_ = 1;
    gather(tokens);
    std::vector<AttentionOnlyMap> found;
    for (int layer = 0; layer < plan_.layers; ++layer) {
      forward(layer);
      found.push_back(first_map(layers_[layer]));
    }
    return found;
  }

  void finish(ChunkSums& to) const {
    to.loss = loss_;
    to.statistics = statistics_;
    to.gradients.resize(layers_.size());
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      for (int slot = 0; slot < kLayerSlots; ++slot) {
        to.gradients[layer][slot] = lane_sum(gradients_ + (layer * kLayerSlots + slot) * lanes_, lanes_);
      }
    }
  }

 private:
  static double lane_sum(const T* from, int count) {
    double sum = 0.0;
    for (int l = 0; l < count; ++l) sum += static_cast<double>(from[l]);
    return sum;
  }

  // Whether rows are softmax's or a kernel's, which have a way of their own where they see all keys.
  static bool is_normalised(const reweighting::AttentionForm& form) {
    const bool plain = form.rule == reweighting::RowRule::kElementwise &&
                       form.normaliser == reweighting::Normaliser::kSum &&
                       form.transform == reweighting::Transform::kNone && form.sum_offset == 0.0;
    return plain &&
           (form.feature == reweighting::FeatureMap::kNone ? form.weight == reweighting::WeightFunction::kExp
                                                           : form.weight == reweighting::WeightFunction::kIdentity);
  }
  bool kernel() const { return plan_.form.feature != reweighting::FeatureMap::kNone; }

  // Of the layer that forward() was called for last, the sequence in the first lane.
  AttentionOnlyMap first_map(const LayerArrays<T>& a) const {
    const int tokens = plan_.tokens;
    AttentionOnlyMap map{std::vector<double>(static_cast<std::size_t>(tokens) * tokens), {}, {}};
    for (int i = 0; i < tokens; ++i) {
      const int keys = keys_of(plan_, i);
      map.entropy.push_back(static_cast<double>(entropies_[i * lanes_]));
      map.logit_variance.push_back(static_cast<double>(logit_squares_[i * lanes_]) / keys);
      const T scale = normalised_ ? a.inverse[i * lanes_] : T(1);
      for (int j = 0; j < keys; ++j) {
        const int at = i * tokens + j;
        map.weights[static_cast<std::size_t>(at)] = static_cast<double>(scale * a.weights[at * lanes_]);
      }
    }
    return map;
  }

  // Lanes beyond the last sequence repeat it; nothing comes of them.
  HWY_INLINE void gather(const T* tokens) {
    const int size = plan_.tokens * kTokenWidth;
    const T* rows[kMostLanes];
    for (int l = 0; l < lanes_; ++l) rows[l] = tokens + static_cast<std::ptrdiff_t>(std::min(l, count_ - 1)) * size;
    rows_to_lanes(D(), rows, size, layers_[0].input, lanes_, [](V x) HWY_ATTR { return x; });
  }

  // Of the last layer the answer alone is of use.
  int first_output(int layer) const { return layer + 1 == plan_.layers ? plan_.tokens - 1 : 0; }
  InputMap<D> query_map(int layer) const {
    const LayerNumbers<T>& n = numbers_[layer];
    return {plan_, n.data() + kQueryGainSlot, n.data() + kQueryBiasSlot, n[kGainSlot]};
  }
  InputMap<D> key_map(int layer) const {
    const LayerNumbers<T>& n = numbers_[layer];
    return {plan_, n.data() + kKeyGainSlot, n.data() + kKeyBiasSlot, T(1)};
  }

  HWY_INLINE void forward(int layer) {
    const D d;
    const LayerArrays<T>& a = layers_[layer];
    const T* numbers = numbers_[layer].data();
    const int tokens = plan_.tokens;
    project(d, a.input, numbers + kQuerySlot, tokens, a.query);
    project(d, a.input, numbers + kKeySlot, tokens, a.key);
    project(d, a.input, numbers + kValueSlot, tokens, a.value);
    if (query_map(layer).normalises()) {
      query_map(layer).normalise(a.query, a.normed_query, a.query_scale);
      key_map(layer).normalise(a.key, a.normed_key, a.key_scale);
    }
    V logit_variance = hn::Zero(d);
    if (query_map(layer).maps()) {
      logit_variance = logit_variance_of(a);
      query_map(layer).map(a.query);
      key_map(layer).map(a.key);
    }
    std::fill_n(sums_, kStatisticSlots * lanes_, T(0));
    // What maps queries and keys has told its variances already.
    const MapSums<T> map{sums_, entropies_, query_map(layer).maps() ? d_query_ : logit_squares_};
    const int first = first_output(layer);
    if (normalised_) {
      kernel() ? normalised_map<RowKind::kKernel>(d, a, tokens, first, map)
               : normalised_map<RowKind::kSoftmax>(d, a, tokens, first, map);
    } else {
      form_map(d, plan_, a, numbers[kSinkSlot], first, map);
    }
    if (query_map(layer).maps()) hn::Store(logit_variance, d, sums_ + kLogitVarianceSum * lanes_);
    if (plan_.form.feature == reweighting::FeatureMap::kRelu) count_dead_queries(a.query);
    add_statistics(layer);
    T* next = layer + 1 == plan_.layers ? result_ : layers_[layer + 1].input;
    const bool stays = plan_.layer_form != LayerForm::kPlain;
    const V scale = hn::Set(d, scale_);
    for (int v = first * kTokenWidth; v < tokens * kTokenWidth; ++v) {
      const V of = hn::Load(d, a.output + v * lanes_);
      hn::Store(stays ? hn::MulAdd(scale, of, hn::Load(d, a.input + v * lanes_)) : of, d, next + v * lanes_);
    }
  }

  // Σ over rows of Var_j[q·k_j], before a kernel's feature map.
  HWY_INLINE V logit_variance_of(const LayerArrays<T>& a) {
    const D d;
    T* centred = d_key_;  // which the backward pass alone uses
    V squares = hn::Zero(d), variances = squares;
    for (int i = 0; i < plan_.tokens; ++i) {
      const int keys = keys_of(plan_, i);
      if (i == 0 || plan_.causal) {
        std::copy_n(a.key, keys * kTokenWidth * lanes_, centred);
        centre_tokens(d, keys, centred);
      }
      const Token<V> query = load_token(d, a.query, i);
      V of_row = hn::Zero(d);
      for (int j = 0; j < keys; ++j) {
        const V z = dot(query, load_token(d, centred, j));
        of_row = hn::MulAdd(z, z, of_row);
      }
      squares = hn::Add(squares, of_row);
      if (plan_.causal) variances = hn::MulAdd(of_row, hn::Set(d, T(1) / static_cast<T>(keys)), variances);
      hn::Store(of_row, d, logit_squares_ + i * lanes_);
    }
    return plan_.causal ? variances : hn::Mul(squares, hn::Set(d, T(1) / static_cast<T>(plan_.tokens)));
  }

  // Rows of the ReLU kernel live by its offset; dead are those whose query has no feature above it.
  HWY_INLINE void count_dead_queries(const T* queries) {
    const D d;
    const V offset = hn::Set(d, static_cast<T>(plan_.form.feature_offset));
    V dead = hn::Zero(d);
    for (int i = 0; i < plan_.tokens; ++i) {
      const Token<V> query = load_token(d, queries, i);
      V most = query.at[0];
      for (int c = 1; c < plan_.score_width; ++c) most = hn::Max(most, query.at[c]);
      dead = hn::Add(dead, hn::IfThenElseZero(hn::Le(most, offset), hn::Set(d, 1)));
    }
    hn::Store(dead, d, sums_ + kDeadSum * lanes_);
  }

  // The sums of a map go to double.
  HWY_INLINE void add_statistics(int layer) {
    const D d;
    const int tokens = plan_.tokens;
    V entropy = hn::Zero(d);
    for (int i = 0; i < tokens; ++i) entropy = hn::Add(entropy, hn::Load(d, entropies_ + i * lanes_));
    const V mean = hn::Mul(entropy, hn::Set(d, T(1) / static_cast<T>(tokens)));
    V apart = hn::Zero(d);
    for (int i = 0; i < tokens; ++i) {
      const V one = hn::Sub(hn::Load(d, entropies_ + i * lanes_), mean);
      apart = hn::MulAdd(one, one, apart);
    }
    T* norm = sums_ + kFrobeniusSum * lanes_;
    hn::Store(hn::Sqrt(hn::Load(d, norm)), d, norm);
    hn::Store(entropy, d, sums_ + kEntropySum * lanes_);
    hn::Store(apart, d, sums_ + kEntropySquares * lanes_);
    std::array<double, kStatisticSlots>& to = statistics_[layer];
    for (int slot = 0; slot < kStatisticSlots; ++slot) to[slot] += lane_sum(sums_ + slot * lanes_, count_);
    for (int l = 0; l < count_; ++l) {
      const auto sum = static_cast<double>(sums_[kEntropySum * lanes_ + l]);
      to[kEntropySquares] += sum * sum / tokens;
    }
  }

  HWY_INLINE void add_loss(const T* answers, std::int64_t batch) {
    std::fill_n(d_state_, plan_.tokens * kTokenWidth * lanes_, T(0));
    const std::ptrdiff_t at = (plan_.tokens * kTokenWidth - 1) * lanes_;
    for (int l = 0; l < count_; ++l) {
      const T apart = result_[at + l] - answers[l];
      loss_ += static_cast<double>(apart) * static_cast<double>(apart);
      d_state_[at + l] = T(2) * apart / static_cast<T>(batch);
    }
  }

  HWY_INLINE void backward(int layer) {
    const D d;
    const LayerArrays<T>& a = layers_[layer];
    const T* numbers = numbers_[layer].data();
    T* gradients = gradients_ + static_cast<std::ptrdiff_t>(layer) * kLayerSlots * lanes_;
    const int tokens = plan_.tokens, first = first_output(layer);
    const std::ptrdiff_t size = tokens * kTokenWidth * lanes_;
    const V scale = hn::Set(d, scale_);
    for (int v = 0; v < tokens * kTokenWidth; ++v) {
      hn::Store(hn::Mul(scale, hn::Load(d, d_state_ + v * lanes_)), d, d_output_ + v * lanes_);
    }
    if (plan_.layer_form == LayerForm::kPlain) std::fill_n(d_state_, size, T(0));
    std::fill_n(d_key_, size, T(0));
    std::fill_n(d_value_, size, T(0));
    const ScoreGradients<T> to{d_query_, d_key_, d_value_};
    if (normalised_) {
      kernel() ? normalised_map_backward<RowKind::kKernel>(d, a, d_output_, tokens, first, to)
               : normalised_map_backward<RowKind::kSoftmax>(d, a, d_output_, tokens, first, to);
    } else {
      form_map_backward(d, plan_, a, numbers[kSinkSlot], d_output_, first, to, pulled_, gradients + kSinkSlot * lanes_);
    }
    if (query_map(layer).normalises() || query_map(layer).maps()) {
      const auto slot = [&](int s) { return gradients + s * lanes_; };
      query_map(layer).backward(a.query, a.normed_query, a.query_scale, first, d_query_, slot(kQueryGainSlot),
                                slot(kQueryBiasSlot), slot(kGainSlot));
      key_map(layer).backward(a.key, a.normed_key, a.key_scale, 0, d_key_, slot(kKeyGainSlot), slot(kKeyBiasSlot),
                              nullptr);
    }
    add_outer(d, a.input, d_query_, first, tokens, gradients + kQuerySlot * lanes_);
    add_outer(d, a.input, d_key_, 0, tokens, gradients + kKeySlot * lanes_);
    add_outer(d, a.input, d_value_, 0, tokens, gradients + kValueSlot * lanes_);
    if (layer == 0) return;
    add_projected_back(d, d_query_, numbers + kQuerySlot, first, tokens, d_state_);
    add_projected_back(d, d_key_, numbers + kKeySlot, 0, tokens, d_state_);
    add_projected_back(d, d_value_, numbers + kValueSlot, 0, tokens, d_state_);
  }

  const LayerPlan& plan_;
  const LayerNumbers<T>* numbers_;
  int lanes_, count_ = 0;
  bool normalised_;
  T scale_;
  std::vector<LayerArrays<T>> layers_;
  std::vector<std::array<double, kStatisticSlots>> statistics_;
  double loss_ = 0.0;
  T *gradients_, *sums_, *entropies_, *logit_squares_, *result_, *d_state_, *d_output_, *d_query_, *d_key_, *d_value_,
      *pulled_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_SEQUENCES_INL_H_
