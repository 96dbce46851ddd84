#include "polariscope/audit/internal/listener.h"

#include "polariscope/audit/internal/key_measures.h"
#include "polariscope/audit/internal/stream_measures.h"
#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace polariscope::audit {
namespace {

// `others` among those that are the largest so far.
void keep_largest(const std::vector<LargeActivation>& others, std::vector<LargeActivation>& kept) {
  kept.insert(kept.end(), others.begin(), others.end());
  std::ranges::stable_sort(kept, std::greater<>(), [](const LargeActivation& of) { return std::abs(of.value); });
  kept.resize(std::min(kept.size(), kLargest));
}

void add_stream(const StreamMeasures& found, LayerResult& to) {
  for (const double norm : found.norms) to.hidden_norm.add(norm);
  to.kurtosis.add(found.kurtosis);
  to.median_activation.add(found.median);
  to.massive += found.massive;
  keep_largest(found.largest, to.largest);
}

}  // namespace

template <class T>
Listener<T>::Listener(const models::Description& model, bool keys, int threads, AuditResult& result)
    : model_(model), keys_(keys), threads_(threads), result_(result) {
  for (const models::LayerDescription& layer : model.layers) means_.emplace_back(layer.attention.heads);
}

template <class T>
void Listener<T>::begin(const models::TokenBatch& texts, std::int64_t first_text, std::function<void()> layer_done) {
  texts_ = &texts;
  first_text_ = first_text;
  layer_done_ = std::move(layer_done);
}

template <class T>
void Listener<T>::finish() {
  for (std::size_t l = 0; l < means_.size(); ++l) {
    for (std::size_t h = 0; h < means_[l].size(); ++h) {
      result_.layers[l].heads[h].beta = variance_entropy_exponent(means_[l][h]);
    }
  }
}

template <class T>
void Listener<T>::before_attention(std::int64_t layer, std::int64_t text, attention::AttentionOutput<T>& to) {
  rows_.ask(model_.layers[layer].attention.heads * texts_->length(text), keys_, to);
}

template <class T>
void Listener<T>::attended(std::int64_t layer, std::int64_t text, const attention::AttentionInput<T>& input,
                           const attention::AttentionOutput<T>&) {
  const models::AttentionDescription& of = model_.layers[layer].attention;
  const bool sums_to_one = of.weights == models::AttentionWeights::kSoftmax && !of.sink && !of.constant_sink;
  LayerResult& to = result_.layers[layer];
  const std::int64_t length = input.shape.queries, number = first_text_ + text;
  parallel_for(input.shape.heads, threads_, [&](std::int64_t h) {
    means_[layer][h].push_back(add_rows(rows_, h * length, length, sums_to_one, to.heads[h]));
    if (result_.arrays) keep_rows(layer, text, h, length);
  });
  add_norms(input, threads_, to);
  if (!keys_) return;
  add_received(input, rows_, number, texts_->ids().subspan(texts_->start(text), length), threads_, to);
  add_support(input, threads_, to);
}

template <class T>
void Listener<T>::keep_rows(std::int64_t layer, std::int64_t text, std::int64_t head, std::int64_t length) {
  RowArrays& arrays = *result_.arrays;
  const std::int64_t to = arrays.of_row(first_text_ + text, layer, head);
  for (const auto& [from, array] :
       {std::pair(&rows_.entropy, &arrays.entropy), std::pair(&rows_.first_key, &arrays.first_key),
        std::pair(&rows_.maximum, &arrays.maximum)}) {
    std::copy_n(from->begin() + head * length, length, array->begin() + to);
  }
}

template <class T>
void Listener<T>::hidden(std::int64_t layers, const models::Rows<T>& x) {
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    const std::int64_t number = first_text_ + t;
    const models::Rows<T> rows = x.part(texts_->start(t), texts_->length(t));
    const StreamMeasures found =
        layers == 0 ? StreamMeasures{.norms = row_norms(rows, threads_)} : measured_stream(rows, number, threads_);
    const auto broken = std::ranges::find_if(found.norms, [](double norm) { return !std::isfinite(norm); });
    if (broken != found.norms.end()) {
      throw Error("text {}: the hidden state of token {} is not finite after {}: the model's numbers overflow there",
                  number, broken - found.norms.begin(),
                  layers == 0 ? "the embedding" : fmt::format("layer {}", layers - 1));
    }
    keep_norms(t, layers, found.norms);
    if (layers > 0) add_stream(found, result_.layers[layers - 1]);
  }
  if (layer_done_) layer_done_();
}

template <class T>
void Listener<T>::output(const models::Rows<T>& x) {
  if (!result_.arrays) return;
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    keep_norms(t, std::ssize(model_.layers), row_norms(x.part(texts_->start(t), texts_->length(t)), threads_));
  }
}

template <class T>
void Listener<T>::keep_norms(std::int64_t text, std::int64_t layers, const std::vector<double>& norms) {
  if (!result_.arrays) return;
  std::ranges::copy(norms, result_.arrays->hidden_norm.begin() + result_.arrays->of_hidden(first_text_ + text, layers));
}

template class Listener<float>;
template class Listener<double>;

}  // namespace polariscope::audit
