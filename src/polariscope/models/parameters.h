// A model's numbers in one flat tensor: one optimiser step, one file. The model computes with views of it.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::models {

// How a parameter begins; PyTorch's defaults.
enum class Start {
  kNormal,   // N(0, deviation²): embeddings, and the matrices of language models
  kUniform,  // U(-bound, bound), bound = 1/√fan_in: linear layers
  kOnes,
  kZeros,
};

// One tensor that the model computes with. Several names share one: theirs are its parts along the first dimension, in
// order.
struct ParameterSpec {
  std::vector<std::string> names;
  std::vector<std::int64_t> shape;  // of the whole tensor
  Start start = Start::kZeros;
  double bound = 0.0;                    // of kUniform
  bool trained = true;                   // whether the loss depends on it: one that it does not is left as it starts
  double deviation = 1.0;                // of kNormal
  std::vector<std::int64_t> parts = {};  // rows of each name; empty: equal ones
};

class Parameters {
 public:
  // Drawn from `seed`, each name from a stream of its own: other options of a model do not change a layer's start.
  // type: float32 or float64; both start from the same numbers, on every device. Throws Error for more than the machine
  // can hold.
  Parameters(std::vector<ParameterSpec> specs, at::ScalarType type, std::uint64_t seed, at::Device device = at::kCPU);

  // A leaf of autograd over part of values(), its gradient over the same part of gradients(). Throws Error for a
  // name that no spec begins with.
  const at::Tensor& tensor(const std::string& first_name) const;
  bool has(const std::string& first_name) const;
  const ParameterSpec& spec(const std::string& first_name) const;  // throws likewise
  std::span<const ParameterSpec> specs() const { return specs_; }

  // [count] of those that are trained.
  at::Tensor values() const { return values_.narrow(0, 0, trained_); }
  at::Tensor gradients() const { return gradients_.narrow(0, 0, trained_); }
  // [count] of those that are not.
  at::Tensor untrained() const { return values_.narrow(0, trained_, values_.numel() - trained_); }
  void clear_gradients() { gradients_.zero_(); }

  // Every name, trained or not, with its values or gradients, shaped as one would expect; in order of the specs.
  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  Named named_values() const { return named(values_); }
  Named named_gradients() const { return named(gradients_); }

 private:
  Named named(const at::Tensor& flat) const;
  std::size_t index_of(const std::string& first_name) const;

  std::vector<ParameterSpec> specs_;
  std::vector<std::int64_t> offsets_;
  std::vector<at::Tensor> tensors_;
  at::Tensor values_, gradients_;  // trained ones first
  std::int64_t trained_ = 0;
};

}  // namespace polariscope::models
