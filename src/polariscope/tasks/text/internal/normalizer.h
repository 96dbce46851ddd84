// What is done to text before it is cut: Hugging Face's normalizers and SentencePiece's.
#pragma once

#include "polariscope/tasks/text/internal/byte_trie.h"
#include "polariscope/tasks/text/internal/pattern.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  Normalizer() = default;
  Normalizer(const Normalizer&) = delete;
  Normalizer& operator=(const Normalizer&) = delete;
  virtual void apply(std::string& text, MatchState& state) const = 0;
};
using NormalizerPart = std::unique_ptr<const Normalizer>;

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPart> parts) : parts_(std::move(parts)) {}
  // Throws Error where the text becomes many times as long: rules that double it again and again are no one's.
  void apply(std::string& text, MatchState& state) const override;

 private:
  std::vector<NormalizerPart> parts_;
};

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  UnicodeForm form_;
};

// What maps or drops characters one by one.
enum class CharacterMap { kLowercase, kStripAccents, kNmt };

class CharacterNormalizer : public Normalizer {
 public:
  explicit CharacterNormalizer(CharacterMap map) : map_(map) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  CharacterMap map_;
};

class BertNormalizer : public Normalizer {
 public:
  struct Options {
    bool clean_text, chinese, strip_accents, lowercase;
  };
  explicit BertNormalizer(Options options) : options_(options) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  Options options_;
};

// A string, or what a pattern matches, by another string.
class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  ReplaceNormalizer(SplitPattern from, std::string to) : pattern_(std::move(from)), to_(std::move(to)) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  std::optional<SplitPattern> pattern_;
  std::string from_, to_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string text) : text_(std::move(text)) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  std::string text_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text, MatchState& state) const override;

 private:
  bool left_, right_;
};

}  // namespace polariscope::tasks::text
