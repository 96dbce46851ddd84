#include "polariscope/tasks/text/internal/scored.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/bpe.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/unigram.h"

#include <cmath>

namespace polariscope::tasks::text {
namespace {

// All ways to cut a token in two are looked at; Gemma's longest has 93 bytes.
constexpr std::size_t kLongestMerged = 512;

void build_unigram(const ScoredModel& model, const std::string& where, TokenizerParts& parts) {
  std::vector<Unigram::Token> tokens;
  for (const ScoredPiece& piece : model.pieces) {
    tokens.push_back({piece.text, piece.score, piece.type == PieceType::kNormal});
  }
  parts.kind = "unigram";
  parts.segmenter = std::make_unique<Unigram>(
      tokens,
      UnigramOptions{
          .unknown = model.unknown, .byte_fallback = model.byte_fallback, .single_precision = true, .where = where});
}

void build_bpe(const ScoredModel& model, const std::string& where, TokenizerParts& parts) {
  std::vector<float> scores;
  std::vector<bool> takes_part;
  for (const ScoredPiece& piece : model.pieces) {
    if (piece.type == PieceType::kUnused) {
      throw Error("{}: token \"{}\" is of type \"unused\": of BPE with such tokens none is read here", where,
                  readable(piece.text));
    }
    scores.push_back(piece.score);
    takes_part.push_back(model.every_piece_merges || piece.type == PieceType::kNormal);
    if (takes_part.back() && piece.text.size() > kLongestMerged) {
      throw Error("{}: token \"{}\" has {} bytes: expected at most {}", where, readable(piece.text), piece.text.size(),
                  kLongestMerged);
    }
  }
  std::unordered_map<std::string, std::int32_t> loose;
  const auto merges = merges_by_score(*parts.vocabulary, scores, takes_part, loose);
  parts.kind = "SentencePiece BPE";
  parts.segmenter = std::make_unique<Bpe>(parts.vocabulary, merges,
                                          BpeOptions{.byte_fallback = model.byte_fallback,
                                                     .late_fallback = true,
                                                     .fuse_unknown = true,
                                                     .continuing_prefix = {},
                                                     .end_suffix = {},
                                                     .unknown = model.unknown},
                                          std::move(loose));
}

}  // namespace

void build_scored(const ScoredModel& model, const std::string& where, TokenizerParts& parts) {
  auto vocabulary = std::make_shared<Vocabulary>(where, model.bytes);
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const ScoredPiece& piece = model.pieces[id];
    if (!std::isfinite(piece.score)) throw Error("{}: the score of token {} is not finite", where, id);
    vocabulary->add_repeatable(piece.text, static_cast<std::int64_t>(id));
    const auto number = static_cast<std::int32_t>(id);
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) parts.control.push_back(number);
  }
  parts.vocabulary = std::move(vocabulary);
  parts.unk = model.unknown;
  if (model.unigram) {
    build_unigram(model, where, parts);
  } else {
    build_bpe(model, where, parts);
  }
}

DecoderPart sentencepiece_decoder(bool strips_first) {
  std::vector<DecoderPart> parts;
  parts.push_back(std::make_unique<ReplaceDecoder>("\u2581", " "));
  parts.push_back(std::make_unique<ByteFallbackDecoder>());
  parts.push_back(std::make_unique<FuseDecoder>());
  if (strips_first) parts.push_back(std::make_unique<StripDecoder>(" ", 1, 0));
  return std::make_unique<DecoderSequence>(std::move(parts));
}

}  // namespace polariscope::tasks::text
