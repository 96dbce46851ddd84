// The model of tokenizer.json. https://github.com/huggingface/tokenizers, version 0.23.
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/bpe.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/unigram.h"
#include "polariscope/tasks/text/internal/word_piece.h"

#include <cmath>

namespace polariscope::tasks::text {
namespace {

std::shared_ptr<const Vocabulary> read_vocabulary(const JsonNode& node, std::size_t limit) {
  auto vocabulary = std::make_shared<Vocabulary>(node.where(), limit);
  for (const auto& [text, id] : node.object().items()) {
    if (!id.is_number_integer()) {
      throw Error("{}: token \"{}\" has {} for its number", node.where(), readable(text), id.type_name());
    }
    vocabulary->add(text, id.is_number_unsigned() && id.get<std::uint64_t>() > limit ? -1 : id.get<std::int64_t>());
  }
  return vocabulary;
}

// "a b" or ["a", "b"]: with 100,000 of them no way to each is written out before it is needed.
std::vector<BpeMerge> read_merges(const JsonNode& node, const Vocabulary& vocabulary, const std::string& prefix) {
  std::vector<BpeMerge> merges;
  for (const auto& merge : node.array()) {
    const auto refuse = [&](std::string_view what) { throw Error("{}[{}] {}", node.where(), merges.size(), what); };
    std::string left;
    std::string right;
    if (merge.is_string()) {
      const auto& line = merge.get_ref<const std::string&>();
      const std::size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos) {
        refuse("is not two tokens with a space between them: \"" + readable(line) + "\"");
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else {
      refuse("is not two tokens");
    }
    if (right.size() < prefix.size()) refuse("joins \"" + readable(right) + "\", which does not continue a word");
    const std::string joined = left + right.substr(prefix.size());
    const auto id_of = [&](const std::string& token) {
      const auto id = vocabulary.find(token);
      if (!id) refuse("has \"" + readable(token) + "\", which is no token of the vocabulary");
      return *id;
    };
    merges.push_back({id_of(left), id_of(right), static_cast<std::uint32_t>(merges.size()), id_of(joined)});
  }
  return merges;
}

void read_bpe(const JsonNode& node, bool bytes, std::size_t limit, TokenizerParts& parts) {
  node.allow({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
              "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const auto dropout = node.find("dropout"); dropout && dropout->number() != 0) {
    throw Error("{}: with dropout the ids of a text are random", node.where());
  }
  parts.vocabulary = read_vocabulary(node.at("vocab"), limit);
  BpeOptions options{.bytes = bytes,
                     .byte_fallback = node.flag_or("byte_fallback", false),
                     .fuse_unknown = node.flag_or("fuse_unk", false),
                     .whole_words_first = node.flag_or("ignore_merges", false),
                     .continuing_prefix = node.text_or("continuing_subword_prefix", ""),
                     .end_suffix = node.text_or("end_of_word_suffix", ""),
                     .unknown = {}};
  if (bytes && (!options.continuing_prefix.empty() || options.byte_fallback)) {
    throw Error("{}: byte-level symbols with \"continuing_subword_prefix\" or \"byte_fallback\" are not read here",
                node.where());
  }
  if (const std::string unknown = node.text_or("unk_token", ""); !unknown.empty()) {
    parts.unk = options.unknown = parts.vocabulary->need(unknown, "unk_token");
  }
  const auto merges = read_merges(node.at("merges"), *parts.vocabulary, options.continuing_prefix);
  parts.kind = bytes ? "byte-level BPE" : "BPE";
  parts.segmenter = std::make_unique<Bpe>(parts.vocabulary, merges, std::move(options));
}

void read_unigram(const JsonNode& node, std::size_t limit, TokenizerParts& parts) {
  node.allow({"type", "unk_id", "vocab", "byte_fallback"});
  const JsonNode list = node.at("vocab");
  auto vocabulary = std::make_shared<Vocabulary>(list.where(), limit);
  std::vector<Unigram::Token> tokens;
  for (const auto& item : list.array()) {
    const bool sound = item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_number() &&
                       std::isfinite(item[1].get<double>());
    if (!sound) throw Error("{}[{}]: expected a token and its score", list.where(), tokens.size());
    const auto& text = item[0].get_ref<const std::string&>();
    vocabulary->add_repeatable(text, static_cast<std::int64_t>(tokens.size()));
    tokens.push_back({text, item[1].get<double>(), true});
  }
  UnigramOptions options{.unknown = {},
                         .byte_fallback = node.flag_or("byte_fallback", false),
                         .single_precision = false,
                         .where = node.where()};
  if (const auto unknown = node.find("unk_id")) {
    parts.unk = options.unknown = unknown->id();
    if (!vocabulary->has(*options.unknown)) throw Error("{}: {} is no token", unknown->where(), *options.unknown);
  }
  parts.kind = "unigram";
  parts.vocabulary = std::move(vocabulary);
  parts.segmenter = std::make_unique<Unigram>(tokens, std::move(options));
}

void read_words(const JsonNode& node, bool in_pieces, std::size_t limit, TokenizerParts& parts) {
  parts.vocabulary = read_vocabulary(node.at("vocab"), limit);
  const std::int32_t unknown = parts.vocabulary->need(node.at("unk_token").text(), "unk_token");
  parts.unk = unknown;
  if (!in_pieces) {
    node.allow({"type", "unk_token", "vocab"});
    parts.kind = "word level";
    parts.segmenter = std::make_unique<WordLevel>(parts.vocabulary, unknown);
    return;
  }
  node.allow({"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
  const auto most = node.find("max_input_chars_per_word");
  parts.kind = "WordPiece";
  parts.segmenter =
      std::make_unique<WordPiece>(*parts.vocabulary, unknown, node.text_or("continuing_subword_prefix", "##"),
                                  most ? static_cast<std::size_t>(most->id()) : 100);
}

// Files of old versions do not say.
std::string type_of(const JsonNode& node) {
  if (const auto type = node.find("type")) return type->text();
  if (node.find("merges")) return "BPE";
  if (node.at("vocab").value().is_array()) return "Unigram";
  return node.find("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

}  // namespace

void read_model(const JsonNode& node, bool bytes, std::size_t limit, TokenizerParts& parts) {
  const std::string type = type_of(node);
  if (type == "BPE") return read_bpe(node, bytes, limit, parts);
  if (bytes) throw Error("{}: a model of type \"{}\" behind ByteLevel is not read here", node.where(), type);
  if (type == "Unigram") return read_unigram(node, limit, parts);
  if (type == "WordPiece") return read_words(node, true, limit, parts);
  if (type == "WordLevel") return read_words(node, false, limit, parts);
  node.refuse_type("model", type, {"BPE", "Unigram", "WordPiece", "WordLevel"});
}

}  // namespace polariscope::tasks::text
