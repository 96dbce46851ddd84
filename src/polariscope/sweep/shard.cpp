#include "polariscope/sweep/shard.h"

#include "polariscope/base/error.h"
#include "polariscope/base/random.h"

#include <charconv>
#include <numeric>
#include <utility>

namespace polariscope::sweep {

Shard parse_shard(std::string_view text) {
  Shard shard{0, 0};
  const char* end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, shard.index);
  const bool has_count = index.ec == std::errc() && index.ptr != end && *index.ptr == '/';
  const auto count = has_count ? std::from_chars(index.ptr + 1, end, shard.count) : index;
  const bool whole = has_count && count.ec == std::errc() && count.ptr == end;
  if (!whole || shard.index < 1 || shard.index > shard.count) {
    throw Error("\"{}\" is no part of a whole: give i/n with 1 <= i <= n, as in 3/8", text);
  }
  return shard;
}

std::vector<int> runs_of_shard(int runs, Shard shard) {
  std::vector<int> order(static_cast<std::size_t>(runs));
  std::iota(order.begin(), order.end(), 1);
  RandomStream random(0, 0);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  std::vector<int> mine;
  for (std::size_t i = static_cast<std::size_t>(shard.index) - 1; i < order.size();
       i += static_cast<std::size_t>(shard.count)) {
    mine.push_back(order[i]);
  }
  return mine;
}

std::filesystem::path database_path(const std::filesystem::path& folder, Shard shard) {
  if (shard.count == 1) return folder / "runs.sqlite";
  return folder / fmt::format("runs-{}-of-{}.sqlite", shard.index, shard.count);
}

std::filesystem::path lock_path(const std::filesystem::path& database) {
  return std::filesystem::path(database).replace_extension("lock");
}

std::filesystem::path run_path(const std::filesystem::path& folder, int run) {
  return folder / "runs" / fmt::format("{:05}", run);
}

}  // namespace polariscope::sweep
