// A kind of training in one file: queries learn, by gradient descent, which of fixed keys has the value they want.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/train/trainable.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::train {

struct RecallOptions {
  std::string attention = "softmax";
  std::int64_t tokens = 8, steps = 200;
  double learning_rate = 2.0;
  std::uint64_t seed = 0;
};

// Query i wants the value of key i + 1, the last one that of the first. Loss: mean square over tokens and width.
class RecallTraining final : public Trainable {
 public:
  explicit RecallTraining(const RecallOptions& options)
      : options_(options), form_(reweighting::find_attention_form(options.attention)) {
    if (options.tokens < 2) throw Error("recall needs at least 2 tokens, found {}", options.tokens);
    for (const auto& [stream, numbers] : {std::pair{0, &query_}, std::pair{1, &key_}, std::pair{2, &value_}}) {
      RandomStream random(options.seed, stream);
      numbers->resize(static_cast<std::size_t>(options.tokens * kWidth));
      for (float& number : *numbers) number = static_cast<float>(random.normal());
    }
  }

  runs::MapShape maps() const override { return runs::map_shape(1, 1, static_cast<int>(options_.tokens), false); }
  std::int64_t steps() const override { return options_.steps; }

  StepNumbers advance() override {
    StepNumbers numbers{.step = step_ + 1, .heads = {}};
    std::vector<float> gradient(query_.size());
    numbers.loss = loss(&numbers, &gradient);
    numbers.gradient_norm = std::sqrt(std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0));
    numbers.update_norm = options_.learning_rate * numbers.gradient_norm;
    if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.gradient_norm)) return numbers;
    const auto rate = static_cast<float>(options_.learning_rate);
    for (std::size_t i = 0; i < query_.size(); ++i) query_[i] -= rate * gradient[i];
    ++step_;
    return numbers;
  }

  Checkpoint checkpoint() const override {
    return {
        .tensors = {{.name = "query", .shape = {options_.tokens, kWidth}, .bytes = std::as_bytes(std::span(query_))}},
        .metadata = {}};
  }
  void restore(const Safetensors& checkpoint, std::int64_t step) override {
    read_tensor(checkpoint, this->checkpoint().tensors.front(), std::as_writable_bytes(std::span(query_)));
    step_ = step;
  }

  std::string finish(const std::filesystem::path&, nlohmann::ordered_json& result) override {
    result["loss"] = loss(nullptr, nullptr);
    return fmt::format("loss {:.4g}", result["loss"].get<double>());
  }

 private:
  static constexpr std::int64_t kWidth = 4;

  template <class T>
  static attention::HeadsView<T> rows(T* data) {
    return {.data = data, .row_stride = kWidth};
  }

  // Also what the head did and the gradient of the queries, where they are wanted.
  double loss(StepNumbers* numbers, std::vector<float>* gradient) const {
    const auto tokens = static_cast<std::size_t>(options_.tokens);
    const attention::AttentionInput<float> input{
        .form = form_,
        .shape = {.queries = options_.tokens, .keys = options_.tokens, .width = kWidth, .value_width = kWidth},
        .query = rows(query_.data()),
        .key = rows(key_.data()),
        .value = rows(value_.data()),
        .scale = 1.0 / std::sqrt(kWidth),
        .bias = {}};
    std::vector<float> out(query_.size()), d_out(query_.size()), shift(tokens), inverse(tokens);
    std::vector<float> entropy(tokens), squares(tokens), variance(tokens);
    attention::AttentionOutput<float> output{.output = rows(out.data()), .statistics = {}};
    output.shift = shift.data();
    output.inverse = inverse.data();
    output.statistics = {
        .entropy = entropy.data(), .sum_of_squares = squares.data(), .logit_variance = variance.data()};
    attention::attend(input, output, 1);

    double sum = 0.0;
    const auto count = static_cast<double>(out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double off = out[i] - value_[(i + kWidth) % out.size()];
      sum += off * off;
      d_out[i] = static_cast<float>(2.0 * off / count);
    }
    if (numbers != nullptr) {
      const auto total = [](const std::vector<float>& row) { return std::accumulate(row.begin(), row.end(), 0.0); };
      numbers->heads = {{"entropy", {total(entropy) / tokens}},
                        {"frobenius_norm", {std::sqrt(total(squares))}},
                        {"logit_variance", {total(variance) / tokens}}};
    }
    if (gradient != nullptr) {
      attention::attend_backward<float>(input, output, rows<const float>(d_out.data()), {},
                                        {.query = rows(gradient->data()), .key = {}, .value = {}, .bias = {}}, 1);
    }
    return sum / count;
  }

  RecallOptions options_;
  reweighting::AttentionForm form_;
  std::vector<float> query_, key_, value_;
  std::int64_t step_ = 0;
};

}  // namespace polariscope::train
