// Classes of characters, as Rust's char and regex see them: Hugging Face's tokenizers are written in terms of those.
// Properties are utf8proc's.
#pragma once

#include <string>

namespace polariscope::tasks::text {

bool is_white_space(char32_t c);      // property White_Space
bool is_word(char32_t c);             // \w of UTS 18: Alphabetic, marks, decimal digits, connectors, joiners
bool is_letter(char32_t c);           // L*
bool is_numeric(char32_t c);          // Nd, Nl, No
bool is_punctuation(char32_t c);      // P*, and all of ASCII's that is neither letter, digit, space nor control
bool is_mark(char32_t c);             // Mn, Mc, Me
bool is_nonspacing_mark(char32_t c);  // Mn
bool is_control(char32_t c);          // Cc, Cf, Co, Cs and not tab, line feed, carriage return
bool is_chinese(char32_t c);          // what BERT takes for a word of its own
void append_lower(std::string& text, char32_t c);

}  // namespace polariscope::tasks::text
