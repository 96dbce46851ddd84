#include "polariscope/tasks/text/token_shard_writer.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace polariscope::tasks::text {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian");

constexpr std::size_t kWaiting = std::size_t{1} << 20;  // bytes written at once

template <class Number>
void append_narrow(std::span<const std::int32_t> tokens, std::string& bytes) {
  const std::size_t before = bytes.size();
  bytes.resize(before + tokens.size() * sizeof(Number));
  char* at = bytes.data() + before;
  for (const std::int32_t token : tokens) {
    const auto number = static_cast<Number>(token);
    std::memcpy(at, &number, sizeof number);
    at += sizeof number;
  }
}

}  // namespace

TokenShardWriter::TokenShardWriter(const std::filesystem::path& folder, std::int64_t vocabulary,
                                   std::int64_t shard_tokens)
    : folder_(folder),
      vocabulary_(vocabulary),
      shard_tokens_(shard_tokens),
      token_bytes_(vocabulary <= 65536 ? 2 : 4) {}

void TokenShardWriter::open_shard() {
  shards_.push_back({fmt::format("tokens-{:05}.bin", shards_.size()), 0, ""});
  file_.emplace(folder_.path() / shards_.back().file);
  fingerprint_ = {};
}

void TokenShardWriter::write_waiting() {
  file_->write(waiting_);
  fingerprint_.add(waiting_);
  waiting_.clear();
}

void TokenShardWriter::close_shard() {
  write_waiting();
  file_->sync();
  file_.reset();
  shards_.back().fingerprint = fmt::format("{:016x}", fingerprint_.value());
}

void TokenShardWriter::append(std::span<const std::int32_t> tokens) {
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= vocabulary_) throw Error("token {}: expected one from 0 to {}", token, vocabulary_ - 1);
  }
  while (!tokens.empty()) {
    if (!file_) open_shard();
    TokenIndex::Shard& shard = shards_.back();
    const auto room = static_cast<std::size_t>(
        std::min<std::int64_t>(shard_tokens_ - shard.tokens, kWaiting / static_cast<std::size_t>(token_bytes_)));
    const auto next = tokens.first(std::min(tokens.size(), room));
    (token_bytes_ == 2 ? append_narrow<std::uint16_t> : append_narrow<std::uint32_t>)(next, waiting_);
    shard.tokens += std::ssize(next);
    tokens = tokens.subspan(next.size());
    if (shard.tokens == shard_tokens_) {
      close_shard();
    } else if (waiting_.size() >= kWaiting) {
      write_waiting();
    }
  }
}

TokenIndex TokenShardWriter::finish(TokenIndex index, const std::vector<std::string>& texts) {
  if (file_) close_shard();
  index.token_bytes = token_bytes_;
  index.vocabulary = vocabulary_;
  index.shards = shards_;
  index.tokens = 0;
  for (const TokenIndex::Shard& shard : shards_) index.tokens += shard.tokens;
  index.fingerprint = fingerprint_of(index);
  // Names of files may be any bytes.
  write_file(folder_.path() / "index.json",
             to_json(index).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  if (!texts.empty()) write_file(folder_.path() / kTokenTexts, nlohmann::json(texts).dump() + "\n");
  folder_.put_in_place();
  return index;
}

}  // namespace polariscope::tasks::text
