#include "polariscope/tasks/text/internal/utf8.h"

#include <cstdint>
#include <cstring>

namespace polariscope::tasks::text {
namespace {

// Table 3-7 of the Unicode standard: the range of the second byte after each first byte.
struct Lead {
  std::size_t length;  // 0: no first byte
  unsigned char low, high;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

struct Read {
  CodePoint point;
  bool sound;
};

Read read_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = lead_of(byte(at));
  if (lead.length == 1) return {{byte(at), 1}, true};
  if (lead.length == 0) return {{kReplacement, 1}, false};
  char32_t value = byte(at) & (0xFFU >> (lead.length + 1));
  for (std::size_t i = 1; i < lead.length; ++i) {
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xBF;
    if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {{kReplacement, i}, false};
    value = value << 6 | (byte(at + i) & 0x3FU);
  }
  return {{value, lead.length}, true};
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) { return read_at(text, at).point; }

std::size_t code_point_before(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80) --at;
  return at;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::string utf8_of(char32_t code_point) {
  std::string text;
  append_utf8(text, code_point);
  return text;
}

// Eight bytes at a time.
std::size_t end_of_ascii(std::string_view text, std::size_t at) {
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data() + at, 8);
    if ((eight & 0x8080808080808080) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

bool is_ascii(std::string_view text) { return end_of_ascii(text, 0) == text.size(); }

std::string_view sound_utf8(std::string_view text, std::string& storage) {
  std::size_t copied = 0;
  bool unsound = false;
  storage.clear();
  for (std::size_t at = end_of_ascii(text, 0); at < text.size(); at = end_of_ascii(text, at)) {
    const Read read = read_at(text, at);
    if (!read.sound) {
      unsound = true;
      storage.append(text.substr(copied, at - copied));
      append_utf8(storage, kReplacement);
      copied = at + read.point.length;
    }
    at += read.point.length;
  }
  if (!unsound) return text;
  storage.append(text.substr(copied));
  return storage;
}

}  // namespace polariscope::tasks::text
