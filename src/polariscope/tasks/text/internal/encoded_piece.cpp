#include "polariscope/tasks/text/internal/encoded_piece.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace polariscope::tasks::text {
namespace {

// The text of `field` in a line.
std::string text_in(std::string_view line, const std::string& field, const std::string& name, std::int64_t number) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    throw Error("{}, line {}: expected an object of JSON, found {}", name, number,
                object.is_discarded() ? "something else" : object.type_name());
  }
  const auto found = object.find(field);
  if (found == object.end()) {
    throw Error("{}, line {}: the object has no \"{}\": choose the field that holds its text", name, number, field);
  }
  if (!found->is_string()) {
    throw Error("{}, line {}: \"{}\" is of type {}: expected a text", name, number, field, found->type_name());
  }
  return std::move(found->get_ref<std::string&>());
}

// What a tokenizer has no token for is known by its place.
template <class Encode>
auto at_place(const std::string& place, const Encode& encode) {
  try {
    return encode();
  } catch (const Error& error) {
    throw Error("{}: {}", place, error.what());
  }
}

}  // namespace

EncodedPiece encoded(const TextPiece& piece, const TextEncoder& encoder, const std::string& field,
                     const std::string& name) {
  EncodedPiece result;
  if (!piece.is_lines) {
    if (piece.begins_document) result.begins.push_back(0);
    result.bytes = static_cast<std::int64_t>(piece.bytes.size() - piece.context);
    const bool same = at_place(name, [&] { return encoder.encode_after(piece.bytes, piece.context, result.ids); });
    result.rough = piece.rough || !same;
    return result;
  }
  std::int64_t number = piece.first_line;
  for (std::string_view rest = piece.bytes; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string text = text_in(line, field, name, number);
    result.begins.push_back(result.ids.size());
    result.bytes += static_cast<std::int64_t>(text.size());
    at_place(fmt::format("{}, line {}", name, number), [&] { encoder.encode(text, result.ids); });
  }
  return result;
}

}  // namespace polariscope::tasks::text
