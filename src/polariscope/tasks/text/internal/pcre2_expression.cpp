// Oniguruma's syntax read, PCRE2's written. Where the two mean the same it is copied; where they differ it is written
// out; what is left is refused. https://github.com/kkos/oniguruma/blob/master/doc/RE and pcre2pattern(3).
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/pattern.h"
#include "polariscope/tasks/text/internal/readable.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

namespace polariscope::tasks::text {
namespace {

// White_Space and its complement, inside a class: PCRE2's \s has U+180E as well.
constexpr const char* kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kNoSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Alphabetic, marks, decimal digits, connectors: PCRE2's \w is letters, numbers and "_".
constexpr const char* kWord =
    R"(\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

class Translation {
 public:
  Translation(const std::string& expression, const std::string& where) : in_(expression), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      switch (in_[at_]) {
        case '\\': escape(); break;
        case '[': item_ = out_.size(), char_class(); break;
        case '(': group(); break;
        case ')': close(); break;
        case '*':
        case '+':
        case '?': quantifier(std::string(1, in_[at_++]), true); break;
        case '{': interval(); break;
        case '|':
        case '^':
        case '$': item_.reset(), out_ += in_[at_++]; break;
        default: character(); break;
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error("{}: \"{}\" uses {}, which is not read here", where_, readable(in_), what);
  }

  bool next_is(std::string_view text) const { return std::string_view(in_).substr(at_).starts_with(text); }

  void character() {
    item_ = out_.size();
    do {
      out_ += in_[at_++];
    } while (at_ < in_.size() && (static_cast<unsigned char>(in_[at_]) & 0xC0U) == 0x80);
  }

  // The escape after a backslash, outside a class.
  void escape() {
    item_ = out_.size();
    if (at_ + 1 >= in_.size()) refuse("a backslash at its end");
    const char kind = in_[at_ + 1];
    const auto put = [&](const std::string& text) { out_ += text, at_ += 2; };
    switch (kind) {
      case 's': put(std::string("[") + kSpace + "]"); break;
      case 'S': put(std::string("[^") + kSpace + "]"); break;
      case 'w': put(std::string("[") + kWord + "]"); break;
      case 'W': put(std::string("[^") + kWord + "]"); break;
      case 'b':
      case 'B': {
        const std::string word = std::string("[") + kWord + "])";
        item_.reset();
        put(kind == 'b' ? "(?:(?<=" + word + "(?!" + word + "|(?<!" + word + "(?=" + word + ")"
                        : "(?:(?<=" + word + "(?=" + word + "|(?<!" + word + "(?!" + word + ")");
        break;
      }
      case 'A':
      case 'z':
      case 'Z': item_.reset(), put(std::string("\\") + kind); break;
      default: shared_escape();
    }
  }

  // Escapes that mean one thing inside and outside a class.
  void shared_escape() {
    const char kind = in_[at_ + 1];
    if (kind == 'p' || kind == 'P') return property();
    if (kind == 'u' || kind == 'x') return code();
    if (kind == 'v') {
      out_ += "\\x{b}";
    } else if (std::string_view("dDrntfae").find(kind) != std::string_view::npos ||
               (static_cast<unsigned char>(kind) < 0x80 && std::isalnum(static_cast<unsigned char>(kind)) == 0)) {
      out_ += {'\\', kind};
    } else {
      refuse(std::string("\\") + kind);
    }
    at_ += 2;
  }

  // \p{L}, \P{L}, \p{^L}; \p{Han} is the script, not what is used with it.
  void property() {
    const std::size_t end = in_.find('}', at_);
    if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || end == std::string::npos) refuse("\\p without {…}");
    std::string name = in_.substr(at_ + 3, end - at_ - 3);
    std::string sign;
    if (name.starts_with('^')) sign = "^", name.erase(0, 1);
    const bool is_category = name.size() <= 2;
    out_ += std::string("\\") + in_[at_ + 1] + "{" + sign + (is_category ? "" : "sc:") + name + "}";
    at_ = end + 1;
  }

