// The layers against ATen's own operators, values and gradients.
#include "polariscope/base/random.h"
#include "polariscope/models/residual_layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace polariscope {
namespace {

using Tensors = std::vector<at::Tensor>;
using Layer = std::function<at::Tensor(const Tensors&)>;

// N(0, 1), single precision's numbers, so that both types begin with the same.
at::Tensor normal(std::vector<std::int64_t> sizes, std::uint64_t stream) {
  at::Tensor tensor = at::empty(sizes, at::kFloat);
  RandomStream random(11, stream);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data_ptr<float>()[i] = static_cast<float>(random.normal());
  return tensor.to(at::kDouble);
}

double largest(const at::Tensor& x) { return x.numel() == 0 ? 0.0 : x.abs().max().item<double>(); }

struct Walk {
  at::Tensor value;
  Tensors gradients;
};

// The value, and the gradients of Σ value·due, in double whatever the type of the computation.
Walk walk(const Layer& layer, const Tensors& inputs, const at::Tensor& due, at::ScalarType type, bool twice = false) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.to(type).detach().clone().set_requires_grad(true));
  const at::Tensor value = layer(leaves);
  const auto gradients = [&](bool keep) {
    return torch::autograd::grad({value}, leaves, {due.to(type).reshape(value.sizes())}, keep);
  };
  Tensors found = gradients(twice);
  if (twice) {
    const Tensors again = gradients(false);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].equal(again[i])) << "input " << i;
  }
  Walk result{value.detach().to(at::kDouble), {}};
  for (const at::Tensor& gradient : found) result.gradients.push_back(gradient.to(at::kDouble));
  return result;
}

void expect_close(const at::Tensor& found, const at::Tensor& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  const double apart = largest(found - expected);
  EXPECT_LE(apart, tolerance) << what << ", of at most " << largest(expected);
}

// Double to 1e-12 of the largest number; single precision at most twice as far from double as ATen's own single
// precision, and some ulp: of the largest number, and of a sum over rows in order where ATen adds in a tree.
void expect_same(const Layer& ours, const Layer& theirs, const Tensors& inputs, std::int64_t rows) {
  const at::Tensor due = normal({theirs(inputs).numel()}, 99);
  const Walk exact = walk(theirs, inputs, due, at::kDouble), found = walk(ours, inputs, due, at::kDouble, true);
  const Walk single = walk(ours, inputs, due, at::kFloat, true), other = walk(theirs, inputs, due, at::kFloat);
  const auto compare = [&](const at::Tensor& e, const at::Tensor& d, const at::Tensor& f, const at::Tensor& o,
                           const std::string& what) {
    const double size = std::max(1.0, largest(e)), in_order = std::sqrt(static_cast<double>(rows));
    expect_close(d, e, 1e-12 * size, what + " in double");
    expect_close(f, e, 2.0 * largest(o - e) + 6e-8 * (4.0 + in_order) * size, what + " in single precision");
  };
  compare(exact.value, found.value, single.value, other.value, "value");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    compare(exact.gradients[i], found.gradients[i], single.gradients[i], other.gradients[i],
            fmt::format("gradient of input {}", i));
  }
}

// Σ value·due along a random direction of all inputs, by central differences.
void expect_slopes(const Layer& layer, const Tensors& inputs) {
  const at::Tensor due = normal({layer(inputs).numel()}, 98);
  const Walk at_point = walk(layer, inputs, due, at::kDouble);
  constexpr double kStep = 1e-5;
  double along = 0.0;
  Tensors before, after;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor direction = normal(inputs[i].sizes().vec(), 200 + i);
    along += (direction * at_point.gradients[i]).sum().item<double>();
    after.push_back(inputs[i] + kStep * direction);
    before.push_back(inputs[i] - kStep * direction);
  }
  const auto of = [&](const Tensors& x) { return (layer(x).reshape({-1}) * due).sum().item<double>(); };
  EXPECT_NEAR((of(after) - of(before)) / (2.0 * kStep), along, 1e-6 * std::max(1.0, std::abs(along)));
}

