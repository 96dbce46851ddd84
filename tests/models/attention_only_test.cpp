#include "polariscope/models/attention_only.h"

#include "attention_only_reference.h"
#include "polariscope/base/random.h"
#include "support/complaint.h"
#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace polariscope::testing {
namespace {

// Sequences of the task, and values of parameters large enough for rows that are far from uniform.
template <class T>
struct Drawn {
  std::vector<T> values, tokens, answers;
};
template <class T>
Drawn<T> draw(const models::AttentionOnlyOptions& o, std::int64_t batch, double size = 1.0) {
  Drawn<T> drawn{models::AttentionOnly<T>(o).initial_values(1), {}, {}};
  RandomStream random(2, 0);
  for (T& value : drawn.values) value += static_cast<T>(size * 0.5 * random.normal());
  for (std::int64_t b = 0; b < batch; ++b) {
    const double w[3] = {random.normal(), random.normal(), random.normal()};
    for (int i = 0; i < o.tokens; ++i) {
      double y = 0.0;
      for (const double of : w) {
        const double x = random.normal();
        y += of * x;
        drawn.tokens.push_back(static_cast<T>(x));
      }
      const bool query = i + 1 == o.tokens;
      drawn.tokens.push_back(query ? T(0) : static_cast<T>(y));
      if (query) drawn.answers.push_back(static_cast<T>(y));
    }
  }
  return drawn;
}

template <class T>
struct Stepped {
  models::AttentionOnlyResult result;
  std::vector<T> gradient;
};
template <class T>
Stepped<T> step(const models::AttentionOnlyOptions& o, const Drawn<T>& of, int threads = 1) {
  const models::AttentionOnly<T> model(o);
  Stepped<T> done{{}, std::vector<T>(of.values.size())};
  done.result = model.step(of.values, of.tokens, of.answers, std::span(done.gradient), threads);
  return done;
}

std::string described(const models::AttentionOnlyOptions& o) {
  return o.attention + ", layer form " + std::to_string(static_cast<int>(o.layer_form)) + ", norm " +
         std::to_string(static_cast<int>(o.qk_norm)) + ", " + std::to_string(o.tokens) + " tokens";
}

void expect_near(double found, double expected, double tolerance, const std::string& what) {
  EXPECT_NEAR(found, expected, tolerance * std::max(1.0, std::abs(expected))) << what;
}

// Gradients are compared at the size of the largest.
template <class T>
void expect_equal(const Stepped<T>& found, const Reference& reference, double tolerance, const std::string& what) {
  expect_near(found.result.loss, reference.result.loss, tolerance, what + ": loss");
  double largest = 0.0;
  for (const double g : reference.gradient) largest = std::max(largest, std::abs(g));
  for (std::size_t i = 0; i < reference.gradient.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(found.gradient[i]), reference.gradient[i], tolerance * std::max(1.0, largest))
        << what << ": gradient " << i;
  }
  for (std::size_t l = 0; l < reference.result.layers.size(); ++l) {
    const models::AttentionOnlyStatistics &is = found.result.layers[l], &due = reference.result.layers[l];
    const std::string layer = what + ": layer " + std::to_string(l + 1) + " ";
    expect_near(is.entropy, due.entropy, tolerance, layer + "entropy");
    // The root of a difference.
    expect_near(is.entropy_deviation, due.entropy_deviation, 0.01 * std::sqrt(tolerance), layer + "entropy deviation");
    expect_near(is.frobenius_norm, due.frobenius_norm, tolerance, layer + "frobenius norm");
    expect_near(is.logit_variance, due.logit_variance, tolerance, layer + "logit variance");
    expect_near(is.maximum, due.maximum, tolerance, layer + "maximum");
    expect_near(is.first_key, due.first_key, tolerance, layer + "first key");
    expect_near(is.skewness, due.skewness, 10.0 * tolerance, layer + "skewness");
    expect_near(is.row_sum, due.row_sum, tolerance, layer + "row sum");
    expect_near(is.dead_rows, due.dead_rows, tolerance, layer + "dead rows");
  }
}

constexpr models::LayerForm kLayerForms[] = {models::LayerForm::kResidual, models::LayerForm::kCovariate,
                                             models::LayerForm::kPlain};
constexpr models::QkNorm kNorms[] = {models::QkNorm::kNo, models::QkNorm::kLayer, models::QkNorm::kRms,
                                     models::QkNorm::kL2};

