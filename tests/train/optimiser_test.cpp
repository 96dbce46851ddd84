// The optimisers against PyTorch's formulas, step by step in long double.
#include "polariscope/train/optimiser.h"

#include "polariscope/base/random.h"
#include "support/complaint.h"
#include "support/simd_targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace polariscope {
namespace {

using Numbers = std::vector<long double>;

// The same numbers for both types.
at::Tensor normal(std::int64_t count, std::uint64_t stream) {
  at::Tensor tensor = at::zeros({count}, at::kFloat);
  RandomStream random(21, stream);
  for (std::int64_t i = 0; i < count; ++i) tensor.data_ptr<float>()[i] = static_cast<float>(random.normal());
  return tensor;
}

Numbers wide(const at::Tensor& tensor) {
  const at::Tensor all = tensor.to(at::kDouble);
  return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
}

struct Reference {
  Numbers values, first, second;
  double gradient_norm = 0.0, update_norm = 0.0;  // of the last step
};

void adamw(const train::AdamWOptions& o, int step, const Numbers& gradients, Reference& r) {
  long double of_gradients = 0, of_updates = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const long double g = gradients[i], before = r.values[i];
    r.values[i] *= 1.0L - static_cast<long double>(o.learning_rate) * o.weight_decay;
    r.first[i] = o.beta_1 * r.first[i] + (1.0L - o.beta_1) * g;
    r.second[i] = o.beta_2 * r.second[i] + (1.0L - o.beta_2) * g * g;
    const long double denominator = std::sqrt(r.second[i]) / std::sqrt(1.0L - std::pow<long double>(o.beta_2, step));
    r.values[i] -=
        o.learning_rate / (1.0L - std::pow<long double>(o.beta_1, step)) * r.first[i] / (denominator + o.epsilon);
    of_gradients += g * g;
    of_updates += (r.values[i] - before) * (r.values[i] - before);
  }
  r.gradient_norm = static_cast<double>(std::sqrt(of_gradients));
  r.update_norm = static_cast<double>(std::sqrt(of_updates));
}

void sgd(const train::SgdOptions& o, int step, const Numbers& gradients, Reference& r) {
  long double of_gradients = 0, of_updates = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    r.first[i] = step == 1 ? gradients[i] : o.momentum * r.first[i] + gradients[i];
    r.values[i] -= o.learning_rate * r.first[i];
    of_gradients += gradients[i] * gradients[i];
    of_updates += o.learning_rate * r.first[i] * o.learning_rate * r.first[i];
  }
  r.gradient_norm = static_cast<double>(std::sqrt(of_gradients));
  r.update_norm = static_cast<double>(std::sqrt(of_updates));
}

// Five steps of ours and of the reference from the same values. tolerance: of values of order one, and of the norms.
template <class Ours, class Options, class Step>
void expect_same(const Options& options, const Step& reference_step, std::int64_t count, at::ScalarType type,
                 double tolerance) {
  const at::Tensor values = normal(count, 0).to(type);
  Ours ours(options, values);
  Reference reference{.values = wide(values), .first = Numbers(count), .second = Numbers(count)};
  for (int step = 1; step <= 5; ++step) {
    const at::Tensor gradients = (normal(count, step) * std::pow(10.0, step - 3)).to(type);
    const double update_norm = ours.step(values, gradients);
    reference_step(options, step, wide(gradients), reference);
    // An update that is lost in a value's rounding is lost in its norm.
    const double lost = tolerance * std::sqrt(static_cast<double>(count));
    EXPECT_NEAR(train::gradient_norm(gradients), reference.gradient_norm, tolerance * (1.0 + reference.gradient_norm));
    EXPECT_NEAR(update_norm, reference.update_norm, lost + 10.0 * tolerance * reference.update_norm);
  }
  const Numbers found = wide(values);
  for (std::int64_t i = 0; i < count; ++i) {
    const double size = std::max(1.0, static_cast<double>(std::abs(reference.values[i])));
    ASSERT_NEAR(static_cast<double>(found[i]), static_cast<double>(reference.values[i]), tolerance * size) << i;
  }
}

constexpr double kDouble = 1e-14, kSingle = 1e-6;  // five steps of some ulp

