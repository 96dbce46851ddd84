#include "polariscope/train/probes.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace polariscope::train {
namespace {

double to_four_digits(double weight) { return std::round(weight * 1e4) / 1e4; }

}  // namespace

std::string probe_json(const models::Model& model, const at::Tensor& tokens,
                       const std::function<std::string(std::int64_t token)>& text_of, std::int64_t step) {
  const at::NoGradGuard guard;
  nlohmann::json layers = nlohmann::json::array();
  model.forward(tokens, {.statistics = {}, .see = [&](const models::LayerAttention& layer) {
                           nlohmann::json heads = nlohmann::json::array();
                           const at::Tensor weights = layer.weights().select(0, 0).to(at::kDouble).contiguous();
                           for (std::int64_t head = 0; head < weights.size(0); ++head) {
                             const at::Tensor map = weights.select(0, head);
                             nlohmann::json numbers = nlohmann::json::array();
                             const auto* number = map.data_ptr<double>();
                             for (std::int64_t i = 0; i < map.numel(); ++i)
                               numbers.push_back(to_four_digits(number[i]));
                             heads.push_back(std::move(numbers));
                           }
                           layers.push_back(std::move(heads));
                         }});
  nlohmann::json words = nlohmann::json::array();
  const auto* token = tokens.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) words.push_back(text_of(token[i]));
  return nlohmann::json{{"step", step}, {"sentences", {{{"tokens", std::move(words)}, {"layers", std::move(layers)}}}}}
      .dump();
}

}  // namespace polariscope::train
