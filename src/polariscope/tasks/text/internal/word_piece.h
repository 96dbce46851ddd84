// Words from a list, whole or in parts: WordPiece (BERT) takes the longest token again and again, WordLevel the whole
// word.
#pragma once

#include "polariscope/tasks/text/internal/byte_trie.h"
#include "polariscope/tasks/text/internal/segmenter.h"
#include "polariscope/tasks/text/internal/vocabulary.h"

#include <memory>

namespace polariscope::tasks::text {

class WordPiece : public Segmenter {
 public:
  // `prefix` begins the tokens that continue a word; a word of more than `most_characters` is unknown.
  WordPiece(const Vocabulary& vocabulary, std::int32_t unknown, const std::string& prefix, std::size_t most_characters);
  void append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const override;

 private:
  ByteTrie trie_;
  std::int32_t continued_;  // node after the prefix
  std::int32_t unknown_;
  std::size_t most_characters_;
};

class WordLevel : public Segmenter {
 public:
  WordLevel(std::shared_ptr<const Vocabulary> vocabulary, std::int32_t unknown)
      : vocabulary_(std::move(vocabulary)), unknown_(unknown) {}
  void append(std::string_view piece, Workspace&, std::vector<std::int32_t>& ids) const override {
    ids.push_back(vocabulary_->find(piece).value_or(unknown_));
  }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::int32_t unknown_;
};

}  // namespace polariscope::tasks::text
