// What a tokenizer is made of, whichever file it came from.
#pragma once

#include "polariscope/tasks/text/internal/added_tokens.h"
#include "polariscope/tasks/text/internal/decoder.h"
#include "polariscope/tasks/text/internal/normalizer.h"
#include "polariscope/tasks/text/internal/pre_tokenizer.h"
#include "polariscope/tasks/text/internal/segmenter.h"
#include "polariscope/tasks/text/internal/vocabulary.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

// More than any published tokenizer adds by a factor of ten; each is compared with those before it.
constexpr std::size_t kMostAddedTokens = 20'000;

struct TokenizerParts {
  std::string kind;                              // "byte-level BPE", …
  std::shared_ptr<const Vocabulary> vocabulary;  // of the model, without what was added
  std::vector<AddedToken> added;                 // looked for in text
  std::vector<std::int32_t> control;             // special, but not looked for
  NormalizerPart normalizer;                     // nullptr: none
  PreTokenizerPart pre_tokenizer;                // nullptr: none
  std::unique_ptr<const Segmenter> segmenter;
  DecoderPart decoder;                      // nullptr: tokens with spaces between them
  std::vector<std::int32_t> before, after;  // the special tokens around a text
  std::optional<std::int32_t> bos, eos, unk, pad;
  std::string how;  // normalizer and pre-tokenizer, for records
};

// The number of a token, added or not.
std::optional<std::int32_t> find_token(const TokenizerParts& parts, std::string_view text);

}  // namespace polariscope::tasks::text
