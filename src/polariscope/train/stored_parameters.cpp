#include "polariscope/train/stored_parameters.h"

#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {
namespace {

std::vector<std::pair<std::string, at::Tensor>> checkpointed(const models::Model& model, const Optimiser& optimiser) {
  auto all = model.parameters().named_values();
  for (auto& [name, tensor] : optimiser.state()) all.emplace_back("optimiser." + name, tensor);
  return all;
}

StoredTensor stored(const std::string& name, const at::Tensor& tensor) {
  const Dtype dtype = tensor.scalar_type() == at::kLong     ? Dtype::kI64
                      : tensor.scalar_type() == at::kDouble ? Dtype::kF64
                                                            : Dtype::kF32;
  const auto* first = static_cast<const std::byte*>(tensor.data_ptr());
  return {.name = name,
          .dtype = dtype,
          .shape = tensor.sizes().vec(),
          .bytes = {first, static_cast<std::size_t>(tensor.nbytes())}};
}

}  // namespace

void store(const models::Model& model, const Optimiser& optimiser, Checkpoint& checkpoint) {
  for (const auto& [name, tensor] : checkpointed(model, optimiser)) {
    checkpoint.tensors.push_back(stored(name, tensor));
  }
}

void restore_from(const Safetensors& checkpoint, models::Model& model, Optimiser& optimiser) {
  for (const auto& [name, tensor] : checkpointed(model, optimiser)) {
    read_tensor(checkpoint, stored(name, tensor),
                {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())});
  }
}

}  // namespace polariscope::train
