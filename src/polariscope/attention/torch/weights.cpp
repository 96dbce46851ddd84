#include "polariscope/attention/weights.h"

#include "polariscope/attention/torch/attend.h"
#include "polariscope/attention/torch/internal/arguments.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

namespace polariscope::attention {
namespace {

template <class T>
void write_weights(const TensorArguments& arguments, const at::Tensor& weights) {
  attention_weights(ArrayArguments<T>(arguments).input(), 0, weights.size(2), weights.data_ptr<T>(),
                    at::get_num_threads());
}

}  // namespace

at::Tensor attention_weights(const at::Tensor& query, const at::Tensor& key, const AttendOptions& options) {
  TensorArguments arguments{query.detach().cpu(), key.detach().cpu(), key.detach().cpu(), options};
  AttendOptions& o = arguments.options;
  for (at::Tensor* tensor : {&o.bias, &o.slopes, &o.sink, &o.key_lengths, &o.learned}) {
    if (tensor->defined()) *tensor = tensor->cpu();
  }
  check(arguments);
  const TensorArguments plain = converted(arguments);
  const at::ScalarType type = computed_type(arguments);
  const at::Tensor weights = at::empty({query.size(0), query.size(1), query.size(2), key.size(2)}, type);
  type == at::kDouble ? write_weights<double>(plain, weights) : write_weights<float>(plain, weights);
  return weights;
}

}  // namespace polariscope::attention
