#include "polariscope/tasks/text/token_index.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/xxh64.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>

namespace polariscope::tasks::text {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "polariscope tokens 1";

const char* name_of_numbers(std::int64_t token_bytes) { return token_bytes == 2 ? "uint16" : "uint32"; }

std::int64_t count_at(const ordered_json& json, const char* key) {
  const ordered_json& value = json.at(key);
  if (value.is_number_unsigned()) {
    const auto count = value.get<std::uint64_t>();
    if (count <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return static_cast<std::int64_t>(count);
  }
  throw Error("\"{}\" is {}: expected a count", key, value.is_number() ? value.dump() : value.type_name());
}

TokenIndex from_json(const ordered_json& json) {
  TokenIndex index;
  const auto format = json.at("format").get<std::string>();
  if (format != kFormat) throw Error("\"format\" is \"{}\": expected \"{}\"", format, kFormat);
  const auto numbers = json.at("numbers").get<std::string>();
  if (numbers != "uint16" && numbers != "uint32")
    throw Error("\"numbers\" is \"{}\": expected \"uint16\" or \"uint32\"", numbers);
  index.token_bytes = numbers == "uint16" ? 2 : 4;
  index.vocabulary = count_at(json, "vocabulary");
  index.tokens = count_at(json, "tokens");
  index.documents = count_at(json, "documents");
  index.bytes = count_at(json, "bytes");
  index.fingerprint = json.at("fingerprint").get<std::string>();
  index.tokenizer = json.at("tokenizer").get<std::string>();
  index.tokenizer_fingerprint = json.at("tokenizer_fingerprint").get<std::string>();
  if (const ordered_json& separator = json.at("separator"); !separator.is_null()) {
    index.separator = {count_at(separator, "token"), separator.at("text").get<std::string>()};
  }
  index.field = json.at("field").get<std::string>();
  index.rough_cuts = count_at(json, "rough_cuts");
  for (const ordered_json& shard : json.at("shards")) {
    index.shards.push_back(
        {shard.at("file").get<std::string>(), count_at(shard, "tokens"), shard.at("fingerprint").get<std::string>()});
  }
  for (const ordered_json& input : json.at("inputs")) {
    index.inputs.push_back({input.at("path").get<std::string>(), count_at(input, "bytes"), count_at(input, "documents"),
                            input.at("fingerprint").get<std::string>()});
  }
  return index;
}

// What the parts say together.
void check(const TokenIndex& index) {
  std::int64_t tokens = 0;
  for (const TokenIndex::Shard& shard : index.shards) {
    if (std::filesystem::path(shard.file).filename() != shard.file || shard.file.empty())
      throw Error("shard \"{}\": expected the name of a file beside the index", shard.file);
    if (shard.tokens > index.tokens - tokens) throw Error("its shards have more than its {} tokens", index.tokens);
    tokens += shard.tokens;
  }
  if (tokens != index.tokens) throw Error("its shards have {} tokens and it says {}", tokens, index.tokens);
  if (const std::string found = fingerprint_of(index); found != index.fingerprint) {
    throw Error("its fingerprint is {} and that of its shards {}", index.fingerprint, found);
  }
}

}  // namespace

std::string fingerprint_of(const TokenIndex& index) {
  Xxh64 hash;
  hash.add(fmt::format("{} {}\n", name_of_numbers(index.token_bytes), index.vocabulary));
  for (const TokenIndex::Shard& shard : index.shards) hash.add(fmt::format("{} {}\n", shard.tokens, shard.fingerprint));
  return fmt::format("{:016x}", hash.value());
}

ordered_json to_json(const TokenIndex& index) {
  ordered_json json{
      {"format", kFormat},
      {"numbers", name_of_numbers(index.token_bytes)},
      {"vocabulary", index.vocabulary},
      {"tokens", index.tokens},
      {"documents", index.documents},
      {"bytes", index.bytes},
      {"fingerprint", index.fingerprint},
      {"tokenizer", index.tokenizer},
      {"tokenizer_fingerprint", index.tokenizer_fingerprint},
      {"separator", nullptr},
      {"field", index.field},
      {"rough_cuts", index.rough_cuts},
      {"shards", ordered_json::array()},
      {"inputs", ordered_json::array()},
  };
  if (index.separator) json["separator"] = {{"token", index.separator->token}, {"text", index.separator->text}};
  for (const TokenIndex::Shard& shard : index.shards) {
    json["shards"].push_back({{"file", shard.file}, {"tokens", shard.tokens}, {"fingerprint", shard.fingerprint}});
  }
  for (const TokenIndex::Input& input : index.inputs) {
    json["inputs"].push_back({{"path", input.path},
                              {"bytes", input.bytes},
                              {"documents", input.documents},
                              {"fingerprint", input.fingerprint}});
  }
  return json;
}

TokenIndex parse_token_index(std::string_view json, const std::string& name) {
  try {
    TokenIndex index = from_json(ordered_json::parse(json));
    check(index);
    return index;
  } catch (const ordered_json::exception& error) {
    throw Error("{} is no index of tokens: {}", name, error.what());
  } catch (const Error& error) {
    throw Error("{} is no index of tokens: {}", name, error.what());
  }
}

TokenIndex read_token_index(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "index.json";
  if (!std::filesystem::exists(path)) {
    throw Error("{} holds no tokens (there is no index.json): expected a folder that polariscope tokenize wrote",
                folder.string());
  }
  return parse_token_index(read_file(path), path.string());
}

}  // namespace polariscope::tasks::text
