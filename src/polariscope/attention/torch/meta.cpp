// Shapes and types of what the operators return, for tensors without data (compilers, tracers).
#include "polariscope/attention/torch/internal/operator.h"

#include <ATen/ops/empty.h>

namespace polariscope::attention {

Tensors forward_on_meta(const TensorArguments& a, const Names& statistics) {
  const c10::SymInt batch = a.query.sym_size(0), heads = a.query.sym_size(1), queries = a.query.sym_size(2);
  const at::TensorOptions options = a.query.options();
  Tensors results{empty_heads_like(a.query, a.value.sym_size(3), options)};
  for (const std::string& name : statistics) {
    const c10::SymInt rows = name == "column_means" ? a.key.sym_size(2) : queries;
    results.push_back(at::empty_symint({batch, heads, rows}, options.dtype(type_of(name, computed_type(a)))));
  }
  return results;
}

Tensors backward_on_meta(const BackwardArguments& a) {
  const at::Tensor &query = a.forward.query, &key = a.forward.key;
  const at::TensorOptions options = query.options().dtype(computed_type(a.forward));
  Tensors results;
  for (const std::string& name : a.wanted) {
    if (AttentionGradient<float>::Parameters none; name == "sink" || point_at<float>(none, name, nullptr)) {
      results.push_back(at::empty_symint({query.sym_size(1)}, options));  // a number a head
    } else if (name == "bias") {
      results.push_back(
          at::empty_symint({query.sym_size(0), query.sym_size(1), query.sym_size(2), key.sym_size(2)}, options));
    } else {
      const at::Tensor& like = name == "query" ? query : name == "key" ? key : a.forward.value;
      results.push_back(at::empty_symint(like.sym_sizes(), options));
    }
  }
  return results;
}

}  // namespace polariscope::attention
