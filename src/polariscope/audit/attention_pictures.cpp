#include "polariscope/audit/attention_pictures.h"

#include "polariscope/attention/weights.h"
#include "polariscope/audit/summary.h"
#include "polariscope/models/pretrained/run_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace polariscope::audit {
namespace {

class Pictures : public models::ForwardObserver<float> {
 public:
  Pictures(const models::Description& model, const std::vector<ChosenHead>& heads, int threads)
      : model_(model), threads_(threads) {
    for (const ChosenHead& head : heads) pictures.push_back({head, {}});
  }

  void attended(std::int64_t layer, std::int64_t, const attention::AttentionInput<float>& input,
                const attention::AttentionOutput<float>&) override {
    const std::int64_t queries = input.shape.queries, keys = input.shape.keys;
    std::vector<float> weights;
    for (AttentionPicture& picture : pictures) {
      if (picture.head.layer != layer) continue;
      if (weights.empty()) {
        weights.resize(input.shape.heads * queries * keys);
        attention::attention_weights(input, 0, queries, weights.data(), threads_);
      }
      const float* of = weights.data() + picture.head.head * queries * keys;
      for (std::int64_t i = 0; i < queries; ++i) {
        picture.weights.emplace_back(of + i * keys, of + (i + 1) * keys);
        hide(layer, i, picture.weights.back());
      }
    }
  }

  std::vector<AttentionPicture> pictures;

 private:
  void hide(std::int64_t layer, std::int64_t query, std::vector<double>& row) const {
    const auto& window = model_.layers[layer].attention.window;
    for (std::int64_t k = 0; k < std::ssize(row); ++k) {
      const bool seen = !model_.causal || (k <= query && (!window || k > query - *window));
      if (!seen) row[k] = std::numeric_limits<double>::quiet_NaN();
    }
  }

  const models::Description& model_;
  int threads_;
};

}  // namespace

std::vector<ChosenHead> chosen_heads(const AuditRecord& record) {
  std::vector<ChosenHead> chosen;
  // The head with the largest finite number.
  const auto choose = [&](const char* why, const auto& of) {
    double best = -std::numeric_limits<double>::infinity();
    ChosenHead head{-1, -1, why};
    for (std::int64_t l = 0; l < std::ssize(record.result.layers); ++l) {
      const std::vector<HeadResult>& heads = record.result.layers[l].heads;
      for (std::int64_t h = 0; h < std::ssize(heads); ++h) {
        const double value = of(heads[h], l, h);
        if (!std::isfinite(value) || value <= best) continue;
        best = value;
        head.layer = l;
        head.head = h;
      }
    }
    const bool known = std::ranges::any_of(
        chosen, [&](const ChosenHead& other) { return other.layer == head.layer && other.head == head.head; });
    if (head.layer >= 0 && !known) chosen.push_back(std::move(head));
  };
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  choose("the strongest sink", [](const HeadResult& head, std::int64_t, std::int64_t) {
    return is_sink(head) ? head.first_visible_key.value() : kNone;
  });
  choose("the strongest sink at another token", [](const HeadResult& head, std::int64_t, std::int64_t) {
    double share = kNone;
    for (const SinkKey& key : head.sinks) {
      if (key.token > 0 && !(key.share <= share)) share = key.share;
    }
    return share;
  });
  choose("the least entropy of those that are no sink", [](const HeadResult& head, std::int64_t, std::int64_t) {
    return is_sink(head) ? kNone : -head.relative_entropy.value();
  });
  choose("the most entropy",
         [](const HeadResult& head, std::int64_t, std::int64_t) { return head.relative_entropy.value(); });
  if (record.scores.empty()) return chosen;
  choose("the strongest at the token before", [&](const HeadResult&, std::int64_t layer, std::int64_t head) {
    return record.scores[layer][head].previous_token;
  });
  choose("the strongest at induction", [&](const HeadResult&, std::int64_t layer, std::int64_t head) {
    return record.scores[layer][head].induction;
  });
  return chosen;
}

std::vector<AttentionPicture> attention_pictures(const models::PretrainedModel& model,
                                                 std::span<const std::int32_t> text,
                                                 const std::vector<ChosenHead>& heads, int threads) {
  models::TokenBatch batch;
  batch.add(text.first(std::min<std::size_t>(text.size(), kPictureTokens)));
  Pictures pictures(model.description(), heads, threads);
  models::run_model<float>(model.description(), model, batch, {.threads = threads}, &pictures);
  return std::move(pictures.pictures);
}

}  // namespace polariscope::audit
