// Writes a folder of token shards, whole or not at all.
#pragma once

#include "polariscope/base/output_file.h"
#include "polariscope/base/whole_folder.h"
#include "polariscope/base/xxh64.h"
#include "polariscope/tasks/text/token_index.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

class TokenShardWriter {
 public:
  // Numbers from 0 to vocabulary - 1, `shard_tokens` > 0 of them to a file. Throws Error where nothing can be written
  // beside `folder`. Nothing is there until finish().
  TokenShardWriter(const std::filesystem::path& folder, std::int64_t vocabulary, std::int64_t shard_tokens);

  // Throws Error where the disk is full, and for a number out of range.
  void append(std::span<const std::int32_t> tokens);

  // Puts the folder in place of what was there, with what `index` says of its origin; returns all that it holds. texts:
  // those of all tokens, by number, for whoever shows some; none are kept where it is empty.
  TokenIndex finish(TokenIndex index, const std::vector<std::string>& texts = {});

 private:
  void open_shard();
  void write_waiting();
  void close_shard();

  WholeFolder folder_;
  std::int64_t vocabulary_, shard_tokens_;
  std::int64_t token_bytes_;
  std::vector<TokenIndex::Shard> shards_;
  std::optional<OutputFile> file_;  // of shards_.back()
  Xxh64 fingerprint_;
  std::string waiting_;
};

}  // namespace polariscope::tasks::text
