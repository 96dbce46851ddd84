// A tokenizer from the metadata of a GGUF file. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/bpe.h"
#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/charsmap.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/scored.h"
#include "polariscope/tasks/text/internal/word_piece.h"

#include <array>

namespace polariscope::tasks::text {
namespace {

constexpr std::string_view kBlank = "\u2581";

class GgufTokenizer {
 public:
  GgufTokenizer(const nlohmann::json& metadata, const std::string& where)
      : root_(metadata, where + ": "), where_(where) {
    for (const auto& token : key("tokens").array()) {
      if (!token.is_string()) throw Error("{}: token {} is {}", where_, model_.pieces.size(), token.type_name());
      model_.pieces.push_back({token.get<std::string>(), 0, PieceType::kNormal});
      model_.bytes += 1;
    }
    model_.bytes += 1;
    read_types();
  }

  TokenizerParts run() {
    const std::string& model = key("model").text();
    parts_.bos = token_of("bos_token_id");
    parts_.eos = token_of("eos_token_id");
    parts_.pad = token_of("padding_token_id");
    model_.unknown = token_of("unknown_token_id");
    if (model == "gpt2") {
      read_gpt2();
    } else if (model == "llama") {
      read_llama();
    } else if (model == "t5") {
      read_t5();
    } else if (model == "bert") {
      read_bert();
    } else {
      key("model").refuse_type("tokenizer", model, {"gpt2", "llama", "t5", "bert"});
    }
    for (std::size_t id = 0; id < model_.pieces.size(); ++id) add_if_special(id);
    return std::move(parts_);
  }

 private:
  static std::string name_of(const std::string& name) { return "tokenizer.ggml." + name; }
  std::optional<JsonNode> find(const std::string& name) const { return root_.find(name_of(name)); }
  JsonNode key(const std::string& name) const { return root_.at(name_of(name)); }
  bool flag_or(const std::string& name, bool otherwise) const { return root_.flag_or(name_of(name), otherwise); }

  std::optional<std::int32_t> token_of(const std::string& name) const {
    const auto node = find(name);
    if (!node) return std::nullopt;
    const std::int64_t id = node->whole();
    // Converters write 2^32 - 1 for none.
    if (id == 0xFFFFFFFF || id == -1) return std::nullopt;
    if (id < 0 || static_cast<std::size_t>(id) >= model_.pieces.size()) {
      throw Error("{}: {} is no token: there are {}", node->where(), id, model_.pieces.size());
    }
    return static_cast<std::int32_t>(id);
  }

  // One number per token.
  const nlohmann::json& list(const std::string& name) const {
    const JsonNode node = key(name);
    if (node.array().size() != model_.pieces.size()) {
      throw Error("{} has {} numbers: expected one for each of {} tokens", node.where(), node.array().size(),
                  model_.pieces.size());
    }
    return node.array();
  }

  void read_types() {
    if (!find("token_type")) return;
    const auto& types = list("token_type");
    for (std::size_t id = 0; id < types.size(); ++id) {
      const bool sound = types[id].is_number_integer() && types[id] >= 1 && types[id] <= 6;
      if (!sound) throw Error("{}: the type of token {} is none of 1 to 6", where_, id);
      model_.pieces[id].type = static_cast<PieceType>(types[id].get<int>());
    }
  }

  void read_scores() {
    const auto& scores = list("scores");
    for (std::size_t id = 0; id < scores.size(); ++id) {
      if (!scores[id].is_number()) throw Error("{}: the score of token {} is no number", where_, id);
      model_.pieces[id].score = scores[id].get<float>();
    }
  }

  void surround(bool adds_bos, bool adds_eos) {
    if (flag_or("add_bos_token", adds_bos)) {
      if (!parts_.bos) throw Error("{} begins every text with a token that it does not name", where_);
      parts_.before = {*parts_.bos};
    }
    if (flag_or("add_eos_token", adds_eos)) {
      if (!parts_.eos) throw Error("{} ends every text with a token that it does not name", where_);
      parts_.after = {*parts_.eos};
    }
  }

  std::shared_ptr<Vocabulary> vocabulary() const {
    auto tokens = std::make_shared<Vocabulary>(where_, model_.bytes);
    for (std::size_t id = 0; id < model_.pieces.size(); ++id) {
      tokens->add_repeatable(model_.pieces[id].text, static_cast<std::int64_t>(id));
    }
    return tokens;
  }

  void read_gpt2() {
    const std::string& cuts = key("pre").text();
    parts_.pre_tokenizer = pre_tokenizer_by_name(cuts, where_);
    parts_.vocabulary = vocabulary();
    std::vector<BpeMerge> merges;
    for (const auto& item : key("merges").array()) {
      const std::string line = item.is_string() ? item.get<std::string>() : "";
      const std::size_t space = line.find(' ', 1);
      const auto id_of = [&](const std::string& text) {
        const auto id = parts_.vocabulary->find(text);
        if (!id) {
          throw Error("{}: merge {} (\"{}\") needs token \"{}\", which is not there", where_, merges.size(),
                      readable(line), readable(text));
        }
        return *id;
      };
      if (space == std::string::npos) {
        throw Error("{}: merge {} is not two tokens with a space between them", where_, merges.size());
      }
      const std::string left = line.substr(0, space);
      const std::string right = line.substr(space + 1);
      merges.push_back({id_of(left), id_of(right), static_cast<std::uint32_t>(merges.size()), id_of(left + right)});
    }
    static constexpr std::array kWholeWords = {"llama-bpe", "llama3",   "llama-v3", "falcon3", "falcon-h1",
                                               "pixtral",   "midm-2.0", "lfm2",     "tekken",  "jina-v5-nano"};
    const bool whole_words = std::find(kWholeWords.begin(), kWholeWords.end(), cuts) != kWholeWords.end();
    parts_.segmenter = std::make_unique<Bpe>(parts_.vocabulary, merges,
                                             BpeOptions{.bytes = true,
                                                        .whole_words_first = whole_words,
                                                        .continuing_prefix = {},
                                                        .end_suffix = {},
                                                        .unknown = model_.unknown});
    parts_.kind = "byte-level BPE";
    parts_.unk = model_.unknown;
    parts_.decoder = std::make_unique<ByteLevelDecoder>();
    parts_.how = "cuts of " + cuts;
    surround(whole_words && parts_.bos, false);
  }

