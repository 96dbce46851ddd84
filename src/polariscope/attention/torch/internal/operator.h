// The operators' kernels, and how they are called through PyTorch's dispatcher.
#pragma once

#include "polariscope/attention/torch/internal/arguments.h"

namespace polariscope::attention {

// The output and then the statistics, in the order of their names.
Tensors forward_on_cpu(const TensorArguments& arguments, const Names& statistics);
Tensors forward_on_meta(const TensorArguments& arguments, const Names& statistics);
Tensors forward_with_autograd(const TensorArguments& arguments, const Names& statistics);
Tensors call_forward(const TensorArguments& arguments, const Names& statistics);

struct BackwardArguments {
  TensorArguments forward;
  at::Tensor output;
  at::Tensor d_output;  // undefined: zero
  Names saved_names;    // what the forward pass wrote of the rows
  Tensors saved;
  Names d_names;  // statistics that have a gradient
  Tensors d_statistics;
  Names wanted;  // of query, key, value, bias, sink
};

// Gradients in the order of `wanted`; the bias's is never broadcast.
Tensors backward_on_cpu(const BackwardArguments& arguments);
Tensors backward_on_meta(const BackwardArguments& arguments);
Tensors call_backward(const BackwardArguments& arguments);

}  // namespace polariscope::attention
