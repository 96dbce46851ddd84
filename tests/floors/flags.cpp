#include "flags.h"

#include <regex>

namespace polariscope::testing {

std::vector<std::string> flags_in_literals(const std::string& text) {
  static const std::regex kToken(
      R"re(//[^\n]*|/\*[^]*?\*/|R"(\w*)\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|^\s*#(?:\\\n|[^\n])*)re",
      std::regex::ECMAScript | std::regex::multiline);
  static const std::regex kFlag(R"((?:^|[^\w-])(--[a-z][a-z0-9-]*))");
  std::vector<std::string> flags;
  for (std::sregex_iterator token(text.begin(), text.end(), kToken), end; token != end; ++token) {
    const std::string word = token->str();
    if (word.front() != '"' && word.front() != 'R') continue;
    for (std::sregex_iterator flag(word.begin(), word.end(), kFlag); flag != end; ++flag) flags.push_back((*flag)[1]);
  }
  return flags;
}

}  // namespace polariscope::testing