struct Sizes {
  std::int64_t rows, inputs, outputs;
};
class EveryLayer : public ::testing::TestWithParam<Sizes> {
 protected:
  const std::int64_t rows_ = GetParam().rows, inputs_ = GetParam().inputs, outputs_ = GetParam().outputs;
  const at::Tensor x_ = normal({rows_, inputs_}, 1), weight_ = normal({outputs_, inputs_}, 2),
                   bias_ = normal({outputs_}, 3), residual_ = normal({rows_, outputs_}, 4);

  // ATen's LayerNorm of t[0]; of a single number nothing is left but the bias, where ATen's gradients are rounding
  // errors over √1e-5.
  at::Tensor norm_of(const Tensors& t) const {
    if (inputs_ == 1) return 0.0 * t[0] + 0.0 * t[1] + t[2];
    return at::layer_norm(t[0], {inputs_}, t[1], t[2], 1e-5);
  }

  // sums: of how many numbers the longest sum is.
  void check(const Layer& ours, const Layer& theirs, const Tensors& inputs, std::int64_t sums = 0) const {
    expect_same(ours, theirs, inputs, std::max(rows_, sums));
    expect_slopes(ours, inputs);
  }
};

TEST_P(EveryLayer, LinearIsATens) {
  check(
      [](const Tensors& t) {
        return models::linear(t[0], {t[1], t[2]});
      },
      [](const Tensors& t) { return at::linear(t[0], t[1], t[2]); }, {x_, weight_, bias_});
}

TEST_P(EveryLayer, AddLinearIsATensSum) {
  check(
      [](const Tensors& t) {
        return models::add_linear(t[3], t[0], {t[1], t[2]});
      },
      [](const Tensors& t) { return t[3] + at::linear(t[0], t[1], t[2]); }, {x_, weight_, bias_, residual_});
}

TEST_P(EveryLayer, LinearGeluIsATens) {
  check(
      [](const Tensors& t) {
        return models::linear_gelu(t[0], {t[1], t[2]});
      },
      [](const Tensors& t) { return at::gelu(at::linear(t[0], t[1], t[2])); }, {x_, weight_, bias_});
}

TEST_P(EveryLayer, NormLinearIsATensWithAndWithoutANorm) {
  check(
      [](const Tensors& t) {
        return models::norm_linear(t[0], {t[1], t[2]}, {t[3], t[4]}).y;
      },
      [&](const Tensors& t) { return at::linear(norm_of(t), t[3], t[4]); },
      {x_, weight_[0], normal({inputs_}, 5), weight_, bias_});
  check(
      [](const Tensors& t) {
        return models::norm_linear(t[0], {}, {t[1], t[2]}).y;
      },
      [](const Tensors& t) { return at::linear(t[0], t[1], t[2]); }, {x_, weight_, bias_});
}

TEST_P(EveryLayer, NormLinearOfABranchAddsWhatBothUsesAreDue) {
  const auto both_of = [](const models::Branch& both) { return (both.x * both.x).sum() + (both.y * both.y).sum(); };
  const auto expected = [](const at::Tensor& x, const at::Tensor& y) { return (x * x).sum() + (y * y).sum(); };
  check(
      [&](const Tensors& t) {
        return both_of(models::norm_linear(t[0], {t[1], t[2]}, {t[3], t[4]}));
      },
      [&](const Tensors& t) { return expected(t[0], at::linear(norm_of(t), t[3], t[4])); },
      {x_, weight_[0], normal({inputs_}, 5), weight_, bias_}, rows_ * outputs_);
  check(
      [&](const Tensors& t) {
        return both_of(models::norm_linear(t[0], {}, {t[1], t[2]}));
      },
      [&](const Tensors& t) { return expected(t[0], at::linear(t[0], t[1], t[2])); }, {x_, weight_, bias_},
      rows_ * outputs_);
}

TEST_P(EveryLayer, AddMlpIsATensWithAndWithoutANorm) {
  const at::Tensor back = normal({inputs_, outputs_}, 7), back_bias = normal({inputs_}, 8);
  const auto mlp = [](const at::Tensor& x, const Tensors& t, std::size_t first) {
    return at::linear(at::gelu(at::linear(x, t[first], t[first + 1])), t[first + 2], t[first + 3]);
  };
  check(
      [](const Tensors& t) {
        return models::add_mlp(t[0], {t[1], t[2]}, {t[3], t[4]}, {t[5], t[6]});
      },
      [&](const Tensors& t) { return t[0] + mlp(norm_of(t), t, 3); },
      {x_, weight_[0], normal({inputs_}, 5), weight_, bias_, back, back_bias});
  check(
      [](const Tensors& t) {
        return models::add_mlp(t[0], {}, {t[1], t[2]}, {t[3], t[4]});
      },
      [&](const Tensors& t) { return t[0] + mlp(t[0], t, 1); }, {x_, weight_, bias_, back, back_bias});
}

