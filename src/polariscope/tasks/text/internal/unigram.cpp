#include "polariscope/tasks/text/internal/unigram.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <algorithm>
#include <limits>

namespace polariscope::tasks::text {
namespace {

// SentencePiece's unigram_model.cc: an unknown character is that much worse than the worst token.
constexpr double kUnknownPenalty = 10;

}  // namespace

Unigram::Unigram(const std::vector<Token>& tokens, UnigramOptions options) : options_(std::move(options)) {
  bytes_.fill(-1);
  double worst = std::numeric_limits<double>::infinity();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const Token& token = tokens[id];
    scores_.push_back(token.score);
    const auto number = static_cast<std::int32_t>(id);
    if (const auto byte = byte_of_token(token.text); byte && bytes_[*byte] < 0) bytes_[*byte] = number;
    if (!token.in_text || token.text.empty()) continue;
    worst = std::min(worst, token.score);
    trie_.insert(token.text, number);
  }
  unknown_score_ = (worst == std::numeric_limits<double>::infinity() ? 0 : worst) - kUnknownPenalty;
}

// best[e] = max over tokens t that end at byte e of best[e - |t|] + score(t); of equal ones the longest, which is met
// first.
void Unigram::append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const {
  auto& best = work.nodes;
  best.assign(piece.size() + 1, UnigramNode{0, -1, -1});
  const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, double score) {
    if (options_.single_precision) score = static_cast<float>(score);
    UnigramNode& node = best[end];
    if (node.begin >= 0 && score <= node.score) return;
    node = {score, id, static_cast<std::int64_t>(begin)};
  };
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length = code_point_at(piece, at).length;
    const double so_far = best[at].score;
    bool one_character = false;
    std::int32_t node = ByteTrie::kRoot;
    for (std::size_t end = at; end < piece.size();) {
      node = trie_.next(node, piece[end]);
      if (node == ByteTrie::kNone) break;
      ++end;
      const std::int32_t id = trie_.value(node);
      if (id == ByteTrie::kNone) continue;
      one_character = one_character || end - at == length;
      offer(at, end, id, so_far + scores_[static_cast<std::size_t>(id)]);
    }
    if (!one_character) offer(at, at + length, -1, so_far + unknown_score_);
    at += length;
  }
  // Back from the end; ids are appended in reverse and turned round.
  const auto first = static_cast<std::ptrdiff_t>(ids.size());
  for (std::size_t end = piece.size(); end > 0;) {
    std::size_t begin = static_cast<std::size_t>(best[end].begin);
    if (best[end].id >= 0) {
      ids.push_back(best[end].id);
    } else {
      while (begin > 0 && best[begin].id < 0) begin = static_cast<std::size_t>(best[begin].begin);
      const std::string_view unknown = piece.substr(begin, end - begin);
      const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
      if (options_.byte_fallback &&
          std::all_of(unknown.begin(), unknown.end(), [&](char byte) { return id_of(byte) >= 0; })) {
        std::for_each(unknown.rbegin(), unknown.rend(), [&](char byte) { ids.push_back(id_of(byte)); });
      } else if (options_.unknown) {
        ids.push_back(*options_.unknown);
      } else {
        throw Error("{}: text \"{}\" has no token, and there is none for unknown text", options_.where,
                    readable(unknown));
      }
    }
    end = begin;
  }
  std::reverse(ids.begin() + first, ids.end());
}

}  // namespace polariscope::tasks::text
