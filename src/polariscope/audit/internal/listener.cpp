#include "polariscope/audit/internal/listener.h"

#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace polariscope::audit {
namespace {

// ‖x‖ of each row. A few sums at once, since one would wait for itself.
template <class T>
std::vector<double> norms_of(const models::Rows<T>& x, int threads) {
  constexpr std::int64_t kRows = 64, kSums = 8;
  std::vector<double> norms(x.rows);
  parallel_for((x.rows + kRows - 1) / kRows, threads, [&](std::int64_t block) {
    for (std::int64_t r = block * kRows; r < std::min(x.rows, (block + 1) * kRows); ++r) {
      const T* row = x.row(r);
      std::array<double, kSums> sums{};
      for (std::int64_t i = 0; i + kSums <= x.width; i += kSums) {
        for (std::int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(row[i + s]) * row[i + s];
      }
      for (std::int64_t i = x.width / kSums * kSums; i < x.width; ++i) sums[0] += static_cast<double>(row[i]) * row[i];
      double sum = 0.0;
      for (const double part : sums) sum += part;
      norms[r] = std::sqrt(sum);
    }
  });
  return norms;
}

// -Σ p ln p of weights whose shares p/S have the entropy H: S H - S ln S.
double entropy_as_it_is(double of_shares, double sum) {
  return sum > 0.0 ? sum * of_shares - sum * std::log(sum) : 0.0;
}

}  // namespace

template <class T>
void Listener<T>::begin(const models::TokenBatch& texts, std::int64_t first_text, std::function<void()> layer_done) {
  texts_ = &texts;
  first_text_ = first_text;
  layer_done_ = std::move(layer_done);
}

template <class T>
attention::RowStatistics<T> Listener<T>::row_statistics(std::int64_t layer, std::int64_t text) {
  const std::int64_t count = model_.layers[layer].attention.heads * texts_->length(text);
  for (auto* array : {&entropy_, &row_sum_, &maximum_, &first_key_, &first_visible_key_}) array->resize(count);
  visible_.resize(count);
  attention::RowStatistics<T> to;
  to.entropy = entropy_.data();
  to.row_sum = row_sum_.data();
  to.maximum = maximum_.data();
  to.first_key = first_key_.data();
  to.first_visible_key = first_visible_key_.data();
  to.visible = visible_.data();
  return to;
}

template <class T>
void Listener<T>::attended(std::int64_t layer, std::int64_t text, const attention::AttentionInput<T>& input) {
  const models::AttentionDescription& of = model_.layers[layer].attention;
  // Rounding is no reason to take the sum of a softmax for another number than 1.
  const bool sums_to_one = of.weights == models::AttentionWeights::kSoftmax && !of.sink;
  const std::int64_t heads = input.shape.heads, length = input.shape.queries;
  for (std::int64_t h = 0; h < heads; ++h) {
    HeadResult& head = result_.layers[layer].heads[h];
    for (std::int64_t i = h * length; i < (h + 1) * length; ++i) {
      const double of_shares = entropy_[i];
      head.relative_entropy.add(visible_[i] > 1 ? of_shares / std::log(static_cast<double>(visible_[i]))
                                                : std::numeric_limits<double>::quiet_NaN());
      if (!sums_to_one) entropy_[i] = static_cast<T>(entropy_as_it_is(of_shares, row_sum_[i]));
      head.entropy.add(entropy_[i]);
      head.first_key.add(first_key_[i]);
      head.first_visible_key.add(first_visible_key_[i]);
      head.maximum.add(maximum_[i]);
    }
    if (result_.arrays) keep_rows(layer, text, h, length);
  }
}

template <class T>
void Listener<T>::keep_rows(std::int64_t layer, std::int64_t text, std::int64_t head, std::int64_t length) {
  RowArrays& arrays = *result_.arrays;
  const std::int64_t to = arrays.of_row(first_text_ + text, layer, head);
  for (const auto& [from, array] : {std::pair(&entropy_, &arrays.entropy), std::pair(&first_key_, &arrays.first_key),
                                    std::pair(&maximum_, &arrays.maximum)}) {
    std::copy_n(from->begin() + head * length, length, array->begin() + to);
  }
}

template <class T>
void Listener<T>::hidden(std::int64_t layers, const models::Rows<T>& x) {
  const std::vector<double> norms = norms_of(x, threads_);
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    for (std::int64_t i = 0; i < texts_->length(t); ++i) {
      const double norm = norms[texts_->start(t) + i];
      if (!std::isfinite(norm)) {
        throw Error("text {}: the hidden state of token {} is not finite after {}: the model's numbers overflow there",
                    first_text_ + t, i, layers == 0 ? "the embedding" : fmt::format("layer {}", layers - 1));
      }
      if (layers > 0) result_.layers[layers - 1].hidden_norm.add(norm);
    }
  }
  keep_norms(layers, norms);
  if (layer_done_) layer_done_();
}

template <class T>
void Listener<T>::output(const models::Rows<T>& x) {
  keep_norms(static_cast<std::int64_t>(model_.layers.size()), norms_of(x, threads_));
}

template <class T>
void Listener<T>::keep_norms(std::int64_t layers, const std::vector<double>& norms) {
  if (!result_.arrays) return;
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    std::copy_n(norms.begin() + texts_->start(t), texts_->length(t),
                result_.arrays->hidden_norm.begin() + result_.arrays->of_hidden(first_text_ + t, layers));
  }
}

template class Listener<float>;
template class Listener<double>;

}  // namespace polariscope::audit
