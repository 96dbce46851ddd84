// What every task's fill() asks of its arguments.
#pragma once

#include "polariscope/base/error.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace polariscope::tasks {

// Throws Error unless the range is one and each array holds what `count` examples need.
inline void require_fill_sizes(std::string_view task, std::int64_t first, std::int64_t count, std::size_t tokens,
                               std::int64_t tokens_each, std::size_t targets, std::int64_t targets_each) {
  if (first < 0 || count < 0) throw Error("{}: examples {} and {} more: neither may be negative", task, first, count);
  const auto require = [&](std::string_view name, std::size_t size, std::int64_t each) {
    if (size != static_cast<std::size_t>(count * each)) {
      throw Error("{}: {} holds {} numbers: {} examples of {} need {}", task, name, size, count, each, count * each);
    }
  };
  require("tokens", tokens, tokens_each);
  require("targets", targets, targets_each);
}

}  // namespace polariscope::tasks
