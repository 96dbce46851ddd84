// SentencePiece's compiled rules of normalisation: a double-array trie (Darts-clone) of strings and what replaces them.
// https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
#pragma once

#include "polariscope/tasks/text/internal/normalizer.h"

namespace polariscope::tasks::text {

class Charsmap {
 public:
  // Throws Error, begun with `where`, for bytes that are no such rules.
  Charsmap(std::string_view bytes, const std::string& where);

  struct Match {
    std::size_t length;  // 0: no rule begins here
    std::string_view replacement;
  };
  Match longest(std::string_view text, std::size_t at) const { return find(text.substr(at), false); }
  Match shortest(std::string_view text) const { return find(text, true); }

 private:
  Match find(std::string_view text, bool first) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;  // each ended by a zero byte
};

// As Hugging Face's "Precompiled" applies it: grapheme by grapheme, and of a grapheme the rule of its shortest prefix.
class PrecompiledNormalizer : public Normalizer {
 public:
  explicit PrecompiledNormalizer(Charsmap rules) : rules_(std::move(rules)) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  Charsmap rules_;
};

struct SentencePieceRules {
  std::optional<Charsmap> charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;  // " " becomes "▁"
  bool blank_as_suffix = false;    // the dummy prefix stands at the end
  std::vector<std::string> kept;   // user-defined tokens, which no rule touches
};

// As SentencePiece applies its own: the longest rule at each place, spaces gathered, the dummy prefix.
class SentencePieceNormalizer : public Normalizer {
 public:
  explicit SentencePieceNormalizer(SentencePieceRules rules);
  void apply(std::string& text, MatchState& state) const override;

 private:
  SentencePieceRules rules_;
  ByteTrie kept_;
};

}  // namespace polariscope::tasks::text
