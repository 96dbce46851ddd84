// A unigram language model: the segmentation of largest total log probability. Kudo 2018,
// https://arxiv.org/abs/1804.10959
#pragma once

#include "polariscope/tasks/text/internal/byte_trie.h"
#include "polariscope/tasks/text/internal/segmenter.h"

#include <array>
#include <optional>

namespace polariscope::tasks::text {

struct UnigramOptions {
  std::optional<std::int32_t> unknown;
  bool byte_fallback = false;
  bool single_precision = false;  // SentencePiece adds scores in float: that decides between equal segmentations
  // Throws begin with it.
  std::string where;
};

class Unigram : public Segmenter {
 public:
  struct Token {
    std::string text;
    double score;  // log probability, finite
    bool in_text;  // whether text may hold it: not so of control, byte and unused tokens
  };
  // `tokens` by number.
  Unigram(const std::vector<Token>& tokens, UnigramOptions options);

  // Characters in a row that no token has are one unknown one, or its bytes. Throws Error where there is no token for
  // those.
  void append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const override;

 private:
  std::vector<double> scores_;
  ByteTrie trie_;
  UnigramOptions options_;
  std::array<std::int32_t, 256> bytes_;
  double unknown_score_;
};

}  // namespace polariscope::tasks::text
