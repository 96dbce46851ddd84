// Eight bytes, the header's length; the header, {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
// "__metadata__": {"key": "text"}}; the tensors' bytes, to which the offsets refer. Numbers are little-endian.
#include "polariscope/base/safetensors.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <set>
#include <utility>

namespace polariscope {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kLongestHeader = 100'000'000;  // of the format

struct Range {
  std::size_t begin, end;
};

// --- writing ---

void check(std::span<const StoredTensor> tensors, const std::string& where) {
  std::set<std::string_view> names;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.name == kMetadata || !names.insert(tensor.name).second) {
      throw Error("{}: tensor \"{}\" needs a name of its own, other than \"{}\"", where, tensor.name, kMetadata);
    }
    if (tensor_bytes(tensor.dtype, tensor.shape) != tensor.bytes.size()) {
      throw Error("{}: tensor \"{}\" of shape [{}] and dtype {} has {} bytes: give as many as the shape needs", where,
                  tensor.name, fmt::join(tensor.shape, ", "), dtype_name(tensor.dtype), tensor.bytes.size());
    }
  }
}

std::vector<std::size_t> by_falling_size_of_numbers(std::span<const StoredTensor> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return dtype_bytes(tensors[a].dtype) > dtype_bytes(tensors[b].dtype);
  });
  return order;
}

std::string quoted(const std::string& text, const std::string& where) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    throw Error("{}: \"{}\" is not UTF-8: give names and metadata that are", where, text);
  }
}

std::string header_of(std::span<const StoredTensor> tensors, std::span<const Range> ranges,
                      const SafetensorsMetadata& metadata, const std::string& where) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, text] : metadata) texts.push_back(quoted(key, where) + ":" + quoted(text, where));
    entries.push_back(fmt::format("\"{}\":{{{}}}", kMetadata, fmt::join(texts, ",")));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(tensors[i].name, where), dtype_name(tensors[i].dtype),
                                  fmt::join(tensors[i].shape, ","), ranges[i].begin, ranges[i].end));
  }
  std::string header = fmt::format("{{{}}}", fmt::join(entries, ","));
  header.append((kAlignment - header.size() % kAlignment) % kAlignment, ' ');
  return header;
}

// --- reading ---

// Parses the header and lists the tensors' names in its order. A key that stands twice would silently win.
Json parse_header(std::string_view header, const std::string& where, std::vector<std::string>& names) {
  std::vector<std::set<std::string>> open_objects;
  const auto watch = [&](int /*depth*/, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) throw Error("{}: \"{}\" stands twice in the header", where, key);
      if (open_objects.size() == 1 && key != kMetadata) names.push_back(key);
    }
    return true;
  };
  try {
    if (header.starts_with('{')) return Json::parse(header, watch);
  } catch (const Json::exception&) {  // no JSON, or a number out of range
  }
  throw Error("{}: its header of {} bytes is not a JSON object: give a file in the safetensors format", where,
              header.size());
}

SafetensorsMetadata metadata_of(const Json& header, const std::string& where) {
  const auto found = header.find(kMetadata);
  if (found == header.end()) return {};
  const bool texts = found->is_object() &&
                     std::all_of(found->begin(), found->end(), [](const Json& item) { return item.is_string(); });
  if (!texts) throw Error("{}: \"{}\" is not an object of texts", where, kMetadata);
  return found->get<SafetensorsMetadata>();
}

// The list of whole numbers from 0 to 2^63 - 1 under `key`.
std::vector<std::int64_t> whole_numbers(const Json& entry, const char* key, const std::string& which) {
  const auto found = entry.find(key);
  const auto is_whole = [](const Json& item) {
    return item.is_number_unsigned() && item.get<std::uint64_t>() < 1ULL << 63;
  };
  if (found == entry.end() || !found->is_array() || !std::all_of(found->begin(), found->end(), is_whole)) {
    throw Error("{} has no \"{}\" that is a list of whole numbers from 0 to 2^63 - 1", which, key);
  }
  return found->get<std::vector<std::int64_t>>();
}

// What the header says of a tensor, whatever its dtype.
struct Description {
  std::string name, which;  // which: for complaints, the file and the name
  std::string dtype;
  std::vector<std::int64_t> shape;
  Range range;  // of the data
};

