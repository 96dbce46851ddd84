// UTF-8 as tokenizers see it. Text is made sound once, at the door; all behind it may take it for sound.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace polariscope::tasks::text {

constexpr char32_t kReplacement = 0xFFFD;

struct CodePoint {
  char32_t value;
  std::size_t length;  // bytes, at least 1
};

// The code point that begins at byte `at` < text.size(). What is no UTF-8 is U+FFFD over the longest part of a code
// point that stands there, at least one byte: what Python's errors="replace" makes of it (Unicode 15, section 3.9,
// table 3-8).
CodePoint code_point_at(std::string_view text, std::size_t at);

// Where the code point that ends before byte `end` > 0 of sound text begins.
std::size_t code_point_before(std::string_view text, std::size_t end);

void append_utf8(std::string& text, char32_t code_point);
std::string utf8_of(char32_t code_point);

// The first byte from `at` on that is not ASCII.
std::size_t end_of_ascii(std::string_view text, std::size_t at);
bool is_ascii(std::string_view text);

// `text` itself where it is sound; else its repaired copy in `storage`, each unsound part one U+FFFD.
std::string_view sound_utf8(std::string_view text, std::string& storage);

}  // namespace polariscope::tasks::text