TEST(AttentionOnly, AgreesWithTheReferenceForEveryFormOfAttention) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    if (form.maps_queries) continue;
    const models::AttentionOnlyOptions o{.attention = std::string(form.name), .layers = 2, .tokens = 7};
    // Weights that do not sum to one make the tokens grow from layer to layer: small parameters keep them in range.
    const Drawn<double> drawn = draw<double>(o, 5, 0.3);
    expect_equal(step(o, drawn), attention_only_reference(o, drawn.values, drawn.tokens, drawn.answers), 1e-10,
                 described(o));
  }
}

TEST(AttentionOnly, AgreesWithTheReferenceForEveryLayerFormAndNorm) {
  for (const char* attention : {"softmax", "relu_kernel/sum", "elu1_kernel/sum", "sink", "softcap", "entmax"}) {
    for (const models::LayerForm layer_form : kLayerForms) {
      for (const models::QkNorm norm : kNorms) {
        const models::AttentionOnlyOptions o{
            .attention = attention, .layer_form = layer_form, .qk_norm = norm, .layers = 3, .tokens = 20};
        const Drawn<double> drawn = draw<double>(o, 11, 0.5);
        expect_equal(step(o, drawn), attention_only_reference(o, drawn.values, drawn.tokens, drawn.answers), 1e-10,
                     described(o));
      }
    }
  }
}

TEST(AttentionOnly, OfACausalMaskAgreesWithTheReferenceForEveryFormOfAttentionAndNorm) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    if (form.maps_queries) continue;
    for (const models::QkNorm norm : {models::QkNorm::kNo, models::QkNorm::kLayer}) {
      const models::AttentionOnlyOptions o{
          .attention = std::string(form.name), .qk_norm = norm, .layers = 2, .tokens = 7, .causal = true};
      const Drawn<double> drawn = draw<double>(o, 5, 0.3);
      expect_equal(step(o, drawn), attention_only_reference(o, drawn.values, drawn.tokens, drawn.answers), 1e-10,
                   described(o) + ", causal");
    }
  }
}

// A token that comes later changes nothing of the rows before it.
TEST(AttentionOnly, OfACausalMaskSeesNothingOfWhatFollows) {
  const models::AttentionOnlyOptions o{.layers = 3, .tokens = 6, .causal = true};
  const models::AttentionOnly<double> model(o);
  Drawn<double> drawn = draw<double>(o, 1);
  const std::vector<models::AttentionOnlyMap> before = model.maps(drawn.values, drawn.tokens);
  for (std::size_t i = 4 * 4; i < drawn.tokens.size(); ++i) drawn.tokens[i] += 1.0;
  const std::vector<models::AttentionOnlyMap> after = model.maps(drawn.values, drawn.tokens);
  for (std::size_t l = 0; l < before.size(); ++l) {
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t j = 0; j < 6; ++j) {
        const double p = before[l].weights[i * 6 + j];
        EXPECT_EQ(p > 0.0, j <= i);
        EXPECT_EQ(p == after[l].weights[i * 6 + j], i < 4 || j > i) << l << " " << i << " " << j;
      }
    }
    EXPECT_EQ(before[l].entropy.front(), 0.0);
    EXPECT_EQ(before[l].logit_variance.front(), 0.0);
  }
}

// What a step sums over its rows is what the maps of its sequences hold.
TEST(AttentionOnly, MapsHaveTheEntropyVarianceAndNormOfTheirStep) {
  for (const char* attention : {"softmax", "relu_kernel/sum", "elu1_kernel/sum", "sink", "entmax", "softcap"}) {
    for (const bool causal : {false, true}) {
      const models::AttentionOnlyOptions o{
          .attention = attention, .qk_norm = models::QkNorm::kLayer, .layers = 3, .tokens = 9, .causal = causal};
      const models::AttentionOnly<double> model(o);
      const Drawn<double> drawn = draw<double>(o, 1, 0.5);
      const models::AttentionOnlyResult expected = step(o, drawn).result;
      const std::vector<models::AttentionOnlyMap> maps = model.maps(drawn.values, drawn.tokens);
      ASSERT_EQ(maps.size(), 3U);
      for (std::size_t l = 0; l < maps.size(); ++l) {
        double entropy = 0.0, variance = 0.0, squares = 0.0;
        for (const double h : maps[l].entropy) entropy += h / 9.0;
        for (const double v : maps[l].logit_variance) variance += v / 9.0;
        for (const double p : maps[l].weights) squares += p * p;
        const std::string what = described(o) + ", layer " + std::to_string(l + 1);
        expect_near(entropy, expected.layers[l].entropy, 1e-12, what);
        expect_near(variance, expected.layers[l].logit_variance, 1e-12, what);
        expect_near(std::sqrt(squares), expected.layers[l].frobenius_norm, 1e-12, what);
      }
    }
  }
}

