// The components of tokenizer.json but for its model. https://github.com/huggingface/tokenizers, version 0.23.
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/charsmap.h"
#include "polariscope/tasks/text/internal/gpt2_cuts.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <array>

namespace polariscope::tasks::text {
namespace {

// Components that hold components; published ones nest twice.
constexpr int kDeepest = 8;
// Each hands its pieces to the next: a call within a call.
constexpr std::size_t kMostCuts = 100;
constexpr std::size_t kLongestContent = 256;

void check_depth(const JsonNode& node, int depth) {
  if (depth > kDeepest) throw Error("{} lies more than {} components deep", node.where(), kDeepest);
}

std::string from_base64(const JsonNode& node) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char digit : node.text()) {
    if (digit == '=') break;
    const std::size_t value = kDigits.find(digit);
    if (value == std::string_view::npos) throw Error("{} is not in base 64", node.where());
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(static_cast<unsigned char>(bits >> count & 0xFF)));
  }
  return bytes;
}

// {"String": …} or {"Regex": …}
struct ReadPattern {
  std::string text;
  bool is_regex;
};
ReadPattern read_pattern(const JsonNode& node) {
  node.allow({"String", "Regex"});
  const auto text = node.find("String");
  if (!text) return {node.at("Regex").text(), true};
  if (text->text().empty()) throw Error("{} is empty", text->where());
  return {text->text(), false};
}

