#include "polariscope/train/cls_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <deque>
#include <vector>

namespace polariscope::train {
namespace {

constexpr std::array<std::int64_t, 4> kSequences{0, 1, 2, 3};
constexpr double kLines = 50.0;

std::vector<double> numbers_of(const at::Tensor& tensor) {
  const at::Tensor numbers = tensor.to(at::kDouble).contiguous();
  return {numbers.data_ptr<double>(), numbers.data_ptr<double>() + numbers.numel()};
}

}  // namespace

ClsAttentionLog::ClsAttentionLog(const std::filesystem::path& path, std::int64_t last_step, const TaskBatches& task,
                                 std::int64_t steps)
    : batch_(task.batch(tasks::Split::kEvaluation, kSequences)), steps_(steps), log_(path, last_step) {}

bool ClsAttentionLog::wants(std::int64_t step) const {
  if (step <= 1 || step == steps_) return true;
  const auto line = [&](std::int64_t at) {
    return std::floor(kLines * std::log(static_cast<double>(at)) / std::log(static_cast<double>(steps_)));
  };
  return line(step) > line(step - 1);
}

void ClsAttentionLog::write(std::int64_t step, const models::Model& model) {
  const at::NoGradGuard guard;
  const std::int64_t length = batch_.tokens.size(1);
  std::deque<std::string> names{"label"};  // named by the lists below, so they must not move
  std::deque<std::vector<double>> values{{}};
  const at::Tensor logits =
      model.forward(batch_.tokens, {.see = [&](const models::LayerAttention& layer) {
                      const at::Tensor weights = layer.weights();  // [sequences, heads, length, length]
                      for (std::int64_t head = 0; head < weights.size(1); ++head) {
                        names.push_back(fmt::format("layer{}_head{}", layer.layer + 1, head + 1));
                        values.push_back(numbers_of(weights.select(1, head).select(1, length - 1)));
                      }
                    }});
  values.front() = numbers_of(logits.select(1, length - 1).argmax(1));
  std::vector<runs::NamedNumbers> lists{{names.front(), values.front(), 0}};
  for (std::size_t row = 1; row < names.size(); ++row) {
    lists.push_back({names[row], values[row], static_cast<std::size_t>(length)});
  }
  log_.write(step, {}, lists);
}

}  // namespace polariscope::train
