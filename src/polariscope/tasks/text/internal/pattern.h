// Regular expressions of pre-tokenizers: written for Oniguruma, which Hugging Face's tokenizers call, run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace polariscope::tasks::text {

// What a thread needs to match: PCRE2's results and stack. Any pattern may use any state, one at a time.
class MatchState {
 public:
  MatchState();
  ~MatchState();
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;

 private:
  friend class SplitPattern;
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

struct Span {
  std::size_t begin, end;
};

class SplitPattern {
 public:
  // Throws Error, begun with `where`, for what is no expression or uses what the two libraries understand differently
  // (back references, named groups, intersections of classes, …).
  SplitPattern(const std::string& expression, const std::string& where);

  // The first match that begins at byte `from` or later; false where there is none. `text` is sound UTF-8. Throws Error
  // where the expression takes more steps than any sane one.
  bool find(std::string_view text, std::size_t from, MatchState& state, Span& match) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  std::string where_;
};

// `expression` in PCRE2's syntax with the same meaning.
std::string pcre2_expression(const std::string& expression, const std::string& where);

}  // namespace polariscope::tasks::text
