#include "polariscope/tasks/text/internal/pre_tokenizer.h"

#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

namespace polariscope::tasks::text {
namespace {

constexpr std::string_view kBlank = "\u2581";

// Passes pieces on to the parts from `part` on.
template <class Act>
class ActingTaker : public PieceTaker {
 public:
  explicit ActingTaker(const Act& act) : act_(act) {}
  void take(Piece piece) override { act_(piece); }

 private:
  const Act& act_;
};

}  // namespace

void PreTokenizerSequence::split_from(std::size_t part, Piece piece, MatchState& state, PieceTaker& taker) const {
  if (part == parts_.size()) return taker.take(piece);
  if (part + 1 == parts_.size()) return parts_[part]->split(piece, state, taker);
  const auto go_on = [&](Piece next) { split_from(part + 1, next, state, taker); };
  ActingTaker next(go_on);
  parts_[part]->split(piece, state, next);
}

void DelimiterJoiner::add(Span span, bool is_delimiter) {
  switch (behaviour_) {
    case Delimiter::kRemoved:
      if (!is_delimiter) pass(span);
      break;
    case Delimiter::kIsolated: pass(span); break;
    case Delimiter::kContiguous:
      if (holds_ && held_delimiter_ == is_delimiter) {
        held_.end = span.end;
      } else {
        hold(span, is_delimiter);
      }
      break;
    case Delimiter::kMergedWithPrevious:
      // Of delimiters in a row only the first is joined.
      if (is_delimiter && holds_ && !held_delimiter_) {
        held_.end = span.end;
        held_delimiter_ = true;
      } else {
        hold(span, is_delimiter);
      }
      break;
    case Delimiter::kMergedWithNext:
      if (!is_delimiter && holds_ && held_delimiter_) {
        held_.end = span.end;
        held_delimiter_ = false;
        flush();
      } else {
        hold(span, is_delimiter);
      }
      break;
  }
}

void PatternPreTokenizer::split(Piece piece, MatchState& state, PieceTaker& taker) const {
  DelimiterJoiner joiner(piece, behaviour_, taker);
  const std::string_view text = piece.text;
  std::size_t done = 0;  // everything before has been passed on
  Span match{};
  for (std::size_t from = 0; from <= text.size() && pattern_.find(text, from, state, match);) {
    if (done < match.begin) joiner.add({done, match.begin}, invert_);
    joiner.add(match, !invert_);
    done = match.end;
    // A match of nothing cuts; the next is looked for after one more character.
    from = match.end;
    if (match.begin == match.end) from += from < text.size() ? code_point_at(text, from).length : 1;
  }
  if (done < text.size()) joiner.add({done, text.size()}, invert_);
  joiner.finish();
}

void StringPreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  DelimiterJoiner joiner(piece, behaviour_, taker);
  const std::string_view text = piece.text;
  std::size_t done = 0;
  for (std::size_t at = text.find(delimiter_); at != std::string_view::npos; at = text.find(delimiter_, done)) {
    if (done < at) joiner.add({done, at}, invert_);
    joiner.add({at, at + delimiter_.size()}, !invert_);
    done = at + delimiter_.size();
  }
  if (done < text.size()) joiner.add({done, text.size()}, invert_);
  joiner.finish();
}

void ClassPreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  DelimiterJoiner joiner(piece, behaviour_, taker);
  const std::string_view text = piece.text;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [value, length] = code_point_at(text, at);
    if (is_delimiter_(value)) {
      if (done < at) joiner.add({done, at}, false);
      joiner.add({at, at + length}, true);
      done = at + length;
    }
    at += length;
  }
  if (done < text.size()) joiner.add({done, text.size()}, false);
  joiner.finish();
}

void WhitespacePreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  enum class Kind { kSpace, kWord, kOther };
  const std::string_view text = piece.text;
  std::size_t begin = 0;
  Kind before = Kind::kSpace;
  const auto pass = [&](std::size_t end) {
    if (before != Kind::kSpace && end > begin) {
      taker.take({text.substr(begin, end - begin), piece.begins_text && begin == 0});
    }
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto [value, length] = code_point_at(text, at);
    const Kind kind = is_word(value) ? Kind::kWord : is_white_space(value) ? Kind::kSpace : Kind::kOther;
    if (kind != before) pass(at);
    before = kind;
    at += length;
  }
  pass(text.size());
}

void PrefixSpacePreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  if (piece.text.starts_with(' ')) return taker.take(piece);
  const std::string prefixed = " " + std::string(piece.text);
  taker.take({prefixed, piece.begins_text});
}

void MetaspacePreTokenizer::split(Piece piece, MatchState& state, PieceTaker& taker) const {
  std::string text;
  text.reserve(piece.text.size() + piece.text.size() / 2 + replacement_.size());
  for (const char byte : piece.text) {
    if (byte == ' ') {
      text += replacement_;
    } else {
      text += byte;
    }
  }
  const bool prepends = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.begins_text);
  if (prepends && !text.starts_with(replacement_)) text.insert(0, replacement_);
  if (!cuts_) return taker.take({text, piece.begins_text});
  StringPreTokenizer(replacement_, Delimiter::kMergedWithNext, false).split({text, piece.begins_text}, state, taker);
}

void ByteCharactersPreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  std::string text;
  if (back_) {
    text = bytes_of_token(piece.text).value_or(std::string(piece.text));
  } else {
    for (const char byte : piece.text) append_utf8(text, character_of_byte(static_cast<unsigned char>(byte)));
  }
  taker.take({text, piece.begins_text});
}

void BlankPreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  const std::string_view text = piece.text;
  std::size_t begin = 0;
  for (std::size_t at = text.find(kBlank, 1); at != std::string_view::npos; at = text.find(kBlank, at + 1)) {
    if (text.substr(0, at).ends_with(kBlank)) continue;
    taker.take({text.substr(begin, at - begin), piece.begins_text && begin == 0});
    begin = at;
  }
  if (begin < text.size()) taker.take({text.substr(begin), piece.begins_text && begin == 0});
}

}  // namespace polariscope::tasks::text
