// Byte-pair encoding: a word's symbols are merged pair by pair, the pair of lowest rank first, of equal ones the
// leftmost.
#pragma once

#include "polariscope/tasks/text/internal/byte_trie.h"
#include "polariscope/tasks/text/internal/segmenter.h"
#include "polariscope/tasks/text/internal/vocabulary.h"

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>

namespace polariscope::tasks::text {

struct BpeMerge {
  std::int32_t left, right;
  std::uint32_t rank;
  std::int32_t merged;
};

// Ranks of merges by pair: open addressing, a power of two of slots, at most half of them taken.
class MergeTable {
 public:
  // Of two merges of one pair the later counts.
  explicit MergeTable(const std::vector<BpeMerge>& merges);

  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;
  struct Result {
    std::uint32_t rank;  // kNoRank: these do not merge
    std::int32_t merged;
  };
  Result find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = home_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].result;
      if (slots_[at].key == kEmpty) return {kNoRank, 0};
    }
  }

 private:
  struct Slot {
    std::uint64_t key;
    Result result;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t home_of(std::uint64_t key) const { return ((key ^ key >> 29) * 0x9E3779B97F4A7C15 >> 30) & mask_; }

  std::size_t mask_;
  std::vector<Slot> slots_;
};

struct BpeOptions {
  bool bytes = false;              // the symbols are bytes, written in the vocabulary as GPT-2's characters
  bool byte_fallback = false;      // an unknown character becomes the tokens <0x00> … <0xFF> of its bytes
  bool late_fallback = false;      // SentencePiece: only after all merges, in which unknown characters take part
  bool fuse_unknown = false;       // unknown characters in a row are one
  bool whole_words_first = false;  // a piece that is a token stays one, whatever the merges
  std::string continuing_prefix;   // of symbols that do not begin a word
  std::string end_suffix;          // of the symbol that ends a word
  std::optional<std::int32_t> unknown;
};

class Bpe : public Segmenter {
 public:
  // `loose`: characters that are no tokens but take part in merges, with numbers of their own above the vocabulary's.
  Bpe(std::shared_ptr<const Vocabulary> vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options,
      std::unordered_map<std::string, std::int32_t> loose = {});

  void append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const override;
  bool may_split_before_blank() const override { return may_split_before_blank_; }

 private:
  void start_symbols(std::string_view piece, Workspace& work) const;
  void add_character(std::string_view piece, std::size_t at, std::size_t length, Workspace& work,
                     std::optional<MergeSymbol>& unknown) const;
  void merge_few(std::vector<MergeSymbol>& symbols) const;
  void merge_many(Workspace& work) const;
  void append_fallback(std::string_view text, bool& after_unknown, std::vector<std::int32_t>& ids) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::unordered_map<std::string, std::int32_t> loose_;
  std::array<std::int32_t, 256> bytes_;       // ids of single bytes, -1: none
  std::array<std::int32_t, 256> last_bytes_;  // of those that end a word
  ByteTrie words_;                            // whole_words_first: every token as it stands in text
  bool may_split_before_blank_ = false;
};

// All merges that make tokens of a vocabulary with scores: any two texts that stand for a token together, by falling
// score (SentencePiece and llama2.c). `takes_part(id)`: whether a token may be made. Fills `loose`.
std::vector<BpeMerge> merges_by_score(const Vocabulary& vocabulary, const std::vector<float>& scores,
                                      const std::vector<bool>& takes_part,
                                      std::unordered_map<std::string, std::int32_t>& loose);

}  // namespace polariscope::tasks::text
