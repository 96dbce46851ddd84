// The safetensors format: named tensors as plain bytes after a header of JSON.
#pragma once

#include "polariscope/base/mapped_file.h"
#include "polariscope/base/stored_tensor.h"

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

using SafetensorsMetadata = std::map<std::string, std::string>;

// Writes as write_file does, without a copy of the tensors' bytes. The header names the tensors in the given order;
// their bytes lie by falling size of their numbers, so that each number is aligned without gaps, which the format
// forbids. Throws Error for a shape that disagrees with its bytes, a name that is given twice, is "__metadata__" or is
// not UTF-8, and where the file cannot be written.
void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const SafetensorsMetadata& metadata = {});

// A tensor of a dtype that StoredTensor does not know (8-bit floats, complex numbers, ...), its bytes as they lie.
struct OtherTensor {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

// A file whose tensors stay where they are: bytes are read from the disk when they are touched.
class Safetensors {
 public:
  // Checks the whole header. Throws Error, with the tensor's name, for a file that cannot be read or is malformed:
  // cut short, no JSON, a shape that disagrees with its bytes, bytes of two tensors or of none.
  explicit Safetensors(const std::filesystem::path& path);

  // Those of a known dtype, in the header's order. Their bytes live as long as this object or a copy of it.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // Those of other dtypes, which are no reason to refuse the rest of the file. Whether the bytes are as many as the
  // shape needs is for who knows the dtype.
  const std::vector<OtherTensor>& others() const { return others_; }
  // Null where there is none of that name. Throws Error for one of another dtype.
  const StoredTensor* find(std::string_view name) const;
  const SafetensorsMetadata& metadata() const { return metadata_; }

 private:
  MappedFile file_;
  std::vector<StoredTensor> tensors_;
  std::vector<OtherTensor> others_;
  std::string where_;
  SafetensorsMetadata metadata_;
};

}  // namespace polariscope