  void read_llama() {
    read_scores();
    model_.byte_fallback = true;
    if (!model_.unknown) model_.unknown = 0;
    if (!parts_.bos && model_.pieces.size() > 2) parts_.bos = 1;
    if (!parts_.eos && model_.pieces.size() > 2) parts_.eos = 2;
    build_scored(model_, where_, parts_);
    const bool prefix = flag_or("add_space_prefix", true);
    std::vector<NormalizerPart> steps;
    if (prefix) steps.push_back(std::make_unique<PrependNormalizer>(std::string(kBlank)));
    steps.push_back(std::make_unique<ReplaceNormalizer>(" ", std::string(kBlank)));
    parts_.normalizer = std::make_unique<NormalizerSequence>(std::move(steps));
    parts_.decoder = sentencepiece_decoder(prefix);
    parts_.how = prefix ? "a space put before the text" : "no space put before the text";
    surround(true, false);
  }

  void read_t5() {
    read_scores();
    model_.unigram = true;
    if (!model_.unknown) model_.unknown = 2;
    if (!parts_.eos && model_.pieces.size() > 1) parts_.eos = 1;
    build_scored(model_, where_, parts_);
    SentencePieceRules rules{.charsmap = {},
                             .add_dummy_prefix = flag_or("add_space_prefix", true),
                             .remove_extra_whitespaces = flag_or("remove_extra_whitespaces", false),
                             .kept = {}};
    if (const auto map = find("precompiled_charsmap")) {
      std::string bytes;
      for (const auto& byte : map->array()) {
        if (!byte.is_number_integer()) throw Error("{}: expected bytes", map->where());
        bytes.push_back(static_cast<char>(byte.get<std::int64_t>() & 0xFF));
      }
      rules.charsmap.emplace(bytes, map->where());
    }
    parts_.decoder = sentencepiece_decoder(rules.add_dummy_prefix);
    parts_.normalizer = std::make_unique<SentencePieceNormalizer>(std::move(rules));
    parts_.how = "SentencePiece's rules";
    surround(false, true);
  }

  // Converters write "▁" before tokens that begin a word and take "##" from those that go on.
  void read_bert() {
    auto tokens = std::make_shared<Vocabulary>(where_, model_.bytes);
    for (std::size_t id = 0; id < model_.pieces.size(); ++id) {
      std::string& text = model_.pieces[id].text;
      if (model_.pieces[id].type == PieceType::kNormal) {
        text.starts_with(kBlank) ? text.erase(0, kBlank.size()) : text.insert(0, "##");
      }
      tokens->add_repeatable(text, static_cast<std::int64_t>(id));
    }
    parts_.vocabulary = tokens;
    const auto special = [&](const char* name, const char* text) {
      const auto id = token_of(name);
      return id ? *id : tokens->need(text, name);
    };
    parts_.unk = special("unknown_token_id", "[UNK]");
    parts_.bos = special("bos_token_id", "[CLS]");
    parts_.eos = special("seperator_token_id", "[SEP]");  // llama.cpp's spelling
    parts_.segmenter = std::make_unique<WordPiece>(*tokens, *parts_.unk, "##", 100);
    parts_.normalizer = std::make_unique<BertNormalizer>(
        BertNormalizer::Options{.clean_text = true, .chinese = true, .strip_accents = true, .lowercase = true});
    std::vector<PreTokenizerPart> cuts;
    cuts.push_back(std::make_unique<ClassPreTokenizer>(is_white_space, Delimiter::kRemoved));
    cuts.push_back(std::make_unique<ClassPreTokenizer>(is_punctuation, Delimiter::kIsolated));
    parts_.pre_tokenizer = std::make_unique<PreTokenizerSequence>(std::move(cuts));
    parts_.decoder = std::make_unique<WordPieceDecoder>("##", true);
    parts_.kind = "WordPiece";
    parts_.how = "BERT's cuts, lower case without accents";
    surround(true, true);
  }

  // Control tokens are read in text as Hugging Face's tokenizers read them; those of the user always are.
  void add_if_special(std::size_t id) {
    const ScoredPiece& piece = model_.pieces[id];
    const bool control = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (piece.text.empty() || (!control && piece.type != PieceType::kUserDefined)) return;
    parts_.added.push_back({.content = piece.text, .id = static_cast<std::int32_t>(id), .special = control});
  }

  JsonNode root_;
  const std::string& where_;
  ScoredModel model_;
  TokenizerParts parts_;
};

}  // namespace

TokenizerParts read_gguf_metadata(const nlohmann::json& metadata, const std::string& where) {
  return GgufTokenizer(metadata, where).run();
}

}  // namespace polariscope::tasks::text
