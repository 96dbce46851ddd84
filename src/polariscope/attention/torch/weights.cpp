#include "polariscope/attention/oracle.h"
#include "polariscope/attention/torch/attend.h"
#include "polariscope/attention/torch/internal/arguments.h"

#include <ATen/ops/empty.h>

namespace polariscope::attention {

at::Tensor attention_weights(const at::Tensor& query, const at::Tensor& key, const AttendOptions& options) {
  const TensorArguments arguments{query.detach(), key.detach(), key.detach(), options};
  check(arguments);
  const TensorArguments plain = converted(arguments);
  const at::Tensor weights =
      at::empty({query.size(0), query.size(1), query.size(2), key.size(2)}, computed_type(arguments));
  if (weights.scalar_type() == at::kDouble) {
    oracle_weights(ArrayArguments<double>(plain).input(), weights.data_ptr<double>());
  } else {
    oracle_weights(ArrayArguments<float>(plain).input(), weights.data_ptr<float>());
  }
  return weights;
}

}  // namespace polariscope::attention
