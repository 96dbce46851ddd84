#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/readers.h"

#include <fmt/format.h>

namespace polariscope::tasks::text {
namespace {

AddedToken read_added_token(const JsonNode& node, std::int32_t id) {
  node.allow({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  const bool special = node.flag_or("special", false);
  return {.content = node.at("content").text(),
          .id = id,
          .special = special,
          .single_word = node.flag_or("single_word", false),
          .left_strip = node.flag_or("lstrip", false),
          .right_strip = node.flag_or("rstrip", false),
          .normalized = node.flag_or("normalized", !special)};
}

// Refuses a number that another token has, or another number for a token of the model.
void add_token(TokenizerParts& parts, AddedToken token, const std::string& where) {
  if (token.content.empty()) return;  // found nowhere
  for (AddedToken& known : parts.added) {
    if (known.content == token.content && known.id == token.id) {
      known = std::move(token);
      return;
    }
    if (known.content == token.content || known.id == token.id) {
      throw Error("{}: tokens \"{}\" (number {}) and \"{}\" (number {}) are two", where, readable(known.content),
                  known.id, readable(token.content), token.id);
    }
  }
  const auto in_model = parts.vocabulary->find(token.content);
  if (in_model && *in_model != token.id) {
    throw Error("{}: token \"{}\" has number {} here and {} in the model", where, readable(token.content), token.id,
                *in_model);
  }
  if (parts.vocabulary->has(token.id) && parts.vocabulary->text(token.id) != token.content) {
    throw Error("{}: number {} is token \"{}\" here and \"{}\" in the model", where, token.id, readable(token.content),
                readable(parts.vocabulary->text(token.id)));
  }
  parts.added.push_back(std::move(token));
}

// "Sequence(NFC, Replace)" of a component and those in it.
std::string outline(const std::optional<JsonNode>& node, const char* list) {
  if (!node) return "none";
  std::string text = node->at("type").text();
  if (const auto items = node->find(list)) {
    std::string inner;
    for (const JsonNode& item : items->items()) inner += (inner.empty() ? "" : ", ") + outline(item, list);
    text += "(" + inner + ")";
  }
  return text;
}

// A name, or a token's description.
std::optional<std::string> token_name(const std::optional<JsonNode>& node) {
  if (!node) return std::nullopt;
  return node->is_text() ? node->text() : node->at("content").text();
}

}  // namespace

std::optional<std::int32_t> find_token(const TokenizerParts& parts, std::string_view text) {
  for (const AddedToken& token : parts.added) {
    if (token.content == text) return token.id;
  }
  return parts.vocabulary->find(text);
}

TokenizerParts read_tokenizer_json(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  const JsonNode root(json, where + ": ");
  if (!json.is_object()) throw Error("{}: expected an object, found {}", where, json.type_name());
  // Truncation and padding are the caller's, as they are transformers': what a file says of them is of its last use.
  for (const auto& [key, member] : json.items()) {
    static const std::vector<std::string> kKnown{"version",        "truncation", "padding",
                                                 "added_tokens",   "normalizer", "pre_tokenizer",
                                                 "post_processor", "decoder",    "model"};
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      throw Error("{}: \"{}\" is not understood, and it may change the ids", where, key);
    }
  }
  TokenizerParts parts;
  ReadPreTokenizer cuts = read_pre_tokenizer(root.find("pre_tokenizer"));
  parts.pre_tokenizer = std::move(cuts.part);
  parts.normalizer = read_normalizer(root.find("normalizer"));
  parts.decoder = read_decoder(root.find("decoder"));
  read_model(root.at("model"), cuts.bytes, text.size(), parts);
  if (const auto added = root.find("added_tokens")) {
    if (added->array().size() > kMostAddedTokens) {
      throw Error("{}: {} added tokens: at most {} are read", where, added->array().size(), kMostAddedTokens);
    }
    for (const JsonNode& item : added->items()) {
      const std::int32_t id = item.at("id").id();
      if (static_cast<std::size_t>(id) >= text.size()) {
        throw Error("{}: {} is out of range: the file has {} bytes", item.where(), id, text.size());
      }
      add_token(parts, read_added_token(item, id), item.where());
    }
  }
  read_post_processor(root.find("post_processor"), parts);
  if (!parts.before.empty()) parts.bos = parts.before.front();
  if (!parts.after.empty()) parts.eos = parts.after.back();
  parts.how = fmt::format("normalizer {}, pre-tokenizer {}", outline(root.find("normalizer"), "normalizers"),
                          outline(root.find("pre_tokenizer"), "pretokenizers"));
  return parts;
}

void apply_config(TokenizerParts& parts, const JsonNode& config) {
  if (const auto added = config.find("added_tokens_decoder")) {
    for (const auto& [number, value] : added->object().items()) {
      const JsonNode token(value, added->where() + "." + number);
      if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != std::string::npos) {
        throw Error("{} is no number of a token", token.where());
      }
      const auto id = static_cast<std::int32_t>(std::stol(number));
      // The tokenizer's own file knows better how a token is looked for.
      if (find_token(parts, token.at("content").text()) == id &&
          std::any_of(parts.added.begin(), parts.added.end(),
                      [&](const AddedToken& known) { return known.id == id; })) {
        continue;
      }
      if (parts.added.size() >= kMostAddedTokens)
        throw Error("{}: more than {} tokens", added->where(), kMostAddedTokens);
      add_token(parts, read_added_token(token, id), token.where());
    }
  }
  const auto set = [&](const char* key, std::optional<std::int32_t>& id) {
    const auto name = token_name(config.find(key));
    if (!name) return;
    // A name that is no token is one that transformers would add: this model has none for it.
    if (const auto found = find_token(parts, *name)) id = found;
  };
  set("bos_token", parts.bos);
  set("eos_token", parts.eos);
  set("unk_token", parts.unk);
  set("pad_token", parts.pad);
  const auto surround = [&](const char* key, const std::optional<std::int32_t>& id, std::vector<std::int32_t>& place) {
    const auto wanted = config.find(key);
    if (!wanted) return;
    if (!wanted->flag()) {
      if (id && place == std::vector<std::int32_t>{*id}) place.clear();
    } else if (place.empty()) {
      if (!id) throw Error("{} is true, but no token is named for it", wanted->where());
      place.push_back(*id);
    }
  };
  surround("add_bos_token", parts.bos, parts.before);
  surround("add_eos_token", parts.eos, parts.after);
}

}  // namespace polariscope::tasks::text
