// What the operator is called with: checked, converted, and seen as raw arrays.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/attention/torch/attend.h"

#include <string>
#include <vector>

namespace polariscope::attention {

using Names = std::vector<std::string>;
using Tensors = std::vector<at::Tensor>;

struct TensorArguments {
  at::Tensor query, key, value;
  AttendOptions options;
};

// Throws Error unless types, devices, layouts and, where known, shapes fit each other. any_device: else the CPU alone.
void check(const TensorArguments& arguments, bool any_device = false);

// float64 for float64, else float32.
at::ScalarType computed_type(const TensorArguments& arguments);

// In the type of the computation, the bias expanded to every row: in steps that autograd records.
TensorArguments converted(TensorArguments arguments);

// The form with its parameters. Throws Error for a name or a parameter that it does not have.
reweighting::AttentionForm form_of(const AttendOptions& options);

// Row arrays beside the statistics that can be asked for by name: columns' means, and what the backward pass
// needs of the forward.
bool is_differentiable(std::string_view statistic);
at::ScalarType type_of(std::string_view statistic, at::ScalarType computed);

// Throws Error for a name that is none of the form's arrays, or is there twice.
void check(const Names& statistics, const reweighting::AttentionForm& form);

// Points the gradient of the form's parameter of that name at [heads] numbers; false if it has none of that name.
template <class T>
bool point_at(typename AttentionGradient<T>::Parameters& to, std::string_view parameter, T* heads);

// Points the member of that name at the rows.
template <class T>
void point_at(AttentionOutput<T>& to, std::string_view statistic, const at::Tensor& rows);

// The tensor whose name is at the same place, or an undefined one.
at::Tensor named(const Names& names, const Tensors& tensors, std::string_view name);

template <class T>
HeadsView<T> heads_view(const at::Tensor& tensor);

// Uninitialised [batch, heads, rows, width], width apart as `like`: laid out as that is, so that rows of different
// heads stand side by side where a split projection has left them so.
at::Tensor empty_heads_like(const at::Tensor& like, const c10::SymInt& width, const at::TensorOptions& options);

// Rows of a contiguous width: itself, or a copy.
at::Tensor with_contiguous_width(const at::Tensor& tensor);

// Arguments as arrays, and the tensors that hold them.
template <class T>
class ArrayArguments {
 public:
  explicit ArrayArguments(const TensorArguments& converted);
  const AttentionInput<T>& input() const { return input_; }

 private:
  TensorArguments held_;
  AttentionInput<T> input_;
};

}  // namespace polariscope::attention
