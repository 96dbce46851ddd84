// The operators' kernels, and the ways to them: PyTorch's dispatcher, or none for callers in C++.
#pragma once

#include "polariscope/attention/torch/internal/arguments.h"

namespace polariscope::attention {

// All return the output and then the statistics, in the order of their names. The dispatcher's kernels check what they
// are given, each being a way in of its own: graphs and tensors without autograd come to the CPU's at once.
Tensors forward_on_cpu(const TensorArguments& arguments, const Names& statistics);
Tensors forward_on_meta(const TensorArguments& arguments, const Names& statistics);
Tensors forward_with_autograd(const TensorArguments& arguments, const Names& statistics);

// In LibTorch's own operators, on the device of arguments that are checked and converted(); autograd sees each.
Tensors forward_in_plain_operators(const TensorArguments& arguments, const Names& statistics);

// Through the dispatcher.
Tensors call_forward(const TensorArguments& arguments, const Names& statistics);

// Checks, records and computes without the dispatcher, for callers in C++.
Tensors forward_from_cpp(const TensorArguments& arguments, const Names& statistics);

// The pass itself, of arguments that are checked and converted().
Tensors compute_forward(const TensorArguments& arguments, const Names& statistics);

struct BackwardArguments {
  TensorArguments forward;
  at::Tensor output;
  at::Tensor d_output;  // undefined: zero
  Names saved_names;    // what the forward pass wrote of the rows
  Tensors saved;
  Names d_names;  // statistics that have a gradient
  Tensors d_statistics;
  Names wanted;  // of query, key, value, bias, sink and the form's parameters
};

// Gradients in the order of `wanted`; the bias's is never broadcast, a parameter's is [heads].
Tensors backward_on_cpu(const BackwardArguments& arguments);
Tensors backward_on_meta(const BackwardArguments& arguments);
Tensors call_backward(const BackwardArguments& arguments);
Tensors compute_backward(const BackwardArguments& arguments);

}  // namespace polariscope::attention