TEST(AttentionOnly, GradientsAreThoseOfFiniteDifferences) {
  for (const char* attention : {"softmax", "elu1_kernel/sum", "sigmoid/sum", "sink"}) {
    for (const models::LayerForm layer_form : kLayerForms) {
      for (const models::QkNorm norm : kNorms) {
        const models::AttentionOnlyOptions o{
            .attention = attention, .layer_form = layer_form, .qk_norm = norm, .layers = 2, .tokens = 5};
        Drawn<double> drawn = draw<double>(o, 3, 0.5);
        const Stepped<double> found = step(o, drawn);
        for (std::size_t i = 0; i < drawn.values.size(); ++i) {
          constexpr double kStep = 1e-5;
          const double value = drawn.values[i];
          drawn.values[i] = value + kStep;
          const double above = step(o, drawn).result.loss;
          drawn.values[i] = value - kStep;
          const double below = step(o, drawn).result.loss;
          drawn.values[i] = value;
          // The third derivative costs kStep², rounding 1e-16/kStep.
          expect_near(found.gradient[i], (above - below) / (2.0 * kStep), 1e-6, described(o));
        }
      }
    }
  }
}

TEST(AttentionOnly, SinglePrecisionIsNearTheReference) {
  for (const char* attention : {"softmax", "relu_kernel/sum", "elu1_kernel/sum", "sparsemax"}) {
    for (const models::QkNorm norm : {models::QkNorm::kNo, models::QkNorm::kLayer}) {
      const models::AttentionOnlyOptions o{.attention = attention, .qk_norm = norm};
      const Drawn<float> drawn = draw<float>(o, 35, 0.2);
      const auto wide = [](const std::vector<float>& of) { return std::vector<double>(of.begin(), of.end()); };
      // Five layers amplify the rounding of one, 6e-8.
      expect_equal(step(o, drawn),
                   attention_only_reference(o, wide(drawn.values), wide(drawn.tokens), wide(drawn.answers)), 5e-5,
                   described(o));
    }
  }
}

TEST(AttentionOnly, AnyBatchAndLengthWork) {
  for (const int tokens : {2, 3, 20, 33}) {
    for (const std::int64_t batch : {1, 2, 15, 17, 130, 300}) {
      const models::AttentionOnlyOptions o{.layers = 2, .tokens = tokens};
      const Drawn<double> drawn = draw<double>(o, batch);
      expect_equal(step(o, drawn), attention_only_reference(o, drawn.values, drawn.tokens, drawn.answers), 1e-10,
                   described(o) + ", batch " + std::to_string(batch));
    }
  }
}

TEST(AttentionOnly, AgreesWithTheReferenceOnEveryInstructionSet) {
  for_each_simd_target([] {
    for (const char* attention : {"softmax", "elu1_kernel/sum", "sink", "softpick"}) {
      const models::AttentionOnlyOptions o{
          .attention = attention, .qk_norm = models::QkNorm::kLayer, .layers = 2, .tokens = 9};
      const Drawn<double> drawn = draw<double>(o, 19, 0.5);
      expect_equal(step(o, drawn), attention_only_reference(o, drawn.values, drawn.tokens, drawn.answers), 1e-10,
                   described(o));
    }
  });
}

TEST(AttentionOnly, TheSameBitsForAnyNumberOfThreads) {
  const models::AttentionOnlyOptions o;
  const Drawn<float> drawn = draw<float>(o, 1000);
  const Stepped<float> one = step(o, drawn);
  for (const int threads : {1, 2, 3, 8}) {
    const Stepped<float> other = step(o, drawn, threads);
    EXPECT_EQ(one.gradient, other.gradient) << threads;
    EXPECT_EQ(one.result.loss, other.result.loss) << threads;
    EXPECT_EQ(one.result.layers[4].entropy_deviation, other.result.layers[4].entropy_deviation) << threads;
  }
}

