// How text is cut into the pieces that tokens do not reach over: Hugging Face's pre-tokenizers.
#pragma once

#include "polariscope/tasks/text/internal/pattern.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

struct Piece {
  std::string_view text;  // not empty
  bool begins_text;       // it stands at the beginning of the whole text
};

// Who takes pieces, one after the other; a piece is valid during the call.
class PieceTaker {
 public:
  virtual void take(Piece piece) = 0;

 protected:
  ~PieceTaker() = default;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  PreTokenizer() = default;
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  virtual void split(Piece piece, MatchState& state, PieceTaker& taker) const = 0;
};
using PreTokenizerPart = std::unique_ptr<const PreTokenizer>;

// Each cuts the pieces of the one before.
class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<PreTokenizerPart> parts) : parts_(std::move(parts)) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override { split_from(0, piece, state, taker); }

 private:
  void split_from(std::size_t part, Piece piece, MatchState& state, PieceTaker& taker) const;

  std::vector<PreTokenizerPart> parts_;
};

// What becomes of the text between two pieces.
enum class Delimiter { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Takes the parts of a piece in order, delimiters and what is between, and passes on what they become. Only the last is
// kept back, so memory does not grow with the text.
class DelimiterJoiner {
 public:
  DelimiterJoiner(Piece piece, Delimiter behaviour, PieceTaker& taker)
      : piece_(piece), behaviour_(behaviour), taker_(taker) {}
  void add(Span span, bool is_delimiter);
  void finish() { flush(); }

 private:
  void pass(Span span) {
    if (span.end > span.begin) {
      taker_.take({piece_.text.substr(span.begin, span.end - span.begin), piece_.begins_text && span.begin == 0});
    }
  }
  void flush() {
    pass(held_);
    held_ = {0, 0};
    holds_ = false;
  }
  void hold(Span span, bool is_delimiter) {
    flush();
    held_ = span;
    holds_ = true;
    held_delimiter_ = is_delimiter;
  }

  Piece piece_;
  Delimiter behaviour_;
  PieceTaker& taker_;
  Span held_{0, 0};
  bool holds_ = false;
  bool held_delimiter_ = false;
};

// What matches a pattern is a delimiter, or what does not.
class PatternPreTokenizer : public PreTokenizer {
 public:
  PatternPreTokenizer(SplitPattern pattern, Delimiter behaviour, bool invert)
      : pattern_(std::move(pattern)), behaviour_(behaviour), invert_(invert) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;

 private:
  SplitPattern pattern_;
  Delimiter behaviour_;
  bool invert_;
};

class StringPreTokenizer : public PreTokenizer {
 public:
  StringPreTokenizer(std::string delimiter, Delimiter behaviour, bool invert)
      : delimiter_(std::move(delimiter)), behaviour_(behaviour), invert_(invert) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;

 private:
  std::string delimiter_;
  Delimiter behaviour_;
  bool invert_;
};

// Each character of a class is a delimiter.
class ClassPreTokenizer : public PreTokenizer {
 public:
  ClassPreTokenizer(bool (*is_delimiter)(char32_t), Delimiter behaviour)
      : is_delimiter_(is_delimiter), behaviour_(behaviour) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;

 private:
  bool (*is_delimiter_)(char32_t);
  Delimiter behaviour_;
};

// Words and what stands between words and spaces: the expression \w+|[^\w\s]+.
class WhitespacePreTokenizer : public PreTokenizer {
 public:
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;
};

// A space before a piece that has none: ByteLevel's add_prefix_space.
class PrefixSpacePreTokenizer : public PreTokenizer {
 public:
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;
};

// Spaces become "▁", which is also put before text; pieces begin with it.
class MetaspacePreTokenizer : public PreTokenizer {
 public:
  enum class Prepend { kNever, kFirst, kAlways };
  MetaspacePreTokenizer(std::string replacement, Prepend prepend, bool cuts)
      : replacement_(std::move(replacement)), prepend_(prepend), cuts_(cuts) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;

 private:
  std::string replacement_;
  Prepend prepend_;
  bool cuts_;
};

// Bytes as GPT-2's characters, and back: where a pre-tokenizer sees what ByteLevel made of the text.
class ByteCharactersPreTokenizer : public PreTokenizer {
 public:
  explicit ByteCharactersPreTokenizer(bool back) : back_(back) {}
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;

 private:
  bool back_;
};

// Before each "▁" that follows another character: for models whose tokens do not reach over it
// (may_split_before_blank).
class BlankPreTokenizer : public PreTokenizer {
 public:
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;
};

}  // namespace polariscope::tasks::text
