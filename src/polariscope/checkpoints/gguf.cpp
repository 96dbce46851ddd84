// "GGUF", version (u32), counts of tensors and of metadata (u64), the metadata, the tensors' descriptions (name, number
// of dimensions, dimensions, type, offset), a gap up to a multiple of the alignment, the tensors' bytes, to which the
// offsets refer. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "polariscope/checkpoints/gguf.h"

#include "polariscope/checkpoints/internal/byte_reader.h"
#include "polariscope/checkpoints/internal/gguf_metadata.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace polariscope::checkpoints {
namespace {

constexpr std::uint32_t kMostDimensions = 4;            // of ggml
constexpr std::uint64_t kSmallestDescription = 24;      // of a tensor without a name or dimensions
constexpr std::uint64_t kSmallestMetadata = 8 + 4 + 1;  // an empty key and a byte
constexpr std::uint64_t kUsualAlignment = 32;
constexpr std::uint64_t kLargestAlignment = 1 << 20;

// By ggml's numbers (enum ggml_type); those missing were given up (Q4_2, Q4_3, the interleaved Q4_0 and IQ4_NL).
const std::map<std::uint32_t, TensorType> kGgmlTypes = {
    {0, TensorType::kF32},     {1, TensorType::kF16},    {2, TensorType::kQ40},     {3, TensorType::kQ41},
    {6, TensorType::kQ50},     {7, TensorType::kQ51},    {8, TensorType::kQ80},     {9, TensorType::kQ81},
    {10, TensorType::kQ2K},    {11, TensorType::kQ3K},   {12, TensorType::kQ4K},    {13, TensorType::kQ5K},
    {14, TensorType::kQ6K},    {15, TensorType::kQ8K},   {16, TensorType::kIq2Xxs}, {17, TensorType::kIq2Xs},
    {18, TensorType::kIq3Xxs}, {19, TensorType::kIq1S},  {20, TensorType::kIq4Nl},  {21, TensorType::kIq3S},
    {22, TensorType::kIq2S},   {23, TensorType::kIq4Xs}, {24, TensorType::kI8},     {25, TensorType::kI16},
    {26, TensorType::kI32},    {27, TensorType::kI64},   {28, TensorType::kF64},    {29, TensorType::kIq1M},
    {30, TensorType::kBf16},   {34, TensorType::kTq10},  {35, TensorType::kTq20},   {39, TensorType::kMxfp4},
    {40, TensorType::kNvfp4},  {41, TensorType::kQ10},
};

struct Description {
  Tensor tensor;  // without its bytes
  std::uint64_t offset = 0, bytes = 0;
};

void check_version(ByteReader& reader) {
  const std::string& where = reader.where();
  if (reader.left() < 4 || reader.take(4, "") != "GGUF") {
    throw Error("{}: does not begin with \"GGUF\": give a file in that format", where);
  }
  const auto version = reader.number<std::uint32_t>("the version");
  if (version != 0 && (version & 0xFFFFU) == 0) {
    throw Error("{}: is a GGUF file for big-endian machines: convert it to little-endian with gguf_convert_endian.py",
                where);
  }
  if (version != 2 && version != 3) {
    throw Error("{}: is of version {} of GGUF; 2 and 3 are read: convert the model anew", where, version);
  }
}

void check_count(std::uint64_t count, std::uint64_t smallest, std::string_view what, const ByteReader& reader) {
  if (count > reader.left() / smallest) {
    throw Error("{}: says that it has {} {}, for which its {} bytes have no room: the file is cut short or damaged",
                reader.where(), count, what, reader.left());
  }
}

Description read_description(ByteReader& reader) {
  Description read;
  read.tensor.name = reader.text("a tensor's name");
  const std::string what = fmt::format("tensor \"{}\"", read.tensor.name);
  const auto dimensions = reader.number<std::uint32_t>(what);
  if (dimensions > kMostDimensions) {
    throw Error("{}: {} has {} dimensions; GGUF has {} at most: the file is damaged", reader.where(), what, dimensions,
                kMostDimensions);
  }
  std::vector<std::uint64_t> innermost_first;
  for (std::uint32_t i = 0; i < dimensions; ++i) innermost_first.push_back(reader.number<std::uint64_t>(what));
  // One of more than 63 bits turns negative, which no size fits.
  read.tensor.shape.assign(innermost_first.rbegin(), innermost_first.rend());
  const auto type = reader.number<std::uint32_t>(what);
  const auto known = kGgmlTypes.find(type);
  if (known == kGgmlTypes.end()) {
    throw Error("{}: {} has ggml's type {}, which is not known: convert the model to one of {}", reader.where(), what,
                type, read_types());
  }
  read.tensor.type = known->second;
  read.offset = reader.number<std::uint64_t>(what);
  const auto bytes = bytes_needed(read.tensor.type, read.tensor.shape);
  if (!bytes) {
    throw Error("{}: {} has shape [{}], which no tensor of type {} has: rows are whole blocks of {} numbers",
                reader.where(), what, fmt::join(innermost_first.rbegin(), innermost_first.rend(), ", "),
                type_name(read.tensor.type), block_of(read.tensor.type).numbers);
  }
  read.bytes = static_cast<std::uint64_t>(*bytes);
  return read;
}

std::uint64_t alignment_of(const nlohmann::json& metadata, const std::string& where) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kUsualAlignment;
  const std::uint64_t alignment = found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > kLargestAlignment) {
    throw Error("{}: metadata \"general.alignment\" is no power of two up to {}: the file is damaged", where,
                kLargestAlignment);
  }
  return alignment;
}