  // \x41, \x{41}, \u0041
  void code() {
    std::size_t from = at_ + 2;
    std::size_t length = in_[at_ + 1] == 'u' ? 4 : 2;
    std::size_t after = from + length;
    if (from < in_.size() && in_[from] == '{') {
      const std::size_t end = in_.find('}', from);
      length = end == std::string::npos ? 0 : end - from - 1;
      ++from;
      after = from + length + 1;
    }
    const std::string digits = in_.substr(std::min(from, in_.size()), length);
    const bool sound = !digits.empty() && digits.size() <= 6 && after <= in_.size() &&
                       digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!sound) refuse("a code point without hexadecimal digits");
    out_ += "\\x{" + digits + "}";
    at_ = after;
  }

  void char_class() {
    int depth = 0;
    bool first = false;  // the next may be a "]" that is meant
    while (true) {
      if (at_ >= in_.size()) refuse("a class without its end");
      if (next_is("[:")) refuse("a class by POSIX name");
      if (next_is("&&")) refuse("an intersection of classes");
      const char c = in_[at_];
      if (c == '[') {
        // A class inside a class is a part of it: its brackets go.
        if (++depth == 1) out_ += '[';
        first = true;
        ++at_;
        if (at_ < in_.size() && in_[at_] == '^') {
          if (depth > 1) refuse("a negated class inside a class");
          out_ += '^', ++at_;
        }
        continue;
      }
      if (c == ']' && first) refuse("an empty class");
      first = false;
      if (c == ']') {
        ++at_;
        if (--depth == 0) break;
      } else if (c == '\\') {
        class_escape();
      } else {
        out_ += c, ++at_;
      }
    }
    out_ += ']';
  }

  void class_escape() {
    if (at_ + 1 >= in_.size()) refuse("a backslash at its end");
    const char kind = in_[at_ + 1];
    if (kind == 's' || kind == 'S' || kind == 'w') {
      out_ += kind == 's' ? kSpace : kind == 'S' ? kNoSpace : kWord;
      at_ += 2;
    } else {
      shared_escape();
    }
  }

  void group() {
    open_.push_back(out_.size());
    item_.reset();
    for (const std::string_view kind : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"}) {
      if (next_is(kind)) {
        out_ += kind, at_ += kind.size();
        return;
      }
    }
    if (next_is("(?i)")) {
      open_.pop_back();
      out_ += "(?i)", at_ += 4;
      return;
    }
    if (next_is("(?")) refuse("a group \"" + in_.substr(at_, 4) + "…\"");
    // Nothing refers to what a group caught.
    out_ += "(?:", ++at_;
  }

  void close() {
    if (open_.empty()) refuse("a closing bracket without its opening one");
    item_ = open_.back();
    open_.pop_back();
    out_ += ')', ++at_;
  }

  void quantifier(const std::string& text, bool takes_sign) {
    if (!item_) refuse("a quantifier of nothing");
    out_ += text;
    if (takes_sign && at_ < in_.size() && (in_[at_] == '?' || in_[at_] == '+')) out_ += in_[at_++];
    wrap();
  }

  // One more quantifier may follow, of the whole: PCRE2 would read it as a sign of this one.
  void wrap() {
    if (at_ >= in_.size() || std::string_view("*+?{").find(in_[at_]) == std::string_view::npos) {
      item_.reset();
      return;
    }
    out_.insert(*item_, "(?:");
    out_ += ')';
  }

  // {3}, {1,3}, {1,}, {,3}; with "?" only {1,3} is lazy, and with "+" none is possessive.
  void interval() {
    const std::size_t end = in_.find('}', at_);
    const std::string inside = end == std::string::npos ? "" : in_.substr(at_ + 1, end - at_ - 1);
    const std::size_t comma = inside.find(',');
    if (inside.empty() || inside == "," || inside.size() > 11 ||
        inside.find_first_not_of("0123456789,") != std::string::npos || comma != inside.rfind(',')) {
      item_ = out_.size();
      out_ += "\\{", ++at_;
      return;
    }
    at_ = end + 1;
    const bool lazy = comma != std::string::npos && at_ < in_.size() && in_[at_] == '?';
    if (lazy) ++at_;
    quantifier("{" + std::string(comma == 0 ? "0" : "") + inside + (lazy ? "}?" : "}"), false);
  }

  const std::string& in_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<std::size_t> open_;         // where the groups that are not closed yet begin in out_
  std::optional<std::size_t> item_ = {};  // where what a quantifier would count begins in out_
};

}  // namespace

std::string pcre2_expression(const std::string& expression, const std::string& where) {
  return Translation(expression, where).run();
}

}  // namespace polariscope::tasks::text
