// What an audit measures, against the plain definitions.
#include "audit/tiny_models.h"
#include "polariscope/attention/weights.h"
#include "polariscope/audit/audit.h"
#include "polariscope/audit/head_scores.h"
#include "polariscope/audit/internal/stream_measures.h"
#include "polariscope/audit/memory.h"
#include "polariscope/audit/summary.h"
#include "polariscope/audit/weight_norms.h"
#include "polariscope/base/quantiles.h"
#include "polariscope/base/random.h"
#include "polariscope/metrics/kurtosis.h"
#include "polariscope/metrics/massive_activations.h"
#include "polariscope/models/pretrained/run_model.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;
using Lists = std::vector<std::vector<std::int32_t>>;

// p of every row, [heads][rows][keys], text by text, of the one layer.
class Weights : public models::ForwardObserver<float> {
 public:
  std::vector<std::vector<std::vector<std::vector<double>>>> texts;

  void attended(std::int64_t, std::int64_t, const attention::AttentionInput<float>& input,
                const attention::AttentionOutput<float>&) override {
    const auto [heads, n] = std::pair(input.shape.heads, input.shape.queries);
    std::vector<float> all(heads * n * n);
    attention::attention_weights(input, 0, n, all.data(), 1);
    auto& text = texts.emplace_back(heads, std::vector(n, std::vector<double>(n)));
    for (std::int64_t i = 0; i < heads * n * n; ++i) text[i / (n * n)][i / n % n][i % n] = all[i];
  }
};

Weights weights_of(const models::PretrainedModel& model, const Lists& texts) {
  Weights weights;
  models::TokenBatch batch;
  for (const auto& text : texts) batch.add(text);
  models::run_model<float>(model.description(), model, batch, {}, &weights);
  return weights;
}

template <class T>
void expect_stream_of(std::int64_t rows, std::int64_t width, double scale, double outlier) {
  RandomStream random(7, rows * 1000 + width);
  std::vector<T> numbers(rows * width);
  for (T& number : numbers) number = static_cast<T>(scale * random.normal());
  numbers[random.below(numbers.size())] = static_cast<T>(-outlier);
  const models::Rows<T> x{.data = numbers.data(), .rows = rows, .width = width, .stride = width};
  const StreamMeasures found = measured_stream(x, 3, 2);
  const std::span<const T> all(numbers);
  EXPECT_NEAR(found.kurtosis, metrics::kurtosis(all), 1e-9 * found.kurtosis);
  const metrics::MassiveActivations massive = metrics::massive_activations(all, width);
  EXPECT_EQ(found.median, massive.median);
  EXPECT_EQ(found.massive, std::ssize(massive.found));
  std::vector<double> sizes;
  for (const T number : numbers) sizes.push_back(std::abs(static_cast<double>(number)));
  std::ranges::sort(sizes, std::greater<>());
  ASSERT_EQ(found.largest.size(), std::min(sizes.size(), kLargest));
  for (std::size_t i = 0; i < found.largest.size(); ++i) {
    const LargeActivation& of = found.largest[i];
    EXPECT_EQ(std::abs(of.value), sizes[i]);
    EXPECT_EQ(static_cast<double>(x.row(of.token)[of.channel]), of.value);
    EXPECT_EQ(of.text, 3);
  }
}

TEST(Measures, OfTheResidualStreamAreTheDefinitions) {
  for (const std::int64_t rows : {1, 2, 67, 130}) {
    for (const std::int64_t width : {1, 3, 64, 77}) {
      if (rows * width < 2) continue;
      expect_stream_of<float>(rows, width, 0.3, 4000.0);
      expect_stream_of<double>(rows, width, 1e-3, 50.0);
      expect_stream_of<float>(rows, width, 5.0, 150.0);
    }
  }
}

TEST(Measures, OfAStreamThatIsNotFiniteAreNone) {
  std::vector<float> numbers{1.0f, INFINITY, 2.0f, 3.0f};
  const StreamMeasures found = measured_stream<float>({numbers.data(), 2, 2, 2, nullptr}, 0, 1);
  EXPECT_TRUE(std::isnan(found.kurtosis));
  EXPECT_TRUE(std::isnan(found.median));
  EXPECT_FALSE(std::isfinite(found.norms[0]));
}