void check_places(std::vector<const Description*> tensors, std::uint64_t alignment, std::uint64_t data_bytes,
                  const std::string& where) {
  std::set<std::string_view> names;
  for (const Description* described : tensors) {
    const std::string& name = described->tensor.name;
    if (!names.insert(name).second) throw Error("{}: tensor \"{}\" stands twice", where, name);
    if (described->offset % alignment != 0) {
      throw Error("{}: tensor \"{}\" begins at byte {} of the data, which is no multiple of {}: the file is damaged",
                  where, name, described->offset, alignment);
    }
    if (described->offset > data_bytes || described->bytes > data_bytes - described->offset) {
      throw Error(
          "{}: tensor \"{}\" has {} bytes from byte {} of the data on, of which there are {}: the file is cut short or "
          "damaged",
          where, name, described->bytes, described->offset, data_bytes);
    }
  }
  std::ranges::sort(tensors, {},
                    [](const Description* described) { return std::pair(described->offset, described->bytes); });
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i - 1]->offset + tensors[i - 1]->bytes > tensors[i]->offset) {
      throw Error("{}: tensors \"{}\" and \"{}\" share bytes: the file is damaged", where, tensors[i - 1]->tensor.name,
                  tensors[i]->tensor.name);
    }
  }
}

}  // namespace

Gguf::Gguf(const std::filesystem::path& path) : file_(path) {
  ByteReader reader(file_.bytes(), path.string());
  check_version(reader);
  const auto tensor_count = reader.number<std::uint64_t>("the number of tensors");
  const auto metadata_count = reader.number<std::uint64_t>("the number of metadata");
  check_count(tensor_count, kSmallestDescription, "tensors", reader);
  check_count(metadata_count, kSmallestMetadata, "metadata", reader);
  metadata_ = std::make_shared<const nlohmann::json>(read_gguf_metadata(reader, metadata_count));

  std::vector<Description> described;
  for (std::uint64_t i = 0; i < tensor_count; ++i) described.push_back(read_description(reader));
  const std::uint64_t alignment = alignment_of(*metadata_, reader.where());
  const std::uint64_t gap = (alignment - reader.position() % alignment) % alignment;
  // Without tensors there need be no gap.
  const std::string_view data = file_.bytes().substr(reader.position() + std::min<std::uint64_t>(gap, reader.left()));
  std::vector<const Description*> all;
  for (const Description& each : described) all.push_back(&each);
  check_places(std::move(all), alignment, data.size(), reader.where());
  for (Description& each : described) {
    each.tensor.bytes = std::as_bytes(std::span(data.substr(each.offset, each.bytes)));
    tensors_.push_back(std::move(each.tensor));
  }
}

}  // namespace polariscope::checkpoints
