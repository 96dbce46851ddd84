// ./dev bench accuracy: errors of single-precision attention and its statistics, as the table of docs/numerics.md.
#include "polariscope/attention/attend.h"
#include "polariscope/attention/oracle/oracle.h"
#include "polariscope/base/error.h"
#include "polariscope/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace polariscope::bench {
namespace {

constexpr int kRows = 48;
constexpr std::array<std::int64_t, 5> kKeys{17, 64, 257, 1024, 4096};
constexpr std::array<std::uint64_t, 3> kSeeds{1, 2, 3};

// Query i of an exact kind is the i-th unit vector and its scores are the i-th entries of the keys, which no product
// rounds: what is measured is what comes after the scores. The others have scores of 64 products each.
struct Kind {
  const char* name;
  double size;  // standard deviation of the scores
  bool exact, outlier, constant;
};
constexpr std::array kKinds{
    Kind{"logits of 0.01", 0.01, true, false, false},
    Kind{"of 1", 1.0, true, false, false},
    Kind{"of 10⁴", 1e4, true, false, false},
    Kind{"one outlier, 30", 1.0, true, true, false},
    Kind{"constant, 3", 0.0, true, false, true},
    Kind{"of 1, products", 1.0, false, false, false},
    Kind{"of 10⁴, products", 1e4, false, false, false},
};

template <class T>
struct Statistic {
  const char* name;
  T* attention::RowStatistics<T>::*array;
};
template <class T>
constexpr std::array kStatistics{
    Statistic<T>{"entropy", &attention::RowStatistics<T>::entropy},
    Statistic<T>{"sum_of_squares", &attention::RowStatistics<T>::sum_of_squares},
    Statistic<T>{"maximum", &attention::RowStatistics<T>::maximum},
    Statistic<T>{"first_key", &attention::RowStatistics<T>::first_key},
    Statistic<T>{"row_sum", &attention::RowStatistics<T>::row_sum},
    Statistic<T>{"log_sum_exp", &attention::RowStatistics<T>::log_sum_exp},
    Statistic<T>{"logit_mean", &attention::RowStatistics<T>::logit_mean},
    Statistic<T>{"logit_variance", &attention::RowStatistics<T>::logit_variance},
    Statistic<T>{"logit_maximum", &attention::RowStatistics<T>::logit_maximum},
    Statistic<T>{"skewness", &attention::RowStatistics<T>::skewness},
};
constexpr std::size_t kQuantities = 1 + kStatistics<float>.size();  // the output comes first

const char* quantity_name(std::size_t n) { return n == 0 ? "output" : kStatistics<float>[n - 1].name; }

struct Problem {
  std::int64_t keys, width;
  double scale;
  std::vector<float> query, key, value;

