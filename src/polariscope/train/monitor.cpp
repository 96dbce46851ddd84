#include "polariscope/train/monitor.h"

#include <cmath>
#include <utility>

namespace polariscope::train {
namespace {

// rows: [batch, heads, queries], contiguous. of_map(sum over the queries of one map, queries) is averaged over the
// batch, head by head.
template <class T, class OfMap>
std::vector<double> by_heads(const at::Tensor& rows, const OfMap& of_map) {
  const std::int64_t batch = rows.size(0), heads = rows.size(1), queries = rows.size(2);
  const T* at = rows.data_ptr<T>();
  std::vector<double> means(static_cast<std::size_t>(heads));
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < queries; ++i) sum += static_cast<double>(*at++);
      means[h] += of_map(sum, queries) / static_cast<double>(batch);
    }
  }
  return means;
}

template <class OfMap>
std::vector<double> by_heads(const at::Tensor& given, const OfMap& of_map) {
  const at::Tensor rows = given.detach().cpu().contiguous();
  return rows.scalar_type() == at::kDouble ? by_heads<double>(rows, of_map) : by_heads<float>(rows, of_map);
}

}  // namespace

const std::vector<std::string>& monitored_statistics() {
  static const std::vector<std::string> kNames{"entropy",   "sum_of_squares", "maximum",
                                               "first_key", "logit_variance", "row_sum"};
  return kNames;
}

LayerRecord layer_record(const attention::TensorStatistics& s) {
  const auto mean = [](double sum, std::int64_t count) { return sum / static_cast<double>(count); };
  const auto root = [](double sum, std::int64_t) { return std::sqrt(sum); };
  return {.entropy = by_heads(s.entropy, mean),
          .frobenius_norm = by_heads(s.sum_of_squares, root),
          .maximum = by_heads(s.maximum, mean),
          .first_key = by_heads(s.first_key, mean),
          .logit_variance = by_heads(s.logit_variance, mean),
          .row_sum = by_heads(s.row_sum, mean)};
}

std::vector<HeadNumbers> head_numbers(const std::vector<LayerRecord>& layers) {
  std::vector<HeadNumbers> numbers;
  for (const auto& [name, member] : kLayerNumbers) {
    std::vector<double> values;
    for (const LayerRecord& layer : layers) {
      const std::vector<double>& heads = layer.*member;
      values.insert(values.end(), heads.begin(), heads.end());
    }
    numbers.push_back({name, std::move(values)});
  }
  return numbers;
}

}  // namespace polariscope::train
