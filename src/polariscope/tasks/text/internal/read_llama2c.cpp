// tokenizer.bin: int32 length of the longest token, then for each float32 score, int32 length, bytes; little endian.
// https://github.com/karpathy/llama2.c/blob/master/run.c
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/scored.h"

#include <cstring>

namespace polariscope::tasks::text {
namespace {

constexpr int kFirstByte = 3;  // of 256, after <unk>, <s>, </s>

template <class Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

TokenizerParts read_llama2c(std::string_view bytes, const std::string& where) {
  ScoredModel model{
      .pieces = {}, .byte_fallback = true, .every_piece_merges = true, .bytes = bytes.size(), .unknown = 0};
  for (std::size_t at = 4; at < bytes.size();) {
    if (bytes.size() - at < 8) throw Error("{} ends inside token {}", where, model.pieces.size());
    const auto score = number_at<float>(bytes, at);
    const auto length = number_at<std::int32_t>(bytes, at + 4);
    at += 8;
    if (length < 0 || static_cast<std::size_t>(length) > bytes.size() - at) {
      throw Error("{}: token {} has {} bytes, {} are left of the file: expected llama2.c's tokenizer.bin", where,
                  model.pieces.size(), length, bytes.size() - at);
    }
    // Spaces are written as such; inside they are what SentencePiece has.
    const auto number = static_cast<int>(model.pieces.size());
    std::string text = replaced(std::string(bytes.substr(at, static_cast<std::size_t>(length))), " ", "\u2581");
    const PieceType type = number == 0                                            ? PieceType::kUnknown
                           : number < kFirstByte                                  ? PieceType::kControl
                           : number < kFirstByte + 256 && text.starts_with("<0x") ? PieceType::kByte
                                                                                  : PieceType::kNormal;
    // Written with line ends around them.
    if (text == "\n<s>\n" || text == "\n</s>\n") text = text.substr(1, text.size() - 2);
    model.pieces.push_back({std::move(text), score, type});
    at += static_cast<std::size_t>(length);
  }
  if (model.pieces.size() < kFirstByte + 256) {
    throw Error("{} has {} tokens: expected llama2.c's tokenizer.bin with at least {}", where, model.pieces.size(),
                kFirstByte + 256);
  }
  TokenizerParts parts;
  build_scored(model, where, parts);
  std::vector<NormalizerPart> steps;
  steps.push_back(std::make_unique<PrependNormalizer>("\u2581"));
  steps.push_back(std::make_unique<ReplaceNormalizer>(" ", "\u2581"));
  parts.normalizer = std::make_unique<NormalizerSequence>(std::move(steps));
  parts.decoder = sentencepiece_decoder(true);
  parts.bos = 1;
  parts.eos = 2;
  parts.before = {1};
  parts.how = "a space put before the text";
  return parts;
}

}  // namespace polariscope::tasks::text