TEST(Measures, OfKeysAreThoseOfTheWeights) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Lists texts{{0, 0, 1, 2, 3, 4, 2, 2, 1}, {3, 1, 4}};
  const AuditResult result = audit(model.description(), model, texts, {});
  const Weights all = weights_of(model, texts);
  for (std::size_t h = 0; h < 2; ++h) {
    const HeadResult& head = result.layers[0].heads[h];
    std::vector<metrics::Mean> received(9);
    metrics::Mean support, sparsity, flat, leading;
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const std::vector<std::vector<double>>& rows = all.texts[t][h];
      const std::size_t n = rows.size();
      std::vector<double> own;
      for (std::size_t k = 0; k < n; ++k) {
        double sum = 0.0;
        for (std::size_t i = k; i < n; ++i) sum += rows[i][k] / static_cast<double>(n - k);
        received[k].add(sum);
        own.push_back(sum);
      }
      leading.add(t == 0 ? own[0] + own[1] : own[0]);
      for (std::size_t i = 0; i < n; ++i) {
        std::vector<double> row = rows[i];
        std::ranges::sort(row, std::greater<>());
        double mass = 0.0;
        int keys = 0;
        while (mass < 0.9) mass += row[keys++];
        support.add(keys);
        sparsity.add(row[0]);
        flat.add(1.0 / static_cast<double>(i + 1));
      }
    }
    ASSERT_EQ(head.received.size(), 9U);
    for (std::size_t k = 0; k < 9; ++k) EXPECT_NEAR(head.received[k].value(), received[k].value(), 1e-6);
    EXPECT_NEAR(head.leading.value(), leading.value(), 1e-6);
    EXPECT_NEAR(head.support.value(), support.value(), 1e-12);
    EXPECT_NEAR(head.sparsity.value(), sparsity.value(), 1e-6);
    EXPECT_NEAR(head.flat_share.value(), flat.value(), 1e-12);
    EXPECT_NEAR(head.row_sum.value(), 1.0, 1e-6);
    EXPECT_TRUE(std::isnan(head.beta));  // two texts say nothing of a slope
    EXPECT_EQ(head.entropy_by_position.size(), 4U);
    EXPECT_EQ(head.entropy_by_position[3].count(), 2);
    std::int64_t rows_counted = 0;
    for (const std::int64_t count : head.relative_entropies) rows_counted += count;
    EXPECT_EQ(rows_counted, head.relative_entropy.count());
  }
}

TEST(Measures, WithoutTheSecondPassAreTheSameBesideIt) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const Lists texts{{0, 1, 2, 3}};
  AuditOptions options;
  const AuditResult with = audit(model.description(), model, texts, options);
  options.keys = false;
  const AuditResult without = audit(model.description(), model, texts, options);
  const HeadResult& head = without.layers[0].heads[0];
  EXPECT_TRUE(head.received.empty());
  EXPECT_EQ(head.support.count(), 0);
  EXPECT_EQ(head.entropy.value(), with.layers[0].heads[0].entropy.value());
}

// All queries of head 0 are the same, and only the first position's key goes along with them; those of head 1 are zero.
TEST(Measures, FindAKeyThatRowsLookAtAndNoneWhereTheyAreFlat) {
  constexpr std::int64_t kTokens = 100;
  nlohmann::json config = gpt2_config();
  config["n_positions"] = kTokens;
  TinyTensors tensors = gpt2_tensors();
  for (auto& [name, tensor] : tensors) std::ranges::fill(tensor.numbers, 0.0f);
  TinyTensor& positions = tensors["transformer.wpe.weight"] = counting({kTokens, 4});
  for (std::int64_t i = 0; i < 4 * kTokens; ++i) positions.numbers[i] = i == 0 || (i > 4 && i % 4 == 1) ? 1.0f : 0.0f;
  std::ranges::fill(tensors["transformer.h.0.ln_1.weight"].numbers, 1.0f);
  tensors["transformer.h.0.attn.c_attn.bias"].numbers[0] = 10.0f;   // the query of head 0
  tensors["transformer.h.0.attn.c_attn.weight"].numbers[4] = 1.0f;  // its key is the first channel
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, config, tensors);
  const AuditResult result = audit(model.description(), model, Lists{std::vector<std::int32_t>(kTokens, 1)}, {});
  const HeadResult &sink = result.layers[0].heads[0], &flat = result.layers[0].heads[1];
  ASSERT_EQ(sink.sinks.size(), 1U);
  EXPECT_EQ(sink.sinks[0].token, 0);
  EXPECT_NEAR(sink.sinks[0].share, 1.0, 1e-4);
  EXPECT_NEAR(sink.received[0].value(), sink.sinks[0].share, 1e-12);
  EXPECT_NEAR(sink.leading.value(), 1.0, 0.1);  // one token a hundred times
  EXPECT_LT(sink.support.value(), 1.5);
  EXPECT_GT(sink.largest_logit, 10.0);
  EXPECT_TRUE(flat.sinks.empty());
  EXPECT_NEAR(flat.first_visible_key.value(), flat.flat_share.value(), 1e-6);  // mass of flat rows is none
  EXPECT_NEAR(flat.relative_entropy.value(), 1.0, 1e-6);
  EXPECT_NEAR(flat.logit_variance.value(), 0.0, 1e-12);
  EXPECT_TRUE(is_sink(sink));
  EXPECT_FALSE(is_sink(flat));
}