Delimiter read_behaviour(const JsonNode& node) {
  const std::string& name = node.text();
  if (name == "Removed") return Delimiter::kRemoved;
  if (name == "Isolated") return Delimiter::kIsolated;
  if (name == "MergedWithPrevious") return Delimiter::kMergedWithPrevious;
  if (name == "MergedWithNext") return Delimiter::kMergedWithNext;
  if (name == "Contiguous") return Delimiter::kContiguous;
  node.refuse_type("behaviour", name, {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"});
}

std::string one_character(const JsonNode& node) {
  const std::string& text = node.text();
  if (text.empty() || code_point_at(text, 0).length != text.size()) {
    throw Error("{}: expected one character, found \"{}\"", node.where(), text);
  }
  return text;
}

NormalizerPart simple_normalizer(const JsonNode& node, const std::string& type) {
  if (type == "BertNormalizer") {
    node.allow({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
    const bool lowercase = node.flag_or("lowercase", true);
    return std::make_unique<BertNormalizer>(BertNormalizer::Options{
        .clean_text = node.flag_or("clean_text", true),
        .chinese = node.flag_or("handle_chinese_chars", true),
        .strip_accents = node.flag_or("strip_accents", lowercase),
        .lowercase = lowercase,
    });
  }
  if (type == "Replace") {
    node.allow({"type", "pattern", "content"});
    const auto [text, is_regex] = read_pattern(node.at("pattern"));
    const std::string& to = node.at("content").text();
    if (to.size() > kLongestContent) throw Error("{}: {} bytes replace one thing", node.where(), to.size());
    if (is_regex) return std::make_unique<ReplaceNormalizer>(SplitPattern(text, node.where()), to);
    return std::make_unique<ReplaceNormalizer>(text, to);
  }
  if (type == "Prepend") {
    node.allow({"type", "prepend"});
    return std::make_unique<PrependNormalizer>(node.at("prepend").text());
  }
  if (type == "Strip") {
    node.allow({"type", "strip_left", "strip_right"});
    return std::make_unique<StripNormalizer>(node.at("strip_left").flag(), node.at("strip_right").flag());
  }
  if (type == "Precompiled") {
    node.allow({"type", "precompiled_charsmap"});
    const JsonNode rules = node.at("precompiled_charsmap");
    return std::make_unique<PrecompiledNormalizer>(Charsmap(from_base64(rules), rules.where()));
  }
  const auto alone = [&](NormalizerPart part) {
    node.allow({"type"});
    return part;
  };
  if (type == "NFC") return alone(std::make_unique<UnicodeNormalizer>(UnicodeForm::kNfc));
  if (type == "NFD") return alone(std::make_unique<UnicodeNormalizer>(UnicodeForm::kNfd));
  if (type == "NFKC") return alone(std::make_unique<UnicodeNormalizer>(UnicodeForm::kNfkc));
  if (type == "NFKD") return alone(std::make_unique<UnicodeNormalizer>(UnicodeForm::kNfkd));
  if (type == "Lowercase") return alone(std::make_unique<CharacterNormalizer>(CharacterMap::kLowercase));
  if (type == "StripAccents") return alone(std::make_unique<CharacterNormalizer>(CharacterMap::kStripAccents));
  if (type == "Nmt") return alone(std::make_unique<CharacterNormalizer>(CharacterMap::kNmt));
  node.refuse_type("normalizer", type,
                   {"Sequence", "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt",
                    "Replace", "Prepend", "Strip", "Precompiled"});
}

// Appends to `parts`: sequences in sequences are one.
void add_normalizer(const JsonNode& node, int depth, std::vector<NormalizerPart>& parts) {
  check_depth(node, depth);
  const std::string& type = node.at("type").text();
  if (type != "Sequence") return parts.push_back(simple_normalizer(node, type));
  node.allow({"type", "normalizers"});
  for (const JsonNode& item : node.at("normalizers").items()) add_normalizer(item, depth + 1, parts);
}

using PreTokenizers = std::vector<PreTokenizerPart>;

// "prepend_scheme", or the older "add_prefix_space".
MetaspacePreTokenizer::Prepend read_scheme(const JsonNode& node) {
  const auto scheme = node.find("prepend_scheme");
  if (!scheme) {
    return node.flag_or("add_prefix_space", true) ? MetaspacePreTokenizer::Prepend::kAlways
                                                  : MetaspacePreTokenizer::Prepend::kNever;
  }
  if (scheme->text() == "always") return MetaspacePreTokenizer::Prepend::kAlways;
  if (scheme->text() == "first") return MetaspacePreTokenizer::Prepend::kFirst;
  if (scheme->text() == "never") return MetaspacePreTokenizer::Prepend::kNever;
  scheme->refuse_type("scheme", scheme->text(), {"always", "first", "never"});
}

// Appends to `parts`; `bytes` is whether what comes next sees GPT-2's characters.
void add_pre_tokenizer(const JsonNode& node, int depth, PreTokenizers& parts, bool& bytes) {
  check_depth(node, depth);
  const std::string& type = node.at("type").text();
  if (type == "Sequence") {
    node.allow({"type", "pretokenizers"});
    for (const JsonNode& item : node.at("pretokenizers").items()) add_pre_tokenizer(item, depth + 1, parts, bytes);
    if (parts.size() > kMostCuts) throw Error("{}: more than {} pre-tokenizers", node.where(), kMostCuts);
    return;
  }
  if (type == "ByteLevel") {
    node.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (bytes) throw Error("{}: bytes are made characters twice", node.where());
    if (node.at("add_prefix_space").flag()) parts.push_back(std::make_unique<PrefixSpacePreTokenizer>());
    if (node.flag_or("use_regex", true)) parts.push_back(isolated_matches(kGpt2Pattern, node.where()));
    parts.push_back(std::make_unique<ByteCharactersPreTokenizer>(false));
    bytes = true;
    return;
  }
  if (type == "Split") {
    node.allow({"type", "pattern", "behavior", "invert"});
    const auto [text, is_regex] = read_pattern(node.at("pattern"));
    const Delimiter behaviour = read_behaviour(node.at("behavior"));
    const bool invert = node.flag_or("invert", false);
    if (is_regex && behaviour == Delimiter::kIsolated && !invert) {
      parts.push_back(isolated_matches(text, node.where()));
    } else if (is_regex) {
      parts.push_back(std::make_unique<PatternPreTokenizer>(SplitPattern(text, node.where()), behaviour, invert));
    } else {
      parts.push_back(std::make_unique<StringPreTokenizer>(text, behaviour, invert));
    }
    return;
  }
  if (type == "Digits") {
    node.allow({"type", "individual_digits"});
    const auto behaviour = node.flag_or("individual_digits", false) ? Delimiter::kIsolated : Delimiter::kContiguous;
    parts.push_back(std::make_unique<ClassPreTokenizer>(is_numeric, behaviour));
    return;
  }
  if (type == "Punctuation") {
    node.allow({"type", "behavior"});
    const auto behaviour = node.find("behavior");
    parts.push_back(std::make_unique<ClassPreTokenizer>(is_punctuation,
                                                        behaviour ? read_behaviour(*behaviour) : Delimiter::kIsolated));
    return;
  }
  if (type == "Metaspace") {
    node.allow({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
    parts.push_back(std::make_unique<MetaspacePreTokenizer>(one_character(node.at("replacement")), read_scheme(node),
                                                            node.flag_or("split", true)));
    return;
  }
  if (type == "CharDelimiterSplit") {
    node.allow({"type", "delimiter"});
    parts.push_back(
        std::make_unique<StringPreTokenizer>(one_character(node.at("delimiter")), Delimiter::kRemoved, false));
    return;
  }
  if (type == "Whitespace") {
    parts.push_back(std::make_unique<WhitespacePreTokenizer>());
  } else if (type == "WhitespaceSplit" || type == "BertPreTokenizer") {
    parts.push_back(std::make_unique<ClassPreTokenizer>(is_white_space, Delimiter::kRemoved));
    if (type == "BertPreTokenizer") {
      parts.push_back(std::make_unique<ClassPreTokenizer>(is_punctuation, Delimiter::kIsolated));
    }
  } else {
    node.refuse_type("pre-tokenizer", type,
                     {"Sequence", "ByteLevel", "Split", "Digits", "Punctuation", "Metaspace", "CharDelimiterSplit",
                      "Whitespace", "WhitespaceSplit", "BertPreTokenizer"});
  }
  node.allow({"type"});
}

DecoderPart one_decoder(const JsonNode& node, int depth) {
  check_depth(node, depth);
  const std::string& type = node.at("type").text();
  if (type == "Sequence") {
    std::vector<DecoderPart> parts;
    for (const JsonNode& item : node.at("decoders").items()) parts.push_back(one_decoder(item, depth + 1));
    return std::make_unique<DecoderSequence>(std::move(parts));
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Replace") {
    const auto [text, is_regex] = read_pattern(node.at("pattern"));
    if (is_regex) throw Error("{}: a decoder that replaces what an expression matches is not read here", node.where());
    return std::make_unique<ReplaceDecoder>(text, node.at("content").text());
  }
  if (type == "Strip") {
    const auto count = [&](const char* key) {
      const std::int64_t value = node.at(key).whole();
      if (value < 0) throw Error("{}.{} is negative", node.where(), key);
      return static_cast<std::size_t>(value);
    };
    return std::make_unique<StripDecoder>(node.at("content").text(), count("start"), count("stop"));
  }
  if (type == "Metaspace") {
    return std::make_unique<MetaspaceDecoder>(one_character(node.at("replacement")),
                                              read_scheme(node) != MetaspacePreTokenizer::Prepend::kNever);
  }
  if (type == "WordPiece") {
    return std::make_unique<WordPieceDecoder>(node.at("prefix").text(), node.flag_or("cleanup", true));
  }
  if (type == "BPEDecoder") return std::make_unique<SuffixDecoder>(node.at("suffix").text());
  node.refuse_type(
      "decoder", type,
      {"Sequence", "ByteLevel", "ByteFallback", "Fuse", "Replace", "Strip", "Metaspace", "WordPiece", "BPEDecoder"});
}

// ["[SEP]", 102]
std::int32_t read_named_token(const JsonNode& node) {
  const auto items = node.items();
  if (items.size() != 2) throw Error("{}: expected a token and its number", node.where());
  return items[1].id();
}

void add_template(const JsonNode& node, TokenizerParts& parts) {
  node.allow({"type", "single", "pair", "special_tokens"});
  bool after_text = false;
  for (const JsonNode& item : node.at("single").items()) {
    item.allow({"SpecialToken", "Sequence"});
    if (const auto sequence = item.find("Sequence")) {
      if (after_text || sequence->at("id").text() != "A") {
        throw Error("{}: expected the text \"A\" once in the template of a single text", sequence->where());
      }
      after_text = true;
      continue;
    }
    const std::string& name = item.at("SpecialToken").at("id").text();
    for (const JsonNode& id : node.at("special_tokens").at(name).at("ids").items()) {
      (after_text ? parts.after : parts.before).push_back(id.id());
    }
  }
  if (!after_text) throw Error("{}.single has no place for the text", node.where());
}

void add_post_processor(const JsonNode& node, int depth, TokenizerParts& parts) {
  check_depth(node, depth);
  const std::string& type = node.at("type").text();
  if (type == "Sequence") {
    for (const JsonNode& item : node.at("processors").items()) add_post_processor(item, depth + 1, parts);
  } else if (type == "TemplateProcessing") {
    // Each wraps what the one before made.
    TokenizerParts inner;
    add_template(node, inner);
    parts.before.insert(parts.before.begin(), inner.before.begin(), inner.before.end());
    parts.after.insert(parts.after.end(), inner.after.begin(), inner.after.end());
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    node.allow({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    parts.before.insert(parts.before.begin(), read_named_token(node.at("cls")));
    parts.after.push_back(read_named_token(node.at("sep")));
  } else if (type != "ByteLevel") {  // that one moves offsets alone
    node.refuse_type("post-processor", type,
                     {"Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"});
  }
}

}  // namespace

NormalizerPart read_normalizer(const std::optional<JsonNode>& node) {
  if (!node) return nullptr;
  std::vector<NormalizerPart> parts;
  add_normalizer(*node, 0, parts);
  return std::make_unique<NormalizerSequence>(std::move(parts));
}

ReadPreTokenizer read_pre_tokenizer(const std::optional<JsonNode>& node) {
  if (!node) return {};
  PreTokenizers parts;
  ReadPreTokenizer read;
  add_pre_tokenizer(*node, 0, parts, read.bytes);
  if (read.bytes) {
    // The model takes bytes: characters were made for what follows alone.
    if (dynamic_cast<const ByteCharactersPreTokenizer*>(parts.back().get()) != nullptr) {
      parts.pop_back();
    } else {
      parts.push_back(std::make_unique<ByteCharactersPreTokenizer>(true));
    }
  }
  read.part = std::make_unique<PreTokenizerSequence>(std::move(parts));
  return read;
}

DecoderPart read_decoder(const std::optional<JsonNode>& node) { return node ? one_decoder(*node, 0) : nullptr; }

void read_post_processor(const std::optional<JsonNode>& node, TokenizerParts& parts) {
  if (node) add_post_processor(*node, 0, parts);
}

}  // namespace polariscope::tasks::text
