// The backward pass on the CPU.
#include "polariscope/attention/torch/internal/operator.h"
#include "polariscope/base/error.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace polariscope::attention {
namespace {

template <class T>
RowStatisticsGradient<T> gradients_of_statistics(const Names& names, const Tensors& contiguous) {
  RowStatisticsGradient<T> gradients;
  const std::pair<std::string_view, const T**> members[] = {
      {"entropy", &gradients.entropy},
      {"sum_of_squares", &gradients.sum_of_squares},
      {"maximum", &gradients.maximum},
      {"first_key", &gradients.first_key},
      {"first_visible_key", &gradients.first_visible_key},
      {"log_sum_exp", &gradients.log_sum_exp},
      {"logit_mean", &gradients.logit_mean},
      {"logit_variance", &gradients.logit_variance},
  };
  for (const auto& [name, member] : members) {
    if (const at::Tensor rows = named(names, contiguous, name); rows.defined()) *member = rows.data_ptr<T>();
  }
  return gradients;
}

// The parts of one projection, [batch, rows, 3, heads, width], whose gradients lie as they do: then they are that
// projection's gradient without a copy. Empty where query, key and value lie otherwise.
Tensors projected_like(const TensorArguments& a) {
  const at::Tensor& q = a.query;
  if (q.numel() == 0 || a.key.sizes() != q.sizes() || a.value.sizes() != q.sizes()) return {};
  const std::int64_t heads = q.size(1), rows = q.size(2), width = q.size(3);
  const std::int64_t stride = 3 * heads * width;
  std::int64_t part = 0;
  for (const at::Tensor* one : {&a.query, &a.key, &a.value}) {
    if (one->strides() != at::IntArrayRef({rows * stride, width, stride, 1})) return {};
    if (!one->is_alias_of(q) || one->storage_offset() != q.storage_offset() + part++ * heads * width) return {};
  }
  const at::Tensor all = at::empty({q.size(0), rows, 3, heads, width}, q.options());
  Tensors parts;
  for (part = 0; part < 3; ++part) parts.push_back(all.select(2, part).transpose(1, 2));
  return parts;
}

template <class T>
Tensors backward(const BackwardArguments& a) {
  const ArrayArguments<T> arrays(a.forward);
  const AttentionShape& shape = arrays.input().shape;
  const at::TensorOptions numbers = a.forward.query.options();

  AttentionOutput<T> forward;
  const at::Tensor output = with_contiguous_width(a.output);
  forward.output = heads_view<T>(output);
  for (std::size_t i = 0; i < a.saved.size(); ++i) point_at(forward, a.saved_names[i], a.saved[i]);

  // A row of zeros that every row shares, where only statistics have a gradient.
  const at::Tensor d_output = a.d_output.defined()
                                  ? with_contiguous_width(a.d_output)
                                  : at::zeros({shape.value_width}, numbers)
                                        .expand({shape.batch, shape.heads, shape.queries, shape.value_width});
  Tensors d_statistics;
  for (const at::Tensor& rows : a.d_statistics) d_statistics.push_back(rows.contiguous());

  // Arrays of no rows have no address, so nothing is computed: what came of them is zero.
  const bool any_rows = shape.batch * shape.heads * shape.queries > 0;
  const auto make = [&](at::IntArrayRef sizes) {
    return any_rows ? at::empty(sizes, numbers) : at::zeros(sizes, numbers);
  };
  const Tensors parts = projected_like(a.forward);
  AttentionGradient<T> gradient;
  Tensors results;
  for (const std::string& name : a.wanted) {
    if (name == "sink") {
      results.push_back(make({shape.heads}));
      gradient.sink = results.back().data_ptr<T>();
      continue;
    }
    if (name == "bias") {
      results.push_back(make({shape.batch, shape.heads, shape.queries, shape.keys}));
      gradient.bias = heads_view<T>(results.back());
      continue;
    }
    if (at::Tensor heads; point_at<T>(gradient.parameters, name, nullptr)) {
      heads = make({shape.heads});
      point_at(gradient.parameters, name, heads.data_ptr<T>());
      results.push_back(heads);
      continue;
    }
    const bool of_query = name == "query", of_key = name == "key";
    const at::Tensor& like = of_query ? a.forward.query : of_key ? a.forward.key : a.forward.value;
    results.push_back(parts.empty() ? make(like.sizes()) : parts[of_query ? 0 : of_key ? 1 : 2]);
    (of_query ? gradient.query : of_key ? gradient.key : gradient.value) = heads_view<T>(results.back());
  }
  if (!any_rows) return results;
  attend_backward(arrays.input(), forward, heads_view<const T>(d_output),
                  gradients_of_statistics<T>(a.d_names, d_statistics), gradient, at::get_num_threads());
  return results;
}

}  // namespace

Tensors compute_backward(const BackwardArguments& a) {
  return computed_type(a.forward) == at::kDouble ? backward<double>(a) : backward<float>(a);
}

Tensors backward_on_cpu(const BackwardArguments& given) {
  check(given.forward);
  BackwardArguments a = given;
  a.forward = converted(given.forward);
  if (a.saved.size() != a.saved_names.size() || a.d_statistics.size() != a.d_names.size()) {
    throw Error("attend_backward: expected as many row arrays as names of row arrays");
  }
  return compute_backward(a);
}

}  // namespace polariscope::attention
