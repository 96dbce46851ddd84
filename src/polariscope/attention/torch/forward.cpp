// The forward pass on the CPU.
#include "polariscope/attention/torch/internal/operator.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

namespace polariscope::attention {
namespace {

template <class T>
Tensors forward(const TensorArguments& arguments, const Names& statistics) {
  const ArrayArguments<T> arrays(arguments);
  const AttentionInput<T>& input = arrays.input();
  const AttentionShape& shape = input.shape;
  const at::TensorOptions numbers = arguments.query.options();
  Tensors results{empty_heads_like(arguments.query, shape.value_width, numbers)};
  AttentionOutput<T> output;
  output.output = heads_view<T>(results[0]);
  at::Tensor column_means, shift, inverse;
  for (const std::string& name : statistics) {
    const bool columns = name == "column_means";
    results.push_back(at::empty({shape.batch, shape.heads, columns ? shape.keys : shape.queries},
                                numbers.dtype(type_of(name, numbers.dtype().toScalarType()))));
    if (columns) {
      column_means = results.back();
    } else {
      point_at(output, name, results.back());
    }
  }
  if (column_means.defined()) {
    for (const auto& [tensor, member] : {std::pair{&shift, &output.shift}, std::pair{&inverse, &output.inverse}}) {
      if (*member != nullptr) continue;
      *tensor = at::empty({shape.batch, shape.heads, shape.queries}, numbers);
      *member = tensor->template data_ptr<T>();
    }
  }
  const int threads = at::get_num_threads();
  attend(input, output, threads);
  if (column_means.defined()) {
    attend_columns(input, output.shift, output.inverse, column_means.data_ptr<T>(), threads);
  }
  return results;
}

}  // namespace

Tensors compute_forward(const TensorArguments& arguments, const Names& statistics) {
  return computed_type(arguments) == at::kDouble ? forward<double>(arguments, statistics)
                                                 : forward<float>(arguments, statistics);
}

Tensors forward_on_cpu(const TensorArguments& given, const Names& statistics) {
  check(given);
  check(statistics, form_of(given.options));
  Tensors results = compute_forward(converted(given), statistics);
  results[0] = results[0].to(given.query.scalar_type());
  return results;
}

}  // namespace polariscope::attention
