// A value: its type (u32), then a number of its size, or a text; an array: the type of its values, their count (u64),
// the values. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "polariscope/checkpoints/internal/gguf_metadata.h"

#include <nlohmann/json.hpp>

namespace polariscope::checkpoints {
namespace {

using Json = nlohmann::json;

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

// Values of all arrays together: ten times the largest vocabulary with its merges. A JSON value takes sixteen bytes
// where the file may have one.
constexpr std::uint64_t kMostValues = 1 << 24;
constexpr int kDeepestArray = 4;

class MetadataReader {
 public:
  explicit MetadataReader(ByteReader& reader) : reader_(reader) {}

  Json all(std::uint64_t count) {
    Json metadata = Json::object();
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string key(reader_.text("a metadata key"));
      what_ = fmt::format("metadata \"{}\"", key);
      Json read = value(reader_.number<std::uint32_t>(what_), 0);
      if (!metadata.emplace(std::move(key), std::move(read)).second) {
        throw Error("{}: {} stands twice", reader_.where(), what_);
      }
    }
    return metadata;
  }

 private:
  Json value(std::uint32_t type, int depth) {
    switch (type) {
      case kUint8: return reader_.number<std::uint8_t>(what_);
      case kInt8: return reader_.number<std::int8_t>(what_);
      case kUint16: return reader_.number<std::uint16_t>(what_);
      case kInt16: return reader_.number<std::int16_t>(what_);
      case kUint32: return reader_.number<std::uint32_t>(what_);
      case kInt32: return reader_.number<std::int32_t>(what_);
      case kFloat32: return static_cast<double>(reader_.number<float>(what_));
      case kBool: return reader_.number<std::uint8_t>(what_) != 0;
      case kString: return std::string(reader_.text(what_));
      case kArray: return array(depth + 1);
      case kUint64: return reader_.number<std::uint64_t>(what_);
      case kInt64: return reader_.number<std::int64_t>(what_);
      case kFloat64: return reader_.number<double>(what_);
      default: break;
    }
    throw Error("{}: {} has a value of type {}, of which GGUF 3 has 0 to 12: the file is damaged", reader_.where(),
                what_, type);
  }

  Json array(int depth) {
    const auto type = reader_.number<std::uint32_t>(what_);
    const auto count = reader_.number<std::uint64_t>(what_);
    if (depth > kDeepestArray) {
      throw Error("{}: {} has arrays in arrays deeper than {}: the file is damaged", reader_.where(), what_,
                  kDeepestArray);
    }
    values_ += std::min(count, kMostValues + 1);
    if (values_ > kMostValues || count > reader_.left()) {
      throw Error("{}: {} is an array of {} values, but {} bytes of the file are left and {} values are allowed",
                  reader_.where(), what_, count, reader_.left(), kMostValues);
    }
    Json values = Json::array();
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(value(type, depth));
    return values;
  }

  ByteReader& reader_;
  std::string what_;          // of the value that is being read, for complaints
  std::uint64_t values_ = 0;  // of arrays so far
};

}  // namespace

Json read_gguf_metadata(ByteReader& reader, std::uint64_t count) { return MetadataReader(reader).all(count); }

}  // namespace polariscope::checkpoints
