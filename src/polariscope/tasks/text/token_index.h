// index.json of a folder of token shards: what is in it and where it came from. docs/tokenizers.md
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

// A file beside index.json: the texts of all tokens by number, a list. Of bytes there is none.
inline constexpr std::string_view kTokenTexts = "texts.json";

struct TokenIndex {
  struct Shard {
    std::string file;  // a name in the folder
    std::int64_t tokens = 0;
    std::string fingerprint;  // XXH64 of its bytes
  };
  struct Input {
    std::string path;  // as it was given, "standard input"
    std::int64_t bytes = 0, documents = 0;
    std::string fingerprint = {};  // XXH64 of its bytes
  };
  struct Separator {
    std::int64_t token = 0;
    std::string text;
  };

  std::int64_t token_bytes = 2;  // of a number: 2 or 4, unsigned, little-endian
  std::int64_t vocabulary = 0;   // one above the largest number that the tokenizer may give
  std::int64_t tokens = 0;       // of all shards
  std::int64_t documents = 0;
  std::int64_t bytes = 0;   // of text that became tokens
  std::string fingerprint;  // of all tokens: fingerprint_of()
  std::string tokenizer, tokenizer_fingerprint;
  std::optional<Separator> separator;  // between documents
  std::string field;                   // that was read of lines of JSON; "" where there was none
  // Places at which a text too long for one piece was cut although its tokens there may be others in the whole text.
  std::int64_t rough_cuts = 0;
  std::vector<Shard> shards;
  std::vector<Input> inputs;
};

// Of the width and vocabulary of its numbers and of all shards' sizes and fingerprints, in hexadecimal digits.
std::string fingerprint_of(const TokenIndex& index);

nlohmann::ordered_json to_json(const TokenIndex& index);

// Of what index.json holds. Throws Error, begun with `name`, for anything else and for what contradicts itself.
TokenIndex parse_token_index(std::string_view json, const std::string& name);
// That of `folder`. Throws Error where there is none, too.
TokenIndex read_token_index(const std::filesystem::path& folder);

}  // namespace polariscope::tasks::text
