#include "polariscope/tasks/text/token_shards.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/xxh64.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace polariscope::tasks::text {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian");

constexpr std::size_t kBlock = std::size_t{1} << 20;  // bytes between two questions for an interrupt

template <class Number>
void widen(const char* bytes, std::span<std::int64_t> into) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    Number number = 0;
    std::memcpy(&number, bytes + i * sizeof number, sizeof number);
    into[i] = static_cast<std::int64_t>(number);
  }
}

template <class Number>
std::int64_t largest_of(std::string_view bytes) {
  Number largest = 0;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Number)) {
    Number number = 0;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    largest = std::max(largest, number);
  }
  return static_cast<std::int64_t>(largest);
}

}  // namespace

TokenShards::TokenShards(const std::filesystem::path& folder) : folder_(folder), index_(read_token_index(folder)) {
  std::int64_t first = 0;
  for (const TokenIndex::Shard& shard : index_.shards) {
    const std::filesystem::path path = folder / shard.file;
    MappedFile file(path);
    const std::size_t bytes = file.bytes().size();
    if (bytes % static_cast<std::size_t>(index_.token_bytes) != 0 ||
        bytes / static_cast<std::size_t>(index_.token_bytes) != static_cast<std::size_t>(shard.tokens)) {
      throw Error(
          "{} has {} bytes where the index says {} tokens of {} bytes: it was cut short or changed; tokenize "
          "the text again",
          path.string(), bytes, shard.tokens, index_.token_bytes);
    }
    shards_.push_back({std::move(file), first});
    first += shard.tokens;
  }
}

void TokenShards::verify(int threads) const {
  parallel_for(std::ssize(shards_), threads, [&](std::int64_t i) {
    const TokenIndex::Shard& shard = index_.shards[static_cast<std::size_t>(i)];
    Xxh64 hash;
    std::int64_t largest = 0;
    for (std::string_view rest = shards_[static_cast<std::size_t>(i)].file.bytes(); !rest.empty();) {
      stop_if_interrupted();
      const std::string_view block = rest.substr(0, kBlock);
      hash.add(block);
      largest = std::max(largest,
                         index_.token_bytes == 2 ? largest_of<std::uint16_t>(block) : largest_of<std::uint32_t>(block));
      rest.remove_prefix(block.size());
    }
    const std::string found = fmt::format("{:016x}", hash.value());
    const std::string path = (folder_ / shard.file).string();
    if (found != shard.fingerprint) {
      throw Error("{} has fingerprint {} where the index says {}: it was changed; tokenize the text again", path, found,
                  shard.fingerprint);
    }
    if (largest >= index_.vocabulary && shard.tokens > 0) {
      throw Error("{} holds token {} where the index says {} tokens from 0 on", path, largest, index_.vocabulary);
    }
  });
}

void TokenShards::read(std::int64_t first, std::span<std::int64_t> into) const {
  if (first < 0 || std::ssize(into) > size() - first) {
    throw Error("{}: tokens from {} to {} are asked for, it has {}", folder_.string(), first, first + std::ssize(into),
                size());
  }
  if (into.empty()) return;
  // The last that begins at `first` or before.
  auto shard = std::ranges::upper_bound(shards_, first, {}, &Mapped::first) - 1;
  while (!into.empty()) {
    const auto at = static_cast<std::size_t>((first - shard->first) * index_.token_bytes);
    const std::string_view bytes = shard->file.bytes().substr(at);
    const std::size_t count = std::min(into.size(), bytes.size() / static_cast<std::size_t>(index_.token_bytes));
    (index_.token_bytes == 2 ? widen<std::uint16_t> : widen<std::uint32_t>)(bytes.data(), into.first(count));
    into = into.subspan(count);
    first += static_cast<std::int64_t>(count);
    ++shard;
  }
}

}  // namespace polariscope::tasks::text
