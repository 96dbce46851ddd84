// Vocabularies with scores: SentencePiece's, llama2.c's, GGUF's.
#pragma once

#include "polariscope/tasks/text/internal/parts.h"

#include <string>
#include <vector>

namespace polariscope::tasks::text {

// SentencePiece's types of tokens, with its numbers; GGUF has the same.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct ScoredPiece {
  std::string text;
  float score;
  PieceType type;
};

struct ScoredModel {
  std::vector<ScoredPiece> pieces;  // by number
  bool unigram = false;             // else pairs are merged
  bool byte_fallback = false;
  bool every_piece_merges = false;  // llama2.c: bytes and control tokens too
  std::size_t bytes = 0;            // of the file
  std::optional<std::int32_t> unknown;
};

// Fills vocabulary, segmenter, kind, unk, and sets what is special; throws Error for scores that are no numbers, tokens
// that are longer than any of a published model, and the types that are not read.
void build_scored(const ScoredModel& model, const std::string& where, TokenizerParts& parts);

// Spaces for "▁", bytes for <0x0A>, and without the blank that was put before the text.
DecoderPart sentencepiece_decoder(bool strips_first);

}  // namespace polariscope::tasks::text