// With W_K = 0 every row is uniform; the plain form then averages the tokens' y.
TEST(AttentionOnly, UniformRowsHaveTheStatisticsOfTheirDefinitions) {
  const models::AttentionOnlyOptions o{.layer_form = models::LayerForm::kPlain, .layers = 1, .tokens = 4};
  const models::AttentionOnly<double> model(o);
  std::vector<double> values(48, 0.0);
  for (int c = 0; c < 4; ++c)
    values[static_cast<std::size_t>(c * 5)] = values[static_cast<std::size_t>(32 + c * 5)] = 1.0;
  const std::vector<double> tokens{1, 0, 0, 3, 0, 1, 0, 5, 0, 0, 1, 4, 1, 1, 1, 0}, answers{1.0};
  std::vector<double> gradient(48);
  const models::AttentionOnlyResult result = model.step(values, tokens, answers, std::span(gradient));
  EXPECT_NEAR(result.loss, 4.0, 1e-14);  // (12/4 - 1)²
  const models::AttentionOnlyStatistics& is = result.layers[0];
  EXPECT_NEAR(is.entropy, std::log(4.0), 1e-14);
  EXPECT_NEAR(is.entropy_deviation, 0.0, 1e-7);  // the root of a difference
  EXPECT_NEAR(is.frobenius_norm, 1.0, 1e-14);
  EXPECT_EQ(is.logit_variance, 0.0);
  EXPECT_NEAR(is.maximum, 0.25, 1e-15);
  EXPECT_NEAR(is.first_key, 0.25, 1e-15);
  EXPECT_EQ(is.skewness, 0.0);
  EXPECT_NEAR(is.row_sum, 1.0, 1e-15);
  EXPECT_EQ(is.dead_rows, 0.0);
}

// A row that sees one key alone has p = 1 there: entropy 0, skewness (N - 2)/√(N - 1).
TEST(AttentionOnly, OneHotRowsHaveTheStatisticsOfTheirDefinitions) {
  const models::AttentionOnlyOptions o{.layer_form = models::LayerForm::kPlain, .layers = 1, .tokens = 4};
  std::vector<double> values(48, 0.0);
  values[0] = 1000.0;  // q = 1000 x_1
  values[16] = 1.0;    // k = x_1
  const std::vector<double> tokens{2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, answers{0.0};
  std::vector<double> gradient(48);
  const models::AttentionOnlyStatistics is =
      models::AttentionOnly<double>(o).step(values, tokens, answers, std::span(gradient)).layers[0];
  EXPECT_EQ(is.entropy, 0.0);
  EXPECT_NEAR(is.frobenius_norm, 2.0, 1e-14);  // √N
  EXPECT_NEAR(is.maximum, 1.0, 1e-14);
  EXPECT_NEAR(is.first_key, 1.0, 1e-14);
  EXPECT_NEAR(is.skewness, 2.0 / std::sqrt(3.0), 1e-12);
  // Scores 2000 q, 1000 q three times: variance (3/16)(1000 x_1)², x_1 = 2 once and 1 three times.
  EXPECT_NEAR(is.logit_variance, 3.0 / 16.0 * 1e6 * (4.0 + 3.0) / 4.0, 1e-6);
}

TEST(AttentionOnly, DeadRowsOfTheReluKernelAreThoseWithoutAFeature) {
  const models::AttentionOnlyOptions o{.attention = "relu_kernel/sum", .layers = 1, .tokens = 4};
  std::vector<double> values(48, 0.0);
  for (int c = 0; c < 4; ++c)
    values[static_cast<std::size_t>(c * 5)] = values[static_cast<std::size_t>(16 + c * 5)] = 1.0;
  const std::vector<double> tokens{-1, -2, 0, -1, 1, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0}, answers{0.0};
  std::vector<double> gradient(48);
  const models::AttentionOnlyResult result =
      models::AttentionOnly<double>(o).step(values, tokens, answers, std::span(gradient));
  EXPECT_EQ(result.layers[0].dead_rows, 0.75);
}

TEST(AttentionOnly, WhatIsNotFiniteShowsInTheLossAndTheGradient) {
  for (const char* attention : {"softmax", "elu1_kernel/sum", "entmax"}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const models::AttentionOnlyOptions o{.attention = attention};
      Drawn<float> drawn = draw<float>(o, 20);
      drawn.values[5] = bad;
      const Stepped<float> found = step(o, drawn);
      EXPECT_FALSE(std::isfinite(found.result.loss)) << attention;
      EXPECT_TRUE(std::ranges::any_of(found.gradient, [](float g) { return !std::isfinite(g); })) << attention;
    }
  }
}

