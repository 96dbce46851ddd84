#include "polariscope/tasks/text/internal/added_tokens.h"

#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <algorithm>

namespace polariscope::tasks::text {

void AddedTokenFinder::add(AddedToken token) {
  if (token.looked_for.empty()) return;
  trie_.insert(token.looked_for, static_cast<std::int32_t>(tokens_.size()));
  tokens_.push_back(std::move(token));
}

bool AddedTokenFinder::next(std::string_view text, std::size_t from, std::size_t done, Hit& hit) const {
  if (tokens_.empty()) return false;
  for (std::size_t at = from; at < text.size(); ++at) {
    if (trie_.next(ByteTrie::kRoot, text[at]) == ByteTrie::kNone) continue;
    const auto match = trie_.longest(text, at);
    if (match.length == 0) continue;
    const auto number = static_cast<std::size_t>(match.value);
    const AddedToken& token = tokens_[number];
    std::size_t begin = at;
    std::size_t end = at + match.length;
    hit.resume = end;
    if (token.single_word) {
      const bool free_before = begin == 0 || !is_word(code_point_at(text, code_point_before(text, begin)).value);
      const bool free_after = end == text.size() || !is_word(code_point_at(text, end).value);
      if (!free_before || !free_after) {
        at = end - 1;  // the search goes on behind it
        continue;
      }
    }
    while (token.left_strip && begin > done) {
      const std::size_t before = code_point_before(text, begin);
      if (!is_white_space(code_point_at(text, before).value)) break;
      begin = before;
    }
    while (token.right_strip && end < text.size()) {
      const auto [value, length] = code_point_at(text, end);
      if (!is_white_space(value)) break;
      end += length;
    }
    hit.span = {std::max(begin, done), end};
    hit.token = number;
    return true;
  }
  return false;
}

}  // namespace polariscope::tasks::text
