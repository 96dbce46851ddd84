#include "polariscope/train/language_text.h"

#include "polariscope/base/embedded.h"
#include "polariscope/base/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>

POLARISCOPE_EMBEDDED(polariscope_pages, text);

namespace polariscope::train {

LanguageText::LanguageText(const std::string& data) {
  if (data == "example") {
    bytes_ = embedded(polariscope_pages_text, polariscope_pages_text_end);
  } else {
    shards_.emplace(data);
  }
}

void LanguageText::verify() const {
  if (shards_) shards_->verify();
}

std::int64_t LanguageText::size() const { return shards_ ? shards_->size() : std::ssize(bytes_); }
std::int64_t LanguageText::vocabulary() const { return shards_ ? shards_->vocabulary() : 256; }
std::string LanguageText::fingerprint() const {
  return shards_ ? shards_->fingerprint() : fmt::format("{:016x}", polariscope::fingerprint(bytes_));
}

bool LanguageText::is_bytes() const { return !shards_ || shards_->index().tokenizer.starts_with("bytes,"); }

void LanguageText::read(std::int64_t first, std::span<std::int64_t> into) const {
  if (shards_) return shards_->read(first, into);
  std::ranges::transform(bytes_.substr(static_cast<std::size_t>(first), into.size()), into.begin(),
                         [](char byte) { return static_cast<unsigned char>(byte); });
}

}  // namespace polariscope::train