TEST_P(EveryLayer, CrossEntropyIsATens) {
  at::Tensor targets = at::empty({rows_}, at::kLong);
  RandomStream random(12, 0);
  for (std::int64_t i = 0; i < rows_; ++i) targets.data_ptr<std::int64_t>()[i] = random.below(inputs_);
  const at::Tensor weights = normal({rows_}, 6).abs();
  if (rows_ > 2) weights[1] = 0.0;
  check(
      [&](const Tensors& t) { return models::cross_entropy(t[0], targets, weights.to(t[0].scalar_type())); },
      [&](const Tensors& t) {
        return (at::cross_entropy_loss(t[0], targets, {}, at::Reduction::None) * weights.to(t[0].scalar_type())).sum();
      },
      {x_});
}

std::string name_of(const ::testing::TestParamInfo<Sizes>& sizes) {
  return fmt::format("{}_{}_{}", sizes.param.rows, sizes.param.inputs, sizes.param.outputs);
}
INSTANTIATE_TEST_SUITE_P(Odd, EveryLayer,
                         ::testing::Values(Sizes{0, 3, 17}, Sizes{1, 1, 1}, Sizes{1, 17, 3}, Sizes{2, 128, 1},
                                           Sizes{513, 1, 128}, Sizes{513, 3, 17}, Sizes{513, 17, 1},
                                           Sizes{513, 128, 128}, Sizes{1025, 17, 3}),
                         name_of);

TEST(Linear, TakesLeadingDimensionsAndRowsThatAreApart) {
  const at::Tensor x = normal({3, 5, 7}, 1).transpose(0, 1), weight = normal({4, 7}, 2), bias = normal({4}, 3);
  const at::Tensor residual = normal({5, 3, 4}, 4);
  expect_close(models::linear(x, {weight, bias}), at::linear(x, weight, bias), 1e-12, "linear");
  expect_close(models::add_linear(residual, x, {weight, bias}), residual + at::linear(x, weight, bias), 1e-12,
               "add_linear");
}

TEST(SplitHeads, IsAViewWhosePartsAreDueBackWhereTheyCameFrom) {
  const std::int64_t batch = 2, length = 3, parts = 3, heads = 2, width = 5;
  const auto by_aten = [&](const at::Tensor& t, std::int64_t part) {
    return t.view({batch, length, parts, heads, width}).select(2, part).transpose(1, 2);
  };
  for (const std::vector<std::int64_t>& used : {std::vector<std::int64_t>{0, 1, 2}, {1}, {0, 2}}) {
    const Layer ours = [&](const Tensors& t) {
      const Tensors views = models::split_heads(t[0], parts, heads);
      at::Tensor sum = views[used[0]];
      for (std::size_t i = 1; i < used.size(); ++i) sum = sum * views[used[i]];
      return sum;
    };
    const Layer theirs = [&](const Tensors& t) {
      at::Tensor sum = by_aten(t[0], used[0]);
      for (std::size_t i = 1; i < used.size(); ++i) sum = sum * by_aten(t[0], used[i]);
      return sum;
    };
    expect_same(ours, theirs, {normal({batch, length, parts * heads * width}, 1)}, batch * length);
  }
  const at::Tensor projected = normal({batch, length, parts * heads * width}, 1);
  EXPECT_EQ(models::split_heads(projected, parts, heads)[0].data_ptr(), projected.data_ptr());
}

TEST(CrossEntropy, HoldsWhereExponentialsWouldNot) {
  const at::Tensor logits = at::tensor({1e4, -1e4, 0.0, 0.0, 1e4, 1e4}, at::kDouble).view({2, 3});
  const at::Tensor targets = at::tensor({1, 2}, at::kLong), weights = at::tensor({1.0, 1.0}, at::kDouble);
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const double loss = models::cross_entropy(logits.to(type), targets, weights.to(type)).item<double>();
    EXPECT_NEAR(loss, 2e4 + std::log(2.0), 1e-3);
  }
}