  Problem(const Kind& kind, std::int64_t count, std::uint64_t seed)
      : keys(count), width(kind.exact ? kRows : 64), scale(kind.exact ? 1.0 : kind.size / 8.0) {
    RandomStream random(seed, count);
    query.assign(kRows * width, 0.0F);
    key.resize(keys * width);
    value.resize(keys * kRows);
    for (float& x : value) x = static_cast<float>(random.normal());
    for (float& x : key) x = static_cast<float>(kind.constant ? 3.0 : random.normal() * (kind.exact ? kind.size : 1.0));
    for (std::int64_t i = 0; i < kRows; ++i) {
      if (kind.exact) query[i * width + i] = 1.0F;
      if (kind.outlier) key[static_cast<std::int64_t>(random.below(keys)) * width + i] = 30.0F;
    }
    for (float& x : query) {
      if (!kind.exact) x = static_cast<float>(random.normal());
    }
  }
};

template <class T>
using Results = std::array<std::vector<T>, kQuantities>;

// Calls run(input, output) with the problem in numbers of type T.
template <class T, class Run>
Results<T> results_of(const Problem& problem, const reweighting::AttentionForm& form, const Run& run) {
  const std::vector<T> query(problem.query.begin(), problem.query.end());
  const std::vector<T> key(problem.key.begin(), problem.key.end());
  const std::vector<T> value(problem.value.begin(), problem.value.end());
  Results<T> results;
  results[0].resize(kRows * kRows);
  attention::AttentionOutput<T> output{.output = {results[0].data(), 0, 0, kRows}, .statistics = {}};
  for (std::size_t n = 1; n < kQuantities; ++n) {
    results[n].resize(kRows);
    output.statistics.*kStatistics<T>[n - 1].array = results[n].data();
  }
  const attention::AttentionInput<T> input{
      .form = form,
      .shape = {.queries = kRows, .keys = problem.keys, .width = problem.width, .value_width = kRows},
      .query = {query.data(), 0, 0, problem.width},
      .key = {key.data(), 0, 0, problem.width},
      .value = {value.data(), 0, 0, kRows},
      .scale = problem.scale,
      .bias = {}};
  run(input, output);
  return results;
}

// The largest |found - right| in units of 2^-23 of the largest |right|: of any, or of 1 for what is a logarithm or a
// ratio; first_key is a weight like maximum, and is measured by that.
template <class T>
double error_of(std::size_t quantity, const Results<T>& found, const Results<double>& right) {
  const std::string name = quantity_name(quantity);
  double largest = name == "entropy" || name == "log_sum_exp" || name == "skewness" ? 1.0 : 0.0;
  const std::size_t scale = name == "first_key" ? quantity - 1 : quantity;
  for (const double x : right[scale]) largest = std::max(largest, std::abs(x));
  double off = 0.0;
  for (std::size_t i = 0; i < right[quantity].size(); ++i) {
    const double apart = std::abs(static_cast<double>(found[quantity][i]) - right[quantity][i]);
    off = apart <= off ? off : apart;
  }
  return off == 0.0 ? 0.0 : off / (largest * std::numeric_limits<float>::epsilon());
}

std::string cell(double error) {
  if (!(error < 1e6)) return fmt::format("{:.1e}", error);
  return error < 9.95 ? fmt::format("{:.1f}", error) : fmt::format("{:.0f}", error);
}

int bench_accuracy(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "softmax";
  if (argc > 2 || name.starts_with('-')) {
    fmt::print(
        "bench_accuracy [ATTENTION]: errors of single-precision attention and its statistics, against double "
        "precision.\n"
        "Prints ours / naive single precision's, in units of 2^-23 of the largest number of each array.\n\n"
        "Examples:\n  ./dev bench accuracy\n  ./dev bench accuracy sigmoid/sum\n");
    return name == "--help" || name == "-h" ? 0 : 2;
  }
  const reweighting::AttentionForm& form = reweighting::find_attention_form(name);
  std::array<std::array<std::array<double, 2>, kQuantities>, kKinds.size()> errors{};
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    for (const std::int64_t keys : kKeys) {
      for (const std::uint64_t seed : kSeeds) {
        const Problem problem(kKinds[k], keys, seed);
        const auto right =
            results_of<double>(problem, form, [](const auto& i, const auto& o) { attention::oracle_attend(i, o); });
        const auto naive =
            results_of<float>(problem, form, [](const auto& i, const auto& o) { attention::oracle_attend(i, o); });
        const auto ours =
            results_of<float>(problem, form, [](const auto& i, const auto& o) { attention::attend(i, o, 1); });
        for (std::size_t n = 0; n < kQuantities; ++n) {
          std::array<double, 2>& at = errors[k][n];
          at[0] = std::max(at[0], error_of(n, ours, right));
          at[1] = std::max(at[1], error_of(n, naive, right));
        }
      }
    }
  }

  fmt::print("| {} |", form.name);
  for (const Kind& kind : kKinds) fmt::print(" {} |", kind.name);
  fmt::print("\n|---|");
  for (std::size_t k = 0; k < kKinds.size(); ++k) fmt::print("---|");
  fmt::print("\n");
  for (std::size_t n = 0; n < kQuantities; ++n) {
    fmt::print("| `{}` |", quantity_name(n));
    for (const auto& kind : errors) fmt::print(" {} / {} |", cell(kind[n][0]), cell(kind[n][1]));
    fmt::print("\n");
  }
  return 0;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  try {
    return polariscope::bench::bench_accuracy(argc, argv);
  } catch (const polariscope::Error& error) {
    fmt::print(stderr, "bench_accuracy: {}\n", error.what());
    return 2;
  }
}