TEST(AdamW, TakesPyTorchsStepsOnEveryTarget) {
  testing::for_each_simd_target([] {
    for (const std::int64_t count : {0, 1, 15, 1023, 1025, 5000}) {
      for (const train::AdamWOptions& options :
           {train::AdamWOptions{},
            train::AdamWOptions{.learning_rate = 0.1, .beta_1 = 0.5, .beta_2 = 0.9, .weight_decay = 0.3},
            train::AdamWOptions{.beta_1 = 0.0, .beta_2 = 0.0, .epsilon = 0.1, .weight_decay = 0.0}}) {
        expect_same<train::AdamW>(options, adamw, count, at::kDouble, kDouble);
        expect_same<train::AdamW>(options, adamw, count, at::kFloat, kSingle);
      }
    }
  });
}

TEST(Sgd, TakesPyTorchsStepsOnEveryTarget) {
  testing::for_each_simd_target([] {
    for (const std::int64_t count : {0, 1, 15, 1023, 1025, 5000}) {
      for (const train::SgdOptions& options :
           {train::SgdOptions{}, train::SgdOptions{.learning_rate = 0.03, .momentum = 0.8}}) {
        expect_same<train::Sgd>(options, sgd, count, at::kDouble, 1e-13);
        expect_same<train::Sgd>(options, sgd, count, at::kFloat, 1e-5);
      }
    }
  });
}

TEST(AdamW, DoesNotHideAGradientThatIsNotFinite) {
  for (const double gradient : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const at::Tensor values = at::zeros({100}, type), gradients = at::zeros({100}, type);
      gradients[17] = gradient;
      train::AdamW optimiser({}, values);
      EXPECT_FALSE(std::isfinite(train::gradient_norm(gradients)));
      EXPECT_FALSE(std::isfinite(optimiser.step(values, gradients)));
      EXPECT_FALSE(std::isfinite(values[17].item<double>()));
      EXPECT_EQ(values[18].item<double>(), 0.0);
    }
  }
}

template <class Ours, class Options>
void expect_to_go_on(const Options& options) {
  const at::Tensor values = normal(300, 0), gradients = normal(300, 1);
  Ours first(options, values);
  first.step(values, gradients);
  const at::Tensor copied = values.clone();
  Ours second(options, copied);
  for (std::size_t i = 0; i < first.state().size(); ++i) {
    EXPECT_EQ(first.state()[i].first, second.state()[i].first);
    second.state()[i].second.copy_(first.state()[i].second);
  }
  first.step(values, gradients);
  second.step(copied, gradients);
  EXPECT_TRUE(values.equal(copied));
}

TEST(Optimisers, GoOnFromTheirState) {
  expect_to_go_on<train::AdamW>(train::AdamWOptions{});
  expect_to_go_on<train::Sgd>(train::SgdOptions{.momentum = 0.9});
}

TEST(Optimisers, RefuseOptionsOutOfRange) {
  const at::Tensor values = at::zeros({1}, at::kFloat);
  const auto adamw_says = [&](const train::AdamWOptions& o) {
    return testing::complaint_of([&] { train::AdamW(o, values); });
  };
  const auto sgd_says = [&](const train::SgdOptions& o) {
    return testing::complaint_of([&] { train::Sgd(o, values); });
  };
  EXPECT_EQ(adamw_says({.learning_rate = 0.0}), "AdamW's learning rate must be positive, found 0");
  EXPECT_EQ(adamw_says({.learning_rate = std::nan("")}), "AdamW's learning rate must be positive, found nan");
  EXPECT_EQ(adamw_says({.beta_1 = 1.0}), "AdamW's beta 1 must be in [0, 1), found 1");
  EXPECT_EQ(adamw_says({.beta_2 = -0.1}), "AdamW's beta 2 must be in [0, 1), found -0.1");
  EXPECT_EQ(adamw_says({.epsilon = 0.0}), "AdamW's epsilon must be positive, found 0");
  EXPECT_EQ(adamw_says({.weight_decay = -1.0}), "AdamW's weight decay must be at least 0, found -1");
  EXPECT_EQ(sgd_says({.learning_rate = -1.0}), "SGD's learning rate must be positive, found -1");
  EXPECT_EQ(sgd_says({.momentum = 1.0}), "SGD's momentum must be in [0, 1), found 1");
}

}  // namespace
}  // namespace polariscope
