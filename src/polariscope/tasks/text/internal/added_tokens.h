// Tokens that are looked for in text as they stand, before anything else is done to it.
#pragma once

#include "polariscope/tasks/text/internal/byte_trie.h"
#include "polariscope/tasks/text/internal/pattern.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;
  bool single_word = false;                      // only between characters that belong to no word
  bool left_strip = false, right_strip = false;  // takes the white space on that side with it
  bool normalized = false;                       // looked for in normalised text
  std::string looked_for = {};                   // there; "": its normalised content
};

// Finds tokens in text: of those that begin at one place the longest, leftmost first.
class AddedTokenFinder {
 public:
  // Looks for `token.looked_for`; where that is empty, for nothing.
  void add(AddedToken token);
  bool empty() const { return tokens_.empty(); }

  // Calls `text(span)` for what is between tokens and `found(token)` for these, in order.
  template <class Text, class Found>
  void split(std::string_view text, const Text& between, const Found& found) const {
    std::size_t done = 0;
    Hit hit;
    for (std::size_t from = 0; next(text, from, done, hit);) {
      if (done < hit.span.begin) between(Span{done, hit.span.begin});
      found(tokens_[hit.token]);
      done = hit.span.end;
      from = hit.resume;
    }
    if (done < text.size()) between(Span{done, text.size()});
  }

 private:
  struct Hit {
    Span span;
    std::size_t token;
    std::size_t resume;  // where the next is looked for
  };
  bool next(std::string_view text, std::size_t from, std::size_t done, Hit& hit) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;
};

}  // namespace polariscope::tasks::text
