#include "polariscope/checkpoints/internal/safetensors_tensors.h"

#include "polariscope/base/error.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace polariscope::checkpoints {
namespace {

Tensor tensor_of(const OtherTensor& other, const std::string& where) {
  const auto type = type_named(other.dtype);
  if (!type) {
    throw Error("{}: tensor \"{}\" has dtype {}, which the safetensors format did not know in version 0.8.0", where,
                other.name, nlohmann::json(other.dtype).dump());
  }
  const auto needed = bytes_needed(*type, other.shape);
  if (needed != static_cast<std::int64_t>(other.bytes.size())) {
    throw Error("{}: tensor \"{}\" of shape [{}] and dtype {} has {} bytes, which is not what the shape needs", where,
                other.name, fmt::join(other.shape, ", "), other.dtype, other.bytes.size());
  }
  return {other.name, *type, other.shape, other.bytes};
}

}  // namespace

void add_tensors(const Safetensors& file, const std::string& where, std::vector<Tensor>& tensors) {
  for (const StoredTensor& stored : file.tensors()) {
    tensors.push_back({stored.name, *type_named(dtype_name(stored.dtype)), stored.shape, stored.bytes});
  }
  for (const OtherTensor& other : file.others()) tensors.push_back(tensor_of(other, where));
}

}  // namespace polariscope::checkpoints