Description description_of(const std::string& name, const Json& entry, std::size_t data_bytes,
                           const std::string& where) {
  Description tensor{name, fmt::format("{}: tensor \"{}\"", where, name), {}, {}, {}};
  const std::string& which = tensor.which;
  if (!entry.is_object()) throw Error("{} is described by no JSON object", which);
  const auto type = entry.find("dtype");
  if (type == entry.end() || !type->is_string()) throw Error("{} has no \"dtype\" that is a text", which);
  tensor.dtype = type->get<std::string>();
  tensor.shape = whole_numbers(entry, "shape", which);
  const std::vector<std::int64_t> offsets = whole_numbers(entry, "data_offsets", which);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw Error("{} has data_offsets [{}], expected a begin and an end", which, fmt::join(offsets, ", "));
  }
  tensor.range = {static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(offsets[1])};
  if (tensor.range.end > data_bytes) {
    throw Error("{} ends at byte {} of the data, of which there are {}: the file is cut short or damaged", which,
                tensor.range.end, data_bytes);
  }
  return tensor;
}

std::span<const std::byte> bytes_of(const Description& described, std::string_view data) {
  const auto [begin, end] = described.range;
  return std::as_bytes(std::span(data.substr(begin, end - begin)));
}

StoredTensor tensor_of(const Description& described, Dtype dtype, std::string_view data) {
  const auto [begin, end] = described.range;
  if (tensor_bytes(dtype, described.shape) != end - begin) {
    throw Error("{} of shape [{}] and dtype {} has {} bytes, which is not what the shape needs", described.which,
                fmt::join(described.shape, ", "), dtype_name(dtype), end - begin);
  }
  return {described.name, dtype, described.shape, bytes_of(described, data)};
}

// Every byte of the data belongs to exactly one tensor.
void check_coverage(std::vector<Description> tensors, std::size_t data_bytes, const std::string& where) {
  std::erase_if(tensors, [](const Description& tensor) { return tensor.range.begin == tensor.range.end; });
  std::ranges::sort(tensors, {}, [](const Description& tensor) { return tensor.range.begin; });
  std::size_t covered = 0;
  for (const auto& [name, which, dtype, shape, range] : tensors) {
    if (range.begin != covered) {
      throw Error("{} begins at byte {} of the data, but the one before it ends at {}", which, range.begin, covered);
    }
    covered = range.end;
  }
  if (covered != data_bytes) {
    throw Error("{}: the last {} bytes of the data belong to no tensor", where, data_bytes - covered);
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const SafetensorsMetadata& metadata) {
  const std::string where = path.string();
  check(tensors, where);
  std::vector<Range> ranges(tensors.size());
  std::vector<std::string_view> pieces(2);  // the header's length and the header
  std::size_t offset = 0;
  for (const std::size_t i : by_falling_size_of_numbers(tensors)) {
    const std::span<const std::byte> bytes = tensors[i].bytes;
    ranges[i] = {offset, offset + bytes.size()};
    offset += bytes.size();
    pieces.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const std::string header = header_of(tensors, ranges, metadata, where);
  std::array<char, kLengthBytes> length{};
  const std::uint64_t header_bytes = header.size();
  std::memcpy(length.data(), &header_bytes, length.size());
  pieces[0] = {length.data(), length.size()};
  pieces[1] = header;
  write_file(path, pieces);
}

Safetensors::Safetensors(const std::filesystem::path& path) : file_(path), where_(path.string()) {
  const std::string& where = where_;
  const std::string_view bytes = file_.bytes();
  std::uint64_t length = 0;
  if (bytes.size() < kLengthBytes) {
    throw Error("{}: has {} bytes, of which a safetensors file needs {} for its header's length", where, bytes.size(),
                kLengthBytes);
  }
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > std::min(kLongestHeader, bytes.size() - kLengthBytes)) {
    throw Error(
        "{}: says that its header has {} bytes, but the file has {} and the format allows {}: give a whole file "
        "in the safetensors format",
        where, length, bytes.size(), kLongestHeader);
  }
  const std::string_view data = bytes.substr(kLengthBytes + length);
  std::vector<std::string> names;
  const Json header = parse_header(bytes.substr(kLengthBytes, length), where, names);
  metadata_ = metadata_of(header, where);
  std::vector<Description> described;
  for (const std::string& name : names) {
    const Description& tensor = described.emplace_back(description_of(name, header.at(name), data.size(), where));
    if (const auto dtype = dtype_named(tensor.dtype)) {
      tensors_.push_back(tensor_of(tensor, *dtype, data));
    } else {
      others_.push_back({name, tensor.dtype, tensor.shape, bytes_of(tensor, data)});
    }
  }
  check_coverage(std::move(described), data.size(), where);
}

const StoredTensor* Safetensors::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors_.begin(), tensors_.end(), [&](const StoredTensor& tensor) { return tensor.name == name; });
  if (found != tensors_.end()) return &*found;
  for (const OtherTensor& other : others_) {
    if (other.name == name) {
      throw Error("{}: tensor \"{}\" has dtype {}: known are {}", where_, name, Json(other.dtype).dump(),
                  known_dtypes());
    }
  }
  return nullptr;
}

}  // namespace polariscope
