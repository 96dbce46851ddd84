// GPT-2's characters for bytes: printable ones stand for themselves, the others for U+0100 on, so that a vocabulary is
// text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace polariscope::tasks::text {

char32_t character_of_byte(unsigned char byte);
// The byte that `character` stands for.
std::optional<unsigned char> byte_of_character(char32_t character);
// The bytes that `token` stands for; nullopt where it has another character.
std::optional<std::string> bytes_of_token(std::string_view token);

// "<0x0A>" of SentencePiece's vocabularies.
std::string byte_token(unsigned char byte);
std::optional<unsigned char> byte_of_token(std::string_view token);

}  // namespace polariscope::tasks::text
