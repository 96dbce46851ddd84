// What a row does not see may be anything, by whichever mask it is hidden: the row, and what it gives back, keep their
// bits.
#include "agreement.h"
#include "support/simd_targets.h"

#include <fmt/format.h>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 94;
constexpr std::int64_t kToken = 40;  // that holds what is not finite

struct Mask {
  std::string_view name;
  bool causal;
  std::int64_t window;
  bool bias;
};
constexpr Mask kMasks[] = {{"causal", true, 0, false},
                           {"window", false, 9, false},
                           {"causal window", true, 9, false},
                           {"bias", false, 0, true},
                           {"causal and bias", true, 0, true}};

template <class T>
Problem<T> masked_problem(const reweighting::AttentionForm& form, const attention::AttentionShape& shape,
                          const Mask& mask) {
  RandomStream random(kSeed, stream_of(form));
  Problem<T> problem = random_problem<T>(form, shape, random, Layout::kRowsFirst, 1);
  problem.causal = mask.causal;
  problem.window = mask.window;
  problem.bias_gradient = mask.bias;  // which takes short sequences off their path
  if (!mask.bias) return problem;
  add_bias(problem, random);
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.queries; ++i) {
        for (std::int64_t j = 0; j < shape.keys; ++j) {
          if ((i + 2 * j) % 3 == 0) problem.bias.row(b, h, i)[j] = -std::numeric_limits<T>::infinity();
        }
      }
    }
  }
  return problem;
}

// Everything of `found` that has nothing to do with the token is what it is in `expected`.
template <class T>
void expect_untouched(Problem<T>& problem, Everything<T>& found, Everything<T>& expected, std::int64_t token,
                      bool of_key) {
  const attention::AttentionInput<T> input = problem.input();
  const attention::AttentionShape& s = problem.shape;
  // A key's or a value's token is felt by the queries that see it; a query's by itself, and by the keys it sees.
  const auto touches = [&](std::int64_t h, std::int64_t i, std::int64_t j) {
    return attention::oracle::sees(input, 0, h, i, j) && (of_key ? j == token : i == token);
  };
  for (std::int64_t h = 0; h < s.heads; ++h) {
    for (std::int64_t i = 0; i < s.queries; ++i) {
      bool touched = false;
      for (std::int64_t j = 0; j < s.keys; ++j) touched = touched || touches(h, i, j);
      if (touched) continue;
      const std::int64_t row = h * s.queries + i;
      EXPECT_EQ(found.forward.non_finite[row], 0) << i;
      for (std::int64_t c = 0; c < s.value_width; ++c) {
        EXPECT_EQ(found.forward.output.row(0, h, i)[c], expected.forward.output.row(0, h, i)[c]) << "output " << i;
      }
      for (std::int64_t c = 0; c < s.width; ++c) {
        EXPECT_EQ(found.backward.query.row(0, h, i)[c], expected.backward.query.row(0, h, i)[c]) << "d_query " << i;
      }
    }
  }
  // Keys of queries that are untouched.
  for (std::int64_t j = 0; j < s.keys; ++j) {
    bool touched = of_key && j == token;
    for (std::int64_t h = 0; h < s.heads; ++h) {
      for (std::int64_t i = 0; i < s.queries; ++i) {
        for (std::int64_t k = 0; k < s.keys; ++k) {
          touched = touched || (touches(h, i, k) && attention::oracle::sees(input, 0, h, i, j));
        }
      }
    }
    if (touched) continue;
    for (std::int64_t c = 0; c < s.width; ++c) {
      EXPECT_EQ(found.backward.key.row(0, 0, j)[c], expected.backward.key.row(0, 0, j)[c]) << "d_key " << j;
    }
    for (std::int64_t c = 0; c < s.value_width; ++c) {
      EXPECT_EQ(found.backward.value.row(0, 0, j)[c], expected.backward.value.row(0, 0, j)[c]) << "d_value " << j;
    }
  }
}

template <class T>
void expect_nothing_leaks(const attention::AttentionShape& shape, std::int64_t token,
                          const std::vector<std::string_view>& forms) {
  for (const std::string_view name : forms) {
    for (const Mask& mask : kMasks) {
      SCOPED_TRACE(fmt::format("{} {}, width {}", name, mask.name, shape.width));
      Problem<T> clean = masked_problem<T>(reweighting::find_attention_form(name), shape, mask);
      for_each_simd_target([&] {
        Everything<T> expected = kernel_everything(clean, {}, 1);
        for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
          for (Tensor<T> Problem<T>::*tensor :
               {&Problem<T>::key, &Problem<T>::value, &Problem<T>::query, &Problem<T>::d_output}) {
            const bool of_key = tensor == &Problem<T>::key || tensor == &Problem<T>::value;
            SCOPED_TRACE(fmt::format("{} in {}", bad,
                                     tensor == &Problem<T>::key     ? "key"
                                     : tensor == &Problem<T>::value ? "value"
                                     : tensor == &Problem<T>::query ? "query"
                                                                    : "d_output"));
            Problem<T> broken = clean;
            (broken.*tensor).row(0, 0, token)[1] = bad;
            Everything<T> found = kernel_everything(broken, {}, 1);
            expect_untouched(clean, found, expected, token, of_key);
          }
        }
      });
    }
  }
}

TEST(Unseen, IsNotFeltInBlocksOfQueries) {
  const attention::AttentionShape shape{.queries = 90, .keys = 90, .width = 5, .value_width = 6};
  std::vector<std::string_view> all;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) all.push_back(form.name);
  expect_nothing_leaks<float>(shape, kToken, all);
  expect_nothing_leaks<double>(shape, kToken, {"softmax", "sink", "relu/sum", "sparsemax"});
}

// Sequences of a lane each, with widths that are whole vectors and others.
TEST(Unseen, IsNotFeltInShortSequences) {
  for (const std::int64_t width : {3, 16, 32}) {
    const attention::AttentionShape shape{.batch = 20, .queries = 14, .keys = 14, .width = width, .value_width = width};
    expect_nothing_leaks<float>(shape, 6, {"softmax", "sigmoid/sum", "elu1_kernel/sum", "sink"});
    expect_nothing_leaks<double>(shape, 6, {"softmax"});
  }
}

// What is seen is felt: the values of a visible key that is no number are those of the output.
TEST(Unseen, OneWhoSeesAValueThatIsNoNumberGetsIt) {
  const attention::AttentionShape shape{.queries = 90, .keys = 90, .width = 5, .value_width = 6};
  Problem<float> problem = masked_problem<float>(reweighting::find_attention_form("softmax"), shape, kMasks[0]);
  problem.value.row(0, 0, kToken)[1] = std::numeric_limits<float>::quiet_NaN();
  for_each_simd_target([&] {
    Forward<float> found(problem);
    attention::attend(problem.input(), found.view(), 1);
    for (std::int64_t i = 0; i < shape.queries; ++i) {
      EXPECT_EQ(std::isnan(found.output.row(0, 0, i)[1]), i >= kToken) << i;
      EXPECT_FALSE(std::isnan(found.output.row(0, 0, i)[2])) << i;
      EXPECT_EQ(found.non_finite[i], 0) << i;  // which is about scores
    }
  });
}

}  // namespace
}  // namespace polariscope::testing
