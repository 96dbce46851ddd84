// Texts of any size to token shards, in memory that does not grow with them. docs/tokenizers.md
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/tasks/text/text_encoder.h"
#include "polariscope/tasks/text/token_index.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace polariscope::tasks::text {

struct TokenizeOptions {
  // A file with a text, or one with an object of JSON a line (*.jsonl), or a folder of such files (*.txt, *.md,
  // *.jsonl, those in folders below too, sorted, a document each or each line), or "-", standard input.
  std::string input;
  std::optional<bool> lines = {};  // whether inputs are lines of JSON, whatever their names
  std::string field = "text";      // of each object
  bool separate = true;            // the tokenizer's end of a text between documents, or its beginning
  int threads = 0;                 // 0: one per processor; shards are the same for any
  std::int64_t shard_tokens = 100'000'000;
  std::size_t piece_bytes = std::size_t{256} << 10;  // of a text that one thread encodes at a time
};

// How many bytes of files there are, 0 where that is not known. Throws Error where there are no files.
std::uint64_t input_bytes(const TokenizeOptions& options);

// Writes `folder` in place of what was there. `progress` counts bytes read. Throws Error for what cannot be read or
// written or has no tokens, naming the file and line, and Interrupted; then `folder` is as it was.
TokenIndex tokenize(const TokenizeOptions& options, const TextEncoder& encoder, const std::filesystem::path& folder,
                    Progress& progress);

// Whether tokenize() would write what `index` describes: the same tokenizer, rules and files. Reads all files.
bool is_of(const TokenIndex& index, const TokenizeOptions& options, const TextEncoder& encoder);

}  // namespace polariscope::tasks::text
