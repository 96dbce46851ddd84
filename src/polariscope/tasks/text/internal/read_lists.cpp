// Tokenizers of more than one file and of plain lists: vocab.json with merges.txt, vocab.txt.
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/bpe.h"
#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/gpt2_cuts.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/word_piece.h"

#include <array>

namespace polariscope::tasks::text {
namespace {

// The next line of `text` from `at` on, without its end.
std::string_view next_line(std::string_view text, std::size_t& at) {
  const std::size_t end = std::min(text.find('\n', at), text.size());
  std::string_view line = text.substr(at, end - at);
  at = end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A line each, two tokens and a space; the first may name a version. Other lines that begin with "#" are merges.
nlohmann::json merges_of(std::string_view text) {
  nlohmann::json merges = nlohmann::json::array();
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view line = next_line(text, at);
    if (line.starts_with("#version") || (line.empty() && at >= text.size())) continue;
    merges.push_back(line);
  }
  return merges;
}

struct TokenizerClass {
  std::string_view name;
  const char* pattern;
  bool nfc;
  const char *first, *last;  // special tokens around a text
};
constexpr std::array kClasses = {
    TokenizerClass{"GPT2Tokenizer", kGpt2Pattern, false, nullptr, nullptr},
    TokenizerClass{"GPTNeoXTokenizer", kGpt2Pattern, false, nullptr, nullptr},
    TokenizerClass{"CodeGenTokenizer", kGpt2Pattern, false, nullptr, nullptr},
    TokenizerClass{"Qwen2Tokenizer", kQwen2Pattern, true, nullptr, nullptr},
    TokenizerClass{"RobertaTokenizer", kGpt2Pattern, false, "<s>", "</s>"},
    TokenizerClass{"BartTokenizer", kGpt2Pattern, false, "<s>", "</s>"},
};

}  // namespace

TokenizerParts read_vocabulary_and_merges(std::string_view vocabulary, std::string_view merges, const std::string& kind,
                                          const std::string& where) {
  std::string name = kind.empty() ? "GPT2Tokenizer" : kind;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const TokenizerClass* found = nullptr;
  std::string known;
  for (const TokenizerClass& one : kClasses) {
    if (one.name == name) found = &one;
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  if (found == nullptr) {
    throw Error("{}: how \"{}\" cuts text is not known here (known: {}): give its tokenizer.json", where, name, known);
  }
  nlohmann::json model{{"vocab", parse_json(vocabulary, where)}, {"merges", merges_of(merges)}};
  TokenizerParts parts;
  read_model(JsonNode(model, where + ": "), true, vocabulary.size(), parts);
  parts.pre_tokenizer = isolated_matches(found->pattern, where);
  if (found->nfc) parts.normalizer = std::make_unique<UnicodeNormalizer>(UnicodeForm::kNfc);
  parts.decoder = std::make_unique<ByteLevelDecoder>();
  parts.how = "cuts of " + name;
  // No file says which tokens are special: these are.
  for (const char* special :
       {"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|im_start|>", "<|im_end|>"}) {
    if (const auto id = parts.vocabulary->find(special)) {
      parts.added.push_back(
          {.content = special, .id = *id, .special = true, .left_strip = special == std::string_view("<mask>")});
    }
  }
  parts.bos = parts.eos = parts.vocabulary->find("<|endoftext|>");
  parts.unk = parts.vocabulary->find("<unk>");
  parts.pad = parts.vocabulary->find("<pad>");
  if (found->first != nullptr) {
    parts.bos = parts.vocabulary->need(found->first, "the first token of a text");
    parts.eos = parts.vocabulary->need(found->last, "the last token of a text");
    parts.before = {*parts.bos};
    parts.after = {*parts.eos};
  }
  return parts;
}

TokenizerParts read_word_list(std::string_view text, bool lowercase, const std::string& where) {
  TokenizerParts parts;
  auto vocabulary = std::make_shared<Vocabulary>(where, text.size() + 1);
  std::int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) vocabulary->add(next_line(text, at), count);
  parts.vocabulary = vocabulary;
  parts.kind = "WordPiece";
  parts.unk = vocabulary->need("[UNK]", "the unknown token");
  parts.bos = vocabulary->need("[CLS]", "the first token of a text");
  parts.eos = vocabulary->need("[SEP]", "the last token of a text");
  parts.pad = vocabulary->find("[PAD]");
  parts.before = {*parts.bos};
  parts.after = {*parts.eos};
  for (const char* special : {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"}) {
    if (const auto id = vocabulary->find(special)) {
      parts.added.push_back({.content = special, .id = *id, .special = true});
    }
  }
  parts.normalizer = std::make_unique<BertNormalizer>(
      BertNormalizer::Options{.clean_text = true, .chinese = true, .strip_accents = lowercase, .lowercase = lowercase});
  std::vector<PreTokenizerPart> cuts;
  cuts.push_back(std::make_unique<ClassPreTokenizer>(is_white_space, Delimiter::kRemoved));
  cuts.push_back(std::make_unique<ClassPreTokenizer>(is_punctuation, Delimiter::kIsolated));
  parts.pre_tokenizer = std::make_unique<PreTokenizerSequence>(std::move(cuts));
  parts.decoder = std::make_unique<WordPieceDecoder>("##", true);
  parts.segmenter = std::make_unique<WordPiece>(*vocabulary, *parts.unk, "##", 100);
  parts.how = lowercase ? "BERT's cuts, lower case without accents" : "BERT's cuts";
  return parts;
}

}  // namespace polariscope::tasks::text
