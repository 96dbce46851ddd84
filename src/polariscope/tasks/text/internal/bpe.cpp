#include "polariscope/tasks/text/internal/bpe.h"

#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace polariscope::tasks::text {
namespace {

constexpr std::string_view kBlank = "\u2581";
// Below it a scan over all pairs for each merge beats a heap.
constexpr std::size_t kFewSymbols = 32;
constexpr std::int32_t kUnknownSymbol = -1;

}  // namespace

MergeTable::MergeTable(const std::vector<BpeMerge>& merges)
    : mask_(std::bit_ceil(merges.size() * 2 + 1) - 1), slots_(mask_ + 1, Slot{kEmpty, {kNoRank, 0}}) {
  for (const BpeMerge& merge : merges) {
    const std::uint64_t key = key_of(merge.left, merge.right);
    std::size_t at = home_of(key);
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
    slots_[at] = {key, {merge.rank, merge.merged}};
  }
}

Bpe::Bpe(std::shared_ptr<const Vocabulary> vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options,
         std::unordered_map<std::string, std::int32_t> loose)
    : vocabulary_(std::move(vocabulary)), merges_(merges), options_(std::move(options)), loose_(std::move(loose)) {
  for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    const std::string token = options_.bytes ? utf8_of(character_of_byte(value)) : byte_token(value);
    bytes_[byte] = vocabulary_->find(token).value_or(-1);
    last_bytes_[byte] = vocabulary_->find(token + options_.end_suffix).value_or(-1);
  }
  if (options_.whole_words_first) {
    for (std::int32_t id = 0; id < vocabulary_->size(); ++id) {
      const auto bytes = options_.bytes ? bytes_of_token(vocabulary_->text(id)) : vocabulary_->text(id);
      if (bytes && !bytes->empty()) words_.insert(*bytes, id);
    }
  }
  // No merge joins something and a blank after it: then words that begin with blanks do not know of each other. The
  // blank itself must be a token, for unknown characters on both sides of it would else be fused.
  const auto text_of = [&](std::int32_t id) -> std::string_view {
    return id < vocabulary_->size() ? std::string_view(vocabulary_->text(id)) : std::string_view();
  };
  may_split_before_blank_ = vocabulary_->find(kBlank).has_value() && !loose_.contains(std::string(kBlank)) &&
                            !options_.bytes && !options_.whole_words_first && options_.continuing_prefix.empty() &&
                            options_.end_suffix.empty() &&
                            std::none_of(merges.begin(), merges.end(), [&](const BpeMerge& merge) {
                              return text_of(merge.right).starts_with(kBlank) && !text_of(merge.left).ends_with(kBlank);
                            });
}

void Bpe::add_character(std::string_view piece, std::size_t at, std::size_t length, Workspace& work,
                        std::optional<MergeSymbol>& unknown) const {
  const auto symbol = [&](std::int32_t id, std::size_t begin, std::size_t bytes) {
    return MergeSymbol{id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(bytes), -1, -1};
  };
  std::string text(piece.substr(at, length));
  if (at > 0) text.insert(0, options_.continuing_prefix);
  if (at + length == piece.size()) text += options_.end_suffix;
  if (const auto id = vocabulary_->find(text)) {
    if (unknown) work.symbols.push_back(*unknown);
    unknown.reset();
    work.symbols.push_back(symbol(*id, at, length));
    return;
  }
  if (options_.late_fallback) {
    const auto loose = loose_.find(text);
    work.symbols.push_back(symbol(loose == loose_.end() ? kUnknownSymbol : loose->second, at, length));
    return;
  }
  const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
  if (options_.byte_fallback && std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : text) work.symbols.push_back(symbol(id_of(byte), at, 1));
    return;
  }
  if (!options_.unknown) return;  // as Hugging Face's: without a token for it, it is left out
  if (unknown && !options_.fuse_unknown) work.symbols.push_back(*unknown);
  if (!unknown || !options_.fuse_unknown) unknown = symbol(*options_.unknown, at, length);
}

void Bpe::start_symbols(std::string_view piece, Workspace& work) const {
  work.symbols.clear();
  std::optional<MergeSymbol> unknown;
  if (options_.bytes) {
    for (std::size_t at = 0; at < piece.size(); ++at) {
      const std::int32_t id = (at + 1 < piece.size() ? bytes_ : last_bytes_)[static_cast<unsigned char>(piece[at])];
      if (id >= 0) {
        if (unknown) work.symbols.push_back(*unknown);
        unknown.reset();
        work.symbols.push_back({id, static_cast<std::uint32_t>(at), 1, -1, -1});
      } else if (options_.unknown) {
        if (unknown && !options_.fuse_unknown) work.symbols.push_back(*unknown);
        if (!unknown || !options_.fuse_unknown)
          unknown = MergeSymbol{*options_.unknown, static_cast<std::uint32_t>(at), 1, -1, -1};
      }
    }
  } else {
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t length = code_point_at(piece, at).length;
      add_character(piece, at, length, work, unknown);
      at += length;
    }
  }
  if (unknown) work.symbols.push_back(*unknown);
}

