#include "polariscope/tasks/text/internal/word_piece.h"

#include <algorithm>

namespace polariscope::tasks::text {

WordPiece::WordPiece(const Vocabulary& vocabulary, std::int32_t unknown, const std::string& prefix,
                     std::size_t most_characters)
    : unknown_(unknown), most_characters_(most_characters) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.text(id).empty()) trie_.insert(vocabulary.text(id), id);
  }
  continued_ = trie_.walk(ByteTrie::kRoot, prefix);
}

void WordPiece::append(std::string_view piece, Workspace&, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  const auto unknown = [&] {
    ids.resize(before);
    ids.push_back(unknown_);
  };
  const auto characters = std::count_if(piece.begin(), piece.end(),
                                        [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80; });
  if (static_cast<std::size_t>(characters) > most_characters_) return unknown();
  for (std::size_t at = 0; at < piece.size();) {
    std::int32_t node = at == 0 ? ByteTrie::kRoot : continued_;
    std::int32_t best = ByteTrie::kNone;
    std::size_t after = at;
    for (std::size_t end = at; end < piece.size() && node != ByteTrie::kNone;) {
      node = trie_.next(node, piece[end]);
      ++end;
      if (node == ByteTrie::kNone || trie_.value(node) == ByteTrie::kNone) continue;
      best = trie_.value(node);
      after = end;
    }
    if (best == ByteTrie::kNone) return unknown();
    ids.push_back(best);
    at = after;
  }
}

}  // namespace polariscope::tasks::text
