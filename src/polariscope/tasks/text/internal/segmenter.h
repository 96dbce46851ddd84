// What turns a piece of text into ids: byte pairs, unigrams, words and their parts. One instance serves all threads;
// what a call needs beside lies in its thread's workspace.
#pragma once

#include "polariscope/tasks/text/internal/pattern.h"
#include "polariscope/tasks/text/internal/word_cache.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

// A symbol of a word that is being merged, in a list of those that are left.
struct MergeSymbol {
  std::int32_t id;
  std::uint32_t begin;  // its text in the piece
  std::uint32_t length;
  std::int32_t previous, next;  // -1: none
};

struct MergeCandidate {
  std::uint32_t rank;
  std::int32_t left;    // symbol
  std::int32_t merged;  // id
};

struct UnigramNode {
  double score;
  std::int32_t id;
  std::int64_t begin;  // of the token that ends here; -1: none does
};

struct Workspace {
  MatchState match;
  WordCache words;
  std::vector<MergeSymbol> symbols;
  std::vector<MergeCandidate> candidates;
  std::vector<UnigramNode> nodes;
  std::vector<std::int32_t> ids;
  std::string sound, normalised;
};

class Segmenter {
 public:
  virtual ~Segmenter() = default;
  Segmenter() = default;
  Segmenter(const Segmenter&) = delete;
  Segmenter& operator=(const Segmenter&) = delete;

  // Appends the ids of `piece`, which is not empty. They depend on nothing else, so they may be remembered.
  virtual void append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const = 0;

  // Whether the ids of a text are those of its parts before and from U+2581 (that does not follow another) on: then
  // words are remembered where there is no pre-tokenizer. False where tokens reach over such a place.
  virtual bool may_split_before_blank() const { return false; }
};

}  // namespace polariscope::tasks::text
