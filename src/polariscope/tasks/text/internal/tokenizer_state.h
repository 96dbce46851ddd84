// What all copies of a tokenizer share.
#pragma once

#include "polariscope/tasks/text/internal/parts.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

struct Tokenizer::State {
  // Throws Error, begun with `name`, where the parts do not fit.
  State(TokenizerParts read, std::uint64_t of_files, const std::string& name);

  bool has(std::int32_t id) const;
  const std::string& text(std::int32_t id) const;
  // As Hugging Face's decoders get it: of an added token what is looked for, "▁<unk>" where blanks are put before text.
  const std::string& text_to_decode(std::int32_t id) const;
  void encode(std::string_view text, Workspace& work, std::vector<std::int32_t>& ids) const;

  // A thread's memory for one call; those that were used before know words already.
  std::unique_ptr<Workspace> borrow() const;
  void give_back(std::unique_ptr<Workspace> work) const;

  TokenizerParts parts;
  std::uint64_t fingerprint;
  std::int32_t size = 0;
  std::vector<bool> special;        // by number
  std::vector<std::int32_t> added;  // by number: place in parts.added, -1: none
  AddedTokenFinder in_text, in_normalised;
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Workspace>> free;
};

}  // namespace polariscope::tasks::text
