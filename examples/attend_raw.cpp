// Causal attention over raw arrays: output, statistics of its rows, and the gradient of a loss of both.
#include "polariscope/attention/attend.h"

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

int main() {
  using namespace polariscope::attention;
  const AttentionShape shape{
      .batch = 1, .heads = 2, .key_heads = 2, .queries = 128, .keys = 128, .width = 16, .value_width = 16};
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  const std::int64_t numbers = rows * shape.width;

  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> query(numbers), key(numbers), value(numbers);
  for (std::vector<float>* array : {&query, &key, &value}) {
    for (float& x : *array) x = 2 * normal(random);
  }

  // [batch, heads, rows, width] without gaps; other layouts differ in their strides alone.
  const auto view = [&]<class T>(T* data) {
    return HeadsView<T>{data, shape.heads * shape.queries * shape.width, shape.queries * shape.width, shape.width};
  };
  const auto constant = [&](const std::vector<float>& array) { return view(array.data()); };
  AttentionInput<float> input{.form = polariscope::reweighting::find_attention_form("softmax"),
                              .shape = shape,
                              .query = constant(query),
                              .key = constant(key),
                              .value = constant(value),
                              .scale = 1 / std::sqrt(16.0),
                              .causal = true,
                              .bias = {}};

  // Statistics whose array is null are not computed. shift, inverse and mass are for the backward pass.
  std::vector<float> output(numbers), entropy(rows), maximum(rows), shift(rows), inverse(rows), mass(rows);
  AttentionOutput<float> results{.output = view(output.data()), .statistics = {}};
  results.statistics.entropy = entropy.data();
  results.statistics.maximum = maximum.data();
  results.shift = shift.data();
  results.inverse = inverse.data();
  results.mass = mass.data();
  attend(input, results);

  for (std::int64_t head = 0; head < shape.heads; ++head) {
    double sum = 0, largest = 0;
    for (std::int64_t i = 0; i < shape.queries; ++i) {
      sum += entropy[head * shape.queries + i];
      largest += maximum[head * shape.queries + i];
    }
    std::printf("head %d: mean entropy %.2f nats, mean largest weight %.2f\n", static_cast<int>(head),
                sum / shape.queries, largest / shape.queries);
  }

  // loss = sum of the output - 0.1 · sum of the entropies: attention is kept from collapsing.
  const std::vector<float> d_output(numbers, 1.0F), d_entropy(rows, -0.1F);
  std::vector<float> d_query(numbers), d_key(numbers), d_value(numbers);
  attend_backward(
      input, results, constant(d_output), {.entropy = d_entropy.data()},
      {.query = view(d_query.data()), .key = view(d_key.data()), .value = view(d_value.data()), .bias = {}});
  double squares = 0;
  for (const float x : d_query) squares += x * x;
  std::printf("gradient of the queries: norm %.2f\n", std::sqrt(squares));
}
