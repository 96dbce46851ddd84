#include "polariscope/tasks/text/internal/vocabulary.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/readable.h"

#include <algorithm>
#include <limits>

namespace polariscope::tasks::text {

Vocabulary::Vocabulary(std::string where, std::size_t limit)
    : where_(std::move(where)),
      limit_(std::min<std::size_t>(limit, std::size_t{std::numeric_limits<std::int32_t>::max()} - 1)) {}

void Vocabulary::store(std::string_view text, std::int64_t id) {
  if (id < 0 || static_cast<std::uint64_t>(id) >= limit_) {
    throw Error("{}: token \"{}\" has number {}: expected one from 0 to {}, fewer than the file has bytes", where_,
                readable(text), id, limit_ - 1);
  }
  const auto index = static_cast<std::size_t>(id);
  if (index >= texts_.size()) {
    texts_.resize(index + 1);
    taken_.resize(index + 1);
  }
  if (taken_[index]) {
    throw Error("{}: tokens \"{}\" and \"{}\" have the same number {}", where_, readable(texts_[index]), readable(text),
                id);
  }
  texts_[index] = text;
  taken_[index] = true;
}

void Vocabulary::add(std::string_view text, std::int64_t id) {
  const auto known = find(text);
  if (known == id) return;
  if (known) throw Error("{}: token \"{}\" has two numbers, {} and {}", where_, readable(text), *known, id);
  store(text, id);
  ids_.emplace(text, static_cast<std::int32_t>(id));
}

void Vocabulary::add_repeatable(std::string_view text, std::int64_t id) {
  store(text, id);
  ids_.emplace(text, static_cast<std::int32_t>(id));
}

std::optional<std::int32_t> Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(std::string(text));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::int32_t Vocabulary::need(std::string_view text, std::string_view what) const {
  const auto found = find(text);
  if (!found) throw Error("{}: {} is \"{}\", which is no token of the vocabulary", where_, what, readable(text));
  return *found;
}

const std::string& Vocabulary::text(std::int32_t id) const {
  static const std::string kNone;
  return has(id) ? texts_[static_cast<std::size_t>(id)] : kNone;
}

bool Vocabulary::has(std::int32_t id) const { return id >= 0 && id < size() && taken_[static_cast<std::size_t>(id)]; }

}  // namespace polariscope::tasks::text