TEST(AttentionOnly, ParametersBeginAsTheirLayersSay) {
  const models::AttentionOnly<double> model({.qk_norm = models::QkNorm::kL2, .layers = 2});
  std::vector<std::string> names;
  const std::vector<double> values = model.initial_values(7);
  for (const models::ParameterPlace& place : model.parameters()) {
    names.push_back(place.name);
    for (std::int64_t i = 0; i < place.count; ++i) {
      const double value = values[static_cast<std::size_t>(place.first + i)];
      EXPECT_LT(std::abs(value - (place.shape.size() == 2 ? 0.0 : std::log2(380.0))), 0.5) << place.name;
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"layer1.query", "layer1.key", "layer1.value", "layer1.gain",
                                             "layer2.query", "layer2.key", "layer2.value", "layer2.gain"}));
  EXPECT_EQ(model.initial_values(7), values);
  EXPECT_NE(model.initial_values(8), values);
  const std::vector<float> single =
      models::AttentionOnly<float>({.qk_norm = models::QkNorm::kL2, .layers = 2}).initial_values(7);
  for (std::size_t i = 0; i < single.size(); ++i) EXPECT_EQ(single[i], static_cast<float>(values[i]));
}

// For every form: what the table says is learned, and nothing else; a parameter that nothing depends on would be
// learned in name only.
TEST(AttentionOnly, HasForEveryFormTheParametersOfTheTable) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    const models::AttentionOnlyOptions o{.attention = std::string(form.name), .layers = 2, .tokens = 7};
    if (form.maps_queries) {
      EXPECT_NE(complaint_of([&] { models::AttentionOnly<double>{o}; }).find("choose another"), std::string::npos);
      continue;
    }
    const models::AttentionOnly<double> model(o);
    const Stepped<double> stepped = step(o, draw<double>(o, 5, 0.3));
    std::vector<std::string> names, expected;
    for (const models::ParameterPlace& place : model.parameters()) {
      names.push_back(place.name);
      const bool of_scores = place.name.ends_with("query") || place.name.ends_with("key");
      double largest = 0.0;
      for (std::int64_t i = 0; i < place.count; ++i) {
        largest = std::max(largest, std::abs(stepped.gradient[static_cast<std::size_t>(place.first + i)]));
      }
      EXPECT_EQ(largest > 0.0, !of_scores || form.weight != reweighting::WeightFunction::kOne)
          << form.name << ", " << place.name;
    }
    for (const std::string layer : {"layer1.", "layer2."}) {
      for (const char* part : {"query", "key", "value"}) expected.push_back(layer + part);
      if (form.learned_sink) expected.push_back(layer + "sink");
    }
    EXPECT_EQ(names, expected) << form.name;
  }
}

TEST(AttentionOnly, RefusesWhatMakesNoSense) {
  EXPECT_EQ(complaint_of([] { models::AttentionOnly<float>({.tokens = 1}); }),
            "attention-only model: 1 tokens, expected 2 to 64");
  EXPECT_EQ(complaint_of([] { models::AttentionOnly<float>({.layers = 0}); }),
            "attention-only model: 0 layers, expected 1 to 64");
  EXPECT_NE(complaint_of([] { models::AttentionOnly<float>({.attention = "mlp"}); }).find("choose another"),
            std::string::npos);
  EXPECT_EQ(complaint_of([] { models::find_layer_form("residul"); }),
            "unknown layer form \"residul\": did you mean \"residual\"? (known: residual, covariate, plain)");
  EXPECT_NE(complaint_of([] { models::find_qk_norm("batch"); }).find("layer"), std::string::npos);
  const models::AttentionOnly<float> model({});
  std::vector<float> values(240), tokens(80), answers(2), gradient(240);
  EXPECT_EQ(complaint_of([&] { model.step(values, tokens, answers, std::span(gradient)); }),
            "attention-only model: tokens holds 80 numbers, expected 160");
}

}  // namespace
}  // namespace polariscope::testing
