#include "types.h"

#include <cstddef>
#include <regex>

namespace polariscope::testing {
namespace {

// Words and the punctuation that opens, ends or names a scope; comments, literals and directives are left out.
std::vector<std::string> tokens_of(const std::string& text) {
  static const std::regex kToken(
      R"re(//[^\n]*|/\*[^]*?\*/|R"(\w*)\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')re"
      R"re(|^\s*#(?:\\\n|[^\n])*|\w+|::|[{};:<>,=()])re",
      std::regex::ECMAScript | std::regex::multiline);
  static const std::regex kKept(R"re(\w+|::|[{};:<>,=()])re");
  std::vector<std::string> tokens;
  for (std::sregex_iterator token(text.begin(), text.end(), kToken), end; token != end; ++token) {
    std::string word = token->str();
    if (std::regex_match(word, kKept)) tokens.push_back(std::move(word));
  }
  return tokens;
}

bool is_word(const std::string& token) {
  return token.front() == '_' || std::isalnum(static_cast<unsigned char>(token.front()));
}

class Reader {
 public:
  explicit Reader(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  std::vector<std::string> types() {
    for (at_ = 0; at_ < tokens_.size(); ++at_) {
      const std::string& token = tokens_[at_];
      if (token == "namespace") {
        enter_namespace();
      } else if (token == "struct" || token == "class" || token == "union" || token == "enum") {
        read_type();
      } else if (token == "{") {
        scopes_.push_back({.is_namespace = false});
      } else if (token == "}" && !scopes_.empty()) {
        scopes_.pop_back();
      }
    }
    return std::move(found_);
  }

 private:
  struct Scope {
    bool is_namespace;
    std::string name = "";  // "" of an unnamed one
  };

  std::string token(std::size_t i) const { return i < tokens_.size() ? tokens_[i] : ";"; }

  void enter_namespace() {
    std::string name;
    std::size_t next = at_ + 1;
    for (; is_word(token(next)) || token(next) == "::"; ++next) name += token(next);
    if (token(next) != "{") return;  // an alias or a directive
    scopes_.push_back({.is_namespace = true, .name = name});
    at_ = next;
  }

  void read_type() {
    std::size_t next = at_ + 1;
    while (token(next) == "class" || token(next) == "struct") ++next;
    const std::string name = token(at_ = next++);
    if (!is_word(name)) return;
    if (token(next) == "final") ++next;
    if (token(next) == ":") {  // bases or the type behind an enumeration
      while (token(next) != "{" && token(next) != ";") ++next;
    }
    if (token(next) != "{") return;
    std::string full;
    for (const Scope& scope : scopes_) {
      if (!scope.is_namespace || scope.name.empty()) return;
      full += scope.name + "::";
    }
    found_.push_back(full + name);
  }

  std::vector<std::string> tokens_;
  std::size_t at_ = 0;
  std::vector<Scope> scopes_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> defined_types(const std::string& text) { return Reader(tokens_of(text)).types(); }

}  // namespace polariscope::testing