// Each merge takes the best of all neighbouring pairs, whose ranks are kept in `next`'s place.
void Bpe::merge_few(std::vector<MergeSymbol>& symbols) const {
  std::array<MergeTable::Result, kFewSymbols> pairs{};
  std::size_t count = symbols.size();
  const auto pair_at = [&](std::size_t i) {
    return i + 1 < count ? merges_.find(symbols[i].id, symbols[i + 1].id) : MergeTable::Result{MergeTable::kNoRank, 0};
  };
  for (std::size_t i = 0; i < count; ++i) pairs[i] = pair_at(i);
  while (true) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (count < 2 || pairs[best].rank == MergeTable::kNoRank) break;
    symbols[best].id = pairs[best].merged;
    symbols[best].length += symbols[best + 1].length;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(pairs.begin() + best + 2, pairs.begin() + count, pairs.begin() + best + 1);
    --count;
    pairs[best] = pair_at(best);
    if (best > 0) pairs[best - 1] = pair_at(best - 1);
  }
  symbols.resize(count);
}

// A linked list of symbols and a heap of candidates; one whose symbols have changed since is dropped when it comes up.
void Bpe::merge_many(Workspace& work) const {
  auto& symbols = work.symbols;
  auto& heap = work.candidates;
  heap.clear();
  const auto later = [](const MergeCandidate& a, const MergeCandidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  const auto at = [&](std::int32_t i) -> MergeSymbol& { return symbols[static_cast<std::size_t>(i)]; };
  const auto propose = [&](std::int32_t left) {
    if (left < 0 || at(left).next < 0) return;
    const auto [rank, merged] = merges_.find(at(left).id, at(at(left).next).id);
    if (rank == MergeTable::kNoRank) return;
    heap.push_back({rank, left, merged});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  const auto count = static_cast<std::int32_t>(symbols.size());
  for (std::int32_t i = 0; i < count; ++i) {
    at(i).previous = i - 1;
    at(i).next = i + 1 < count ? i + 1 : -1;
  }
  for (std::int32_t i = 0; i + 1 < count; ++i) propose(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const MergeCandidate best = heap.back();
    heap.pop_back();
    MergeSymbol& left = at(best.left);
    if (left.length == 0 || left.next < 0) continue;
    MergeSymbol& right = at(left.next);
    const auto now = merges_.find(left.id, right.id);
    if (now.rank != best.rank || now.merged != best.merged) continue;
    left.id = best.merged;
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) at(right.next).previous = best.left;
    propose(left.previous);
    propose(best.left);
  }
  std::erase_if(symbols, [](const MergeSymbol& symbol) { return symbol.length == 0; });
}

void Bpe::append_fallback(std::string_view text, bool& after_unknown, std::vector<std::int32_t>& ids) const {
  const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
  if (options_.byte_fallback && std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : text) ids.push_back(id_of(byte));
    after_unknown = false;
    return;
  }
  if (options_.unknown && !(after_unknown && options_.fuse_unknown)) ids.push_back(*options_.unknown);
  after_unknown = true;
}

void Bpe::append(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const {
  if (options_.whole_words_first) {
    const std::int32_t node = words_.walk(ByteTrie::kRoot, piece);
    if (node != ByteTrie::kNone && words_.value(node) != ByteTrie::kNone) {
      ids.push_back(words_.value(node));
      return;
    }
  }
  start_symbols(piece, work);
  if (work.symbols.size() <= kFewSymbols) {
    merge_few(work.symbols);
  } else {
    merge_many(work);
  }
  bool after_unknown = false;
  for (const MergeSymbol& symbol : work.symbols) {
    if (symbol.id >= 0 && symbol.id < vocabulary_->size()) {
      ids.push_back(symbol.id);
      after_unknown = false;
    } else {
      append_fallback(piece.substr(symbol.begin, symbol.length), after_unknown, ids);
    }
  }
}

std::vector<BpeMerge> merges_by_score(const Vocabulary& vocabulary, const std::vector<float>& scores,
                                      const std::vector<bool>& takes_part,
                                      std::unordered_map<std::string, std::int32_t>& loose) {
  const auto id_of = [&](std::string_view text, bool one_character) -> std::int32_t {
    if (const auto id = vocabulary.find(text)) {
      if (takes_part[static_cast<std::size_t>(*id)]) return *id;
    }
    if (!one_character) return -1;
    const auto number = vocabulary.size() + static_cast<std::int32_t>(loose.size());
    return loose.emplace(text, number).first->second;
  };
  std::vector<std::int32_t> by_score(static_cast<std::size_t>(vocabulary.size()));
  std::iota(by_score.begin(), by_score.end(), 0);
  std::stable_sort(by_score.begin(), by_score.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  std::vector<BpeMerge> merges;
  std::uint32_t rank = 0;
  float score = 0;
  for (std::size_t place = 0; place < by_score.size(); ++place) {
    const std::int32_t id = by_score[place];
    // Tokens of one score have one rank: of their merges the leftmost is first.
    if (place == 0 || scores[static_cast<std::size_t>(id)] != score) rank = static_cast<std::uint32_t>(place);
    score = scores[static_cast<std::size_t>(id)];
    const std::string& text = vocabulary.text(id);
    if (!takes_part[static_cast<std::size_t>(id)] || vocabulary.find(text) != id || text.empty()) continue;
    const std::size_t first = code_point_at(text, 0).length;
    for (std::size_t cut = first; cut < text.size();) {
      const std::size_t length = code_point_at(text, cut).length;
      const std::string_view left = std::string_view(text).substr(0, cut);
      const std::string_view right = std::string_view(text).substr(cut);
      const std::int32_t left_id = id_of(left, cut == first);
      const std::int32_t right_id = left_id < 0 ? -1 : id_of(right, cut + length == text.size());
      if (right_id >= 0) merges.push_back({left_id, right_id, rank, id});
      cut += length;
    }
  }
  return merges;
}

}  // namespace polariscope::tasks::text