TEST(Memory, LetsFewerTokensGoTogetherWhereItIsShort) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  models::Description wide = model.description();  // as if it were: nothing is read
  wide.width = 4096;
  const Lists texts(40, std::vector<std::int32_t>(300, 1));
  AuditOptions options{.threads = 1, .progress = {}};
  EXPECT_EQ(batch_tokens(wide, texts, options), 4096);
  options.memory = static_cast<std::int64_t>(pass_bytes(wide, 1024, 300, options));
  EXPECT_EQ(batch_tokens(wide, texts, options), 1024);
  options.memory = static_cast<std::int64_t>(pass_bytes(wide, 299, 299, options));
  const std::string words = complaint_of([&] { batch_tokens(wide, texts, options); });
  EXPECT_NE(words.find("a text of 300 tokens needs"), std::string::npos) << words;
  EXPECT_NE(words.find("cut the texts after 270 tokens"), std::string::npos) << words;
  options.memory = 1;
  EXPECT_NE(complaint_of([&] { batch_tokens(wide, texts, options); }).find("one token needs"), std::string::npos);
  options.memory = 0;
  wide.width = std::int64_t{1} << 40;
  EXPECT_NE(complaint_of([&] { batch_tokens(wide, texts, options); }).find("this machine has"), std::string::npos);
}

TEST(HeadScores, AreWeightsAtThePlacesThatNamesSay) {
  const TemporaryFolder folder;
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), llama_tensors());
  const auto scores = head_scores(model, 2, 4, 3, 1);
  ASSERT_EQ(scores.size(), 1U);
  ASSERT_EQ(scores[0].size(), 2U);
  // The texts are drawn as there.
  Lists texts;
  for (std::uint64_t t = 0; t < 3; ++t) {
    RandomStream random(20, t);
    std::vector<std::int32_t> once(4);
    for (std::int32_t& id : once) id = static_cast<std::int32_t>(random.below(5));
    std::vector<std::int32_t>& text = texts.emplace_back(1, 2);
    text.insert(text.end(), once.begin(), once.end());
    text.insert(text.end(), once.begin(), once.end());
  }
  const Weights all = weights_of(model, texts);
  for (std::size_t h = 0; h < 2; ++h) {
    metrics::Mean previous, duplicate, induction;
    for (const auto& text : all.texts) {
      for (std::size_t i = 5; i < 9; ++i) {
        previous.add(text[h][i][i - 1]);
        duplicate.add(text[h][i][i - 4]);
        induction.add(text[h][i][i - 3]);
      }
    }
    EXPECT_NEAR(scores[0][h].previous_token, previous.value(), 1e-6);
    EXPECT_NEAR(scores[0][h].duplicate, duplicate.value(), 1e-6);
    EXPECT_NEAR(scores[0][h].induction, induction.value(), 1e-6);
  }
}

// ‖M‖₂ by power iteration.
double norm_by_iteration(const std::vector<float>& queries, const std::vector<float>& keys, std::int64_t d,
                         std::int64_t width) {
  const auto product = [&](const std::vector<float>& a, const std::vector<float>& b, const std::vector<double>& x) {
    std::vector<double> y(width, 0.0);  // Aᵀ (B x)
    for (std::int64_t r = 0; r < d; ++r) {
      double along = 0.0;
      for (std::int64_t c = 0; c < width; ++c) along += b[r * width + c] * x[c];
      for (std::int64_t c = 0; c < width; ++c) y[c] += a[r * width + c] * along;
    }
    return y;
  };
  std::vector<double> x(width, 1.0);
  double norm = 0.0;
  for (int n = 0; n < 200; ++n) {
    const std::vector<double> y = product(keys, queries, product(queries, keys, x));
    double squares = 0.0;
    for (const double value : y) squares += value * value;
    norm = std::sqrt(squares);
    for (std::int64_t c = 0; c < width; ++c) x[c] = y[c] / norm;
  }
  return std::sqrt(norm);
}

TEST(WeightNorms, AreTheSpectralNormsOfWhatMakesLogits) {
  const TemporaryFolder folder;
  const TinyTensors tensors = llama_tensors();
  const models::PretrainedModel model = open_tiny(folder, tiny_llama_config(), tensors);
  const auto norms = query_key_norms(model, 1);
  const std::vector<float>& queries = tensors.at("model.layers.0.self_attn.q_proj.weight").numbers;
  const std::vector<float>& keys = tensors.at("model.layers.0.self_attn.k_proj.weight").numbers;
  for (std::int64_t h = 0; h < 2; ++h) {
    const std::vector<float> own(queries.begin() + h * 8, queries.begin() + (h + 1) * 8);
    EXPECT_NEAR(norms[0][h], norm_by_iteration(own, keys, 2, 4) / std::sqrt(2.0), 1e-5);
  }
}

}  // namespace
}  // namespace polariscope::audit
