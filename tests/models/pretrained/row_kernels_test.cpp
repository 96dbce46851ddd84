// Passes over rows, against their formulas in double precision, on every instruction set.
#include "polariscope/models/pretrained/internal/row_kernels.h"

#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace polariscope::models {
namespace {

using testing::for_each_simd_target;

template <class T>
std::vector<T> drawn(std::int64_t count, double scale = 2.0) {
  std::vector<T> numbers(count);
  for (std::int64_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<T>(scale * std::sin(12.9898 * static_cast<double>(i) + 78.233));
  }
  return numbers;
}

template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 4e-6 : 1e-13;

template <class T>
class RowKernelsOf : public ::testing::Test {};
using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RowKernelsOf, Numbers);

TYPED_TEST(RowKernelsOf, NormOfEveryWidthIsItsFormula) {
  using T = TypeParam;
  for_each_simd_target([] {
    for (const bool centred : {false, true}) {
      for (std::int64_t width = 1; width <= 35; ++width) {
        constexpr std::int64_t kRows = 2, kGroups = 3;
        const std::int64_t stride = kGroups * width + 1;
        std::vector<T> x = drawn<T>(kRows * stride), y(kRows * stride, T(7));
        const std::vector<T> weight = drawn<T>(kGroups * width), bias = drawn<T>(kGroups * width, 0.5);
        for (const bool shared : {false, true}) {
          const NormShape shape{kRows, kGroups, width, shared ? 0 : width, centred, 1e-3};
          row_kernels<T>().norm(shape, {x.data(), stride}, weight.data(), bias.data(), {y.data(), stride});
          for (std::int64_t r = 0; r < kRows; ++r) {
            for (std::int64_t g = 0; g < kGroups; ++g) {
              const T *from = x.data() + r * stride + g * width, *to = y.data() + r * stride + g * width;
              double mean = 0.0, squares = 0.0;
              for (std::int64_t i = 0; i < width && centred; ++i) mean += from[i] / static_cast<double>(width);
              for (std::int64_t i = 0; i < width; ++i) squares += (from[i] - mean) * (from[i] - mean);
              for (std::int64_t i = 0; i < width; ++i) {
                const std::int64_t at = shared ? i : g * width + i;
                const double unit = (from[i] - mean) / std::sqrt(squares / static_cast<double>(width) + 1e-3);
                ASSERT_NEAR(to[i], unit * weight[at] + bias[at], 10 * kTolerance<T>);
              }
            }
            ASSERT_EQ(y[r * stride + stride - 1], T(7));  // what stands between rows
          }
        }
      }
    }
  });
}

TYPED_TEST(RowKernelsOf, NormWithoutWeightsMayWriteOverWhatItReads) {
  using T = TypeParam;
  std::vector<T> x{3, 4};
  row_kernels<T>().norm({1, 1, 2, 0, false, 0.0}, {x.data(), 2}, nullptr, nullptr, {x.data(), 2});
  EXPECT_NEAR(x[0], 3 / std::sqrt(12.5), kTolerance<T>);
  EXPECT_NEAR(x[1], 4 / std::sqrt(12.5), kTolerance<T>);
}

TYPED_TEST(RowKernelsOf, RotationTurnsPairsAndLeavesTheRest) {
  using T = TypeParam;
  for_each_simd_target([] {
    for (const bool neighbours : {false, true}) {
      for (std::int64_t pairs = 1; pairs <= 19; ++pairs) {
        constexpr std::int64_t kHeads = 2;
        const std::int64_t head = 2 * pairs + 1, stride = kHeads * head;
        const std::vector<std::int64_t> places{2, 0};
        std::vector<T> x = drawn<T>(2 * stride), angles(3 * 2 * pairs);
        const std::vector<T> before = x;
        const auto angle = [&](std::int64_t place, std::int64_t i) {
          return 0.3 * static_cast<double>(place * (i + 1));
        };
        for (std::int64_t p = 0; p < 3; ++p) {
          for (std::int64_t i = 0; i < pairs; ++i) {
            angles[p * 2 * pairs + i] = static_cast<T>(std::cos(angle(p, i)));
            angles[p * 2 * pairs + pairs + i] = static_cast<T>(std::sin(angle(p, i)));
          }
        }
        row_kernels<T>().rotate({2, kHeads, head, pairs, neighbours}, angles.data(), places.data(), {x.data(), stride});
        for (std::int64_t r = 0; r < 2; ++r) {
          for (std::int64_t h = 0; h < kHeads; ++h) {
            const std::int64_t start = r * stride + h * head;
            for (std::int64_t i = 0; i < pairs; ++i) {
              const std::int64_t a = start + (neighbours ? 2 * i : i), b = start + (neighbours ? 2 * i + 1 : pairs + i);
              const double c = std::cos(angle(places[r], i)), s = std::sin(angle(places[r], i));
              ASSERT_NEAR(x[a], before[a] * c - before[b] * s, kTolerance<T>);
              ASSERT_NEAR(x[b], before[b] * c + before[a] * s, kTolerance<T>);
            }
            ASSERT_EQ(x[start + 2 * pairs], before[start + 2 * pairs]);
          }
        }
      }
    }
  });
}

