// Which files a tokenizer is read from.
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/checkpoints/gguf.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/tokenizer_state.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <array>

namespace polariscope::tasks::text {

namespace fs = std::filesystem;

namespace {

// In the order of preference: what says most comes first.
constexpr std::array kNames = {"tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt", "tokenizer.bin"};

fs::path file_of(const fs::path& path) {
  if (!fs::exists(path)) throw Error("{}: there is no such file or folder", path.string());
  if (!fs::is_directory(path)) return path;
  for (const char* name : kNames) {
    if (fs::exists(path / name)) return path / name;
  }
  throw Error(
      "{} holds no tokenizer: expected tokenizer.json, vocab.json with merges.txt, tokenizer.model, vocab.txt or "
      "tokenizer.bin",
      path.string());
}

// tokenizer_config.json, or {} where there is none.
nlohmann::json config_beside(const fs::path& file, const char* name) {
  const fs::path path = file.parent_path() / name;
  if (!fs::exists(path)) return nlohmann::json::object();
  nlohmann::json config = parse_json(read_file(path), path.string());
  if (!config.is_object()) throw Error("{}: expected an object, found {}", path.string(), config.type_name());
  return config;
}

}  // namespace

struct TokenizerFiles {
  static Tokenizer made(TokenizerParts parts, std::uint64_t fingerprint, const std::string& name) {
    return Tokenizer(std::make_shared<const Tokenizer::State>(std::move(parts), fingerprint, name));
  }

  static Tokenizer open(const fs::path& path) {
    const fs::path file = file_of(path);
    const std::string where = file.string();
    const std::string name = file.filename().string();
    if (name.ends_with(".gguf")) return Tokenizer::from_gguf(checkpoints::Gguf(file).metadata(), where);
    const nlohmann::json map = config_beside(file, "special_tokens_map.json");
    const nlohmann::json config = config_beside(file, "tokenizer_config.json");
    const JsonNode map_node(map, (file.parent_path() / "special_tokens_map.json").string() + ": ");
    const JsonNode config_node(config, (file.parent_path() / "tokenizer_config.json").string() + ": ");
    std::string bytes;
    TokenizerParts parts;
    if (name == "vocab.json" || name == "merges.txt") {
      bytes = read_file(file.parent_path() / "vocab.json");
      const std::string merges = read_file(file.parent_path() / "merges.txt");
      parts = read_vocabulary_and_merges(bytes, merges, config_node.text_or("tokenizer_class", ""), where);
      bytes += merges;
    } else {
      bytes = read_file(file);
      if (name.ends_with(".json")) {
        parts = read_tokenizer_json(bytes, where);
      } else if (name.ends_with(".model")) {
        parts = read_sentencepiece(bytes, where);
      } else if (name.ends_with(".txt")) {
        parts = read_word_list(bytes, config_node.flag_or("do_lower_case", true), where);
      } else if (name.ends_with(".bin")) {
        parts = read_llama2c(bytes, where);
      } else {
        throw Error("{} is no tokenizer by its name: expected .json, .model, .txt, .bin or .gguf", where);
      }
    }
    for (const JsonNode& node : {map_node, config_node}) apply_config(parts, node);
    return made(std::move(parts), polariscope::fingerprint(bytes), where);
  }
};

Tokenizer Tokenizer::open(const fs::path& path) { return TokenizerFiles::open(path); }

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name) {
  return TokenizerFiles::made(read_tokenizer_json(json, name), polariscope::fingerprint(json), name);
}

Tokenizer Tokenizer::from_gguf(const nlohmann::json& metadata, const std::string& name) {
  TokenizerParts parts = read_gguf_metadata(metadata, name);
  std::string texts;
  for (const auto& [key, value] : metadata.items()) {
    if (key.starts_with("tokenizer."))
      texts += key + value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return TokenizerFiles::made(std::move(parts), polariscope::fingerprint(texts), name);
}

}  // namespace polariscope::tasks::text
