#include "polariscope/train/stored_parameters.h"

#include <memory>
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
    const at::Tensor here = tensor.cpu();  // of the CPU's it is the tensor itself
    checkpoint.tensors.push_back(stored(name, here));
    if (!here.is_same(tensor)) checkpoint.copies.push_back(std::make_shared<at::Tensor>(here));
  }
}

void restore_from(const Safetensors& checkpoint, models::Model& model, Optimiser& optimiser) {
  for (const auto& [name, tensor] : checkpointed(model, optimiser)) {
    const at::Tensor here = tensor.cpu();
    read_tensor(checkpoint, stored(name, here),
                {static_cast<std::byte*>(here.data_ptr()), static_cast<std::size_t>(here.nbytes())});
    if (!here.is_same(tensor)) at::Tensor(tensor).copy_(here);
  }
}

}  // namespace polariscope::train