TEST(CrossEntropy, OfANaNIsNaNUnlessItsRowHasNoWeight) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::int64_t place = 0; place < 19; ++place) {
    at::Tensor logits = normal({2, 19}, 1);
    logits[1][place] = nan;
    const at::Tensor targets = at::tensor({1, 2}, at::kLong);
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      const auto loss = [&](double weight) {
        return models::cross_entropy(logits.to(type), targets, at::tensor({1.0, weight}, type)).item<double>();
      };
      EXPECT_TRUE(std::isnan(loss(1.0))) << place;
      EXPECT_TRUE(std::isfinite(loss(0.0))) << place;
    }
  }
}

TEST(NormLinear, OfAConstantRowIsThatOfTheNormsBias) {
  const at::Tensor weight = normal({17}, 1).to(at::kFloat), bias = normal({17}, 2).to(at::kFloat);
  const at::Tensor same = at::eye(17, at::kFloat), zeros = at::zeros({17}, at::kFloat);
  for (const double level : {0.0, 1.0, -3e4}) {
    const at::Tensor x = at::empty({2, 17}, at::kFloat).fill_(level);
    EXPECT_TRUE(models::norm_linear(x, {weight, bias}, {same, zeros}).y[1].allclose(bias, 0.0, 1e-6)) << level;
  }
}

TEST(NormLinear, OfABranchMayGoUnused) {
  const at::Tensor x = normal({3, 5}, 1).set_requires_grad(true);
  const at::Tensor weight = normal({5}, 2).set_requires_grad(true), bias = normal({5}, 3);
  const models::Branch both = models::norm_linear(x, {weight, bias}, {normal({4, 5}, 4), normal({4}, 5)});
  const Tensors gradients = torch::autograd::grad({(both.x * 2.0).sum()}, {x, weight}, {}, false, false, true);
  EXPECT_TRUE(gradients[0].eq(2.0).all().item<bool>());
  EXPECT_FALSE(gradients[1].defined());
}

TEST(SplitHeads, TakesGradientsThatLieSideBySideAsTheyLie) {
  const std::int64_t batch = 2, length = 3, parts = 3, heads = 2, width = 5;
  const at::Tensor projected = normal({batch, length, parts * heads * width}, 1).set_requires_grad(true);
  const Tensors views = models::split_heads(projected, parts, heads);
  const at::Tensor whole = normal({batch, length, parts, heads, width}, 2);
  Tensors due;
  for (std::int64_t p = 0; p < parts; ++p) due.push_back(whole.select(2, p).transpose(1, 2));
  const at::Tensor found = torch::autograd::grad(views, {projected}, due, true)[0];
  EXPECT_EQ(found.data_ptr(), whole.data_ptr());
  EXPECT_TRUE(found.equal(whole.view(projected.sizes())));
  // Neighbours in another order are no projection.
  std::swap(due[0], due[1]);
  const at::Tensor swapped = torch::autograd::grad(views, {projected}, due)[0].view(whole.sizes());
  EXPECT_TRUE(swapped.select(2, 0).equal(whole.select(2, 1)));
  EXPECT_TRUE(swapped.select(2, 1).equal(whole.select(2, 0)));
}

TEST(Layers, PassNaNOn) {
  const at::Tensor weight = normal({5, 4}, 1), bias = normal({5}, 2), ones = at::ones({4}, at::kDouble);
  at::Tensor x = normal({3, 4}, 3);
  x[1][2] = std::numeric_limits<double>::quiet_NaN();
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const auto t = [&](const at::Tensor& of) { return of.to(type); };
    const models::LinearParameters into{t(weight), t(bias)}, back{t(weight.t().contiguous()), t(ones)};
    const models::NormParameters norm{t(ones), t(ones)};
    for (const at::Tensor& y : {models::linear(t(x), into), models::linear_gelu(t(x), into),
                                models::norm_linear(t(x), norm, into).y, models::add_mlp(t(x), norm, into, back)}) {
      const at::Tensor rows = at::isnan(y).all(1);
      EXPECT_FALSE(rows[0].item<bool>() || rows[2].item<bool>());
      EXPECT_TRUE(rows[1].item<bool>());
    }
  }
}

}  // namespace
}  // namespace polariscope
