// Texts as the numbers of their tokens, in files that a training maps into memory. docs/tokenizers.md
#pragma once

#include "polariscope/base/mapped_file.h"
#include "polariscope/tasks/text/token_index.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

// A folder that `polariscope tokenize` wrote. Immutable; many threads may read at once.
class TokenShards {
 public:
  // Reads the index and maps the shards, gigabytes of them at once: what they hold is read as it is asked for. Throws
  // Error for a file that is missing or has another size than the index says, and for an index that contradicts itself.
  explicit TokenShards(const std::filesystem::path& folder);

  // Reads all tokens, at some gigabytes a second; throws Error naming a shard whose fingerprint is not the index's or
  // that holds a number the tokenizer does not have, and Interrupted. For whoever is about to rely on them.
  void verify(int threads = 0) const;

  std::int64_t size() const { return index_.tokens; }  // tokens of all shards, which are read as one after the other
  std::int64_t vocabulary() const { return index_.vocabulary; }
  // In hexadecimal digits, of all tokens: two folders of one fingerprint hold the same.
  const std::string& fingerprint() const { return index_.fingerprint; }
  const TokenIndex& index() const { return index_; }

  // Tokens [first, first + into.size()). Throws Error where there are not so many.
  void read(std::int64_t first, std::span<std::int64_t> into) const;

 private:
  struct Mapped {
    MappedFile file;
    std::int64_t first;  // token
  };

  std::filesystem::path folder_;
  TokenIndex index_;
  std::vector<Mapped> shards_;
};

}  // namespace polariscope::tasks::text