double exactly(Activation activation, double x) {
  switch (activation) {
    case Activation::kGelu: return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluSigmoid: return x / (1.0 + std::exp(-1.702 * x));
    case Activation::kSilu: return x / (1.0 + std::exp(-x));
    case Activation::kRelu: return x > 0.0 ? x : 0.0;
    case Activation::kReluSquared: return x > 0.0 ? x * x : 0.0;
  }
  return 0.0;
}
constexpr Activation kActivations[] = {Activation::kGelu, Activation::kGeluTanh, Activation::kGeluSigmoid,
                                       Activation::kSilu, Activation::kRelu,     Activation::kReluSquared};

TYPED_TEST(RowKernelsOf, ActivationsAreTheirFormulasFarOutToo) {
  using T = TypeParam;
  for_each_simd_target([] {
    std::vector<T> x = drawn<T>(501, 12.0);
    for (const double far : {0.0, 50.0, -50.0, 500.0, -500.0}) x.push_back(static_cast<T>(far));
    const auto width = static_cast<std::int64_t>(x.size());
    for (const Activation activation : kActivations) {
      std::vector<T> y(x.size());
      row_kernels<T>().activate(activation, 1, width, {x.data(), width}, {y.data(), width});
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = exactly(activation, x[i]);
        ASSERT_NEAR(y[i], expected, kTolerance<T> * (1.0 + std::abs(expected)))
            << static_cast<int>(activation) << " of " << x[i];
      }
      std::vector<T> nan{std::numeric_limits<T>::quiet_NaN()};
      row_kernels<T>().activate(activation, 1, 1, {nan.data(), 1}, {nan.data(), 1});
      EXPECT_TRUE(std::isnan(nan[0]));
    }
  });
}

TYPED_TEST(RowKernelsOf, GatesAreCutAndShiftedBeforeTheyMultiply) {
  using T = TypeParam;
  for_each_simd_target([] {
    const std::vector<T> gate = drawn<T>(2 * 37, 5.0), up = drawn<T>(2 * 37, 4.0);
    for (const double limit : {1.5, std::numeric_limits<double>::infinity()}) {
      std::vector<T> y(gate.size());
      const GateShape shape{Activation::kGeluSigmoid, 1.0, limit};
      row_kernels<T>().gate(shape, 2, 37, {gate.data(), 37}, {up.data(), 37}, {y.data(), 37});
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double cut = std::min<double>(gate[i], limit), kept = std::clamp<double>(up[i], -limit, limit);
        ASSERT_NEAR(y[i], exactly(Activation::kGeluSigmoid, cut) * (kept + 1.0), 20 * kTolerance<T>);
      }
    }
  });
}

TYPED_TEST(RowKernelsOf, CapsClipsAndSumsAreTheirFormulas) {
  using T = TypeParam;
  for_each_simd_target([] {
    const std::vector<T> x = drawn<T>(41, 9.0);
    std::vector<T> capped = x, clipped = x, sum = x;
    row_kernels<T>().cap(T(3), 1, 41, {capped.data(), 41});
    row_kernels<T>().clip(T(3), 1, 41, {clipped.data(), 41});
    row_kernels<T>().add(1, 41, {x.data(), 41}, {sum.data(), 41});
    double squares = 0.0, found = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(capped[i], 3.0 * std::tanh(x[i] / 3.0), kTolerance<T>);
      ASSERT_EQ(clipped[i], std::clamp(x[i], T(-3), T(3)));
      ASSERT_EQ(sum[i], x[i] + x[i]);
      squares += static_cast<double>(x[i]) * x[i];
    }
    row_kernels<T>().square_sums(1, 41, {x.data(), 41}, &found);
    EXPECT_NEAR(found, squares, kTolerance<T> * squares);
  });
}

TYPED_TEST(RowKernelsOf, LogSumsOfBlocksAreThoseOfTheWhole) {
  using T = TypeParam;
  for_each_simd_target([] {
    std::vector<T> z = drawn<T>(2 * 100, 300.0);
    double expected = 0.0;
    for (std::int64_t i = 0; i < 100; ++i) expected += std::exp(static_cast<double>(z[i]) - 300.0);
    z[150] = std::numeric_limits<T>::quiet_NaN();
    T most[2] = {-std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()};
    double sums[2] = {0.0, 0.0};
    for (std::int64_t first = 0; first < 100; first += 23) {
      row_kernels<T>().add_to_log_sums(2, std::min<std::int64_t>(23, 100 - first), {z.data() + first, 100}, most, sums);
    }
    EXPECT_NEAR(most[0] + std::log(sums[0]), 300.0 + std::log(expected), 1e-5);
    EXPECT_TRUE(std::isnan(most[1] + std::log(sums[1])));
  });
}

}  // namespace
}  // namespace polariscope::models
