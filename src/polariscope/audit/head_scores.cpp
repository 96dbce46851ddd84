#include "polariscope/audit/head_scores.h"

#include "polariscope/attention/weights.h"
#include "polariscope/base/random.h"
#include "polariscope/models/pretrained/run_model.h"

#include <limits>

namespace polariscope::audit {
namespace {

constexpr std::uint64_t kSeed = 20;

std::vector<std::int32_t> said_twice(std::int64_t vocabulary, std::int32_t first, std::int64_t tokens,
                                     std::int64_t text) {
  RandomStream random(kSeed, text);
  std::vector<std::int32_t> once(tokens);
  for (std::int32_t& id : once) id = static_cast<std::int32_t>(random.below(vocabulary));
  std::vector<std::int32_t> ids;
  if (first >= 0) ids.push_back(first);
  for (int time = 0; time < 2; ++time) ids.insert(ids.end(), once.begin(), once.end());
  return ids;
}

class Scoring : public models::ForwardObserver<float> {
 public:
  // tokens: of half a text.
  Scoring(std::int64_t tokens, std::int64_t texts, int threads, std::vector<std::vector<HeadScores>>& to)
      : tokens_(tokens), rows_(static_cast<double>(tokens * texts)), threads_(threads), to_(to) {}

  void attended(std::int64_t layer, std::int64_t, const attention::AttentionInput<float>& input,
                const attention::AttentionOutput<float>&) override {
    const std::int64_t keys = input.shape.keys, start = keys - tokens_;
    weights_.resize(input.shape.heads * tokens_ * keys);
    attention::attention_weights(input, start, tokens_, weights_.data(), threads_);
    for (std::int64_t h = 0; h < input.shape.heads; ++h) {
      HeadScores& head = to_[layer][h];
      for (std::int64_t t = 0; t < tokens_; ++t) {
        const float* row = weights_.data() + (h * tokens_ + t) * keys;
        head.previous_token += row[start + t - 1] / rows_;
        head.duplicate += row[start + t - tokens_] / rows_;
        head.induction += row[start + t - tokens_ + 1] / rows_;
      }
    }
  }

 private:
  std::int64_t tokens_;
  double rows_;
  int threads_;
  std::vector<std::vector<HeadScores>>& to_;
  std::vector<float> weights_;  // [heads, tokens, keys]
};

}  // namespace

std::vector<std::vector<HeadScores>> head_scores(const models::PretrainedModel& model, std::int32_t first,
                                                 std::int64_t tokens, std::int64_t texts, int threads) {
  const models::Description& description = model.description();
  std::vector<std::vector<HeadScores>> scores;
  for (const models::LayerDescription& layer : description.layers) scores.emplace_back(layer.attention.heads);
  models::TokenBatch batch;
  for (std::int64_t t = 0; t < texts; ++t) batch.add(said_twice(description.vocabulary, first, tokens, t));
  Scoring scoring(tokens, texts, threads, scores);
  models::run_model<float>(description, model, batch, {.threads = threads}, &scoring);
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t l = 0; l < scores.size(); ++l) {
    const std::int64_t window = description.layers[l].attention.window.value_or(0);
    for (HeadScores& head : scores[l]) {
      if (window > 0 && window <= tokens) head.duplicate = kNone;
      if (window > 0 && window < tokens) head.induction = kNone;
    }
  }
  return scores;
}

}  // namespace polariscope::audit
