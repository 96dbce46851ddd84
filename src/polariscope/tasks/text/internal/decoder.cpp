#include "polariscope/tasks/text/internal/decoder.h"

#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <array>
#include <utility>

namespace polariscope::tasks::text {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  if (from.empty() || text.find(from) == std::string::npos) return text;
  std::string result;
  std::size_t copied = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, copied)) {
    result.append(text, copied, at - copied).append(to);
    copied = at + from.size();
  }
  return std::move(result.append(text, copied));
}

void ByteLevelDecoder::apply(std::vector<std::string>& tokens) const {
  std::string bytes;
  for (const std::string& token : tokens) bytes += bytes_of_token(token).value_or(token);
  std::string storage;
  tokens.assign(1, std::string(sound_utf8(bytes, storage)));
}

void ByteFallbackDecoder::apply(std::vector<std::string>& tokens) const {
  std::vector<std::string> result;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    std::string storage;
    // Bytes that are no text are as many U+FFFD as they are.
    if (sound_utf8(bytes, storage).data() == bytes.data()) {
      result.push_back(bytes);
    } else {
      result.insert(result.end(), bytes.size(), utf8_of(kReplacement));
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_of_token(token)) {
      bytes.push_back(static_cast<char>(*byte));
    } else {
      flush();
      result.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(result);
}

void FuseDecoder::apply(std::vector<std::string>& tokens) const {
  std::string whole;
  for (const std::string& token : tokens) whole += token;
  tokens.assign(1, whole);
}

void ReplaceDecoder::apply(std::vector<std::string>& tokens) const {
  for (std::string& token : tokens) token = replaced(std::move(token), from_, to_);
}

void StripDecoder::apply(std::vector<std::string>& tokens) const {
  if (content_.empty()) return;
  for (std::string& token : tokens) {
    for (std::size_t i = 0; i < start_ && token.starts_with(content_); ++i) token.erase(0, content_.size());
    for (std::size_t i = 0; i < stop_ && token.ends_with(content_); ++i) token.resize(token.size() - content_.size());
  }
}

void MetaspaceDecoder::apply(std::vector<std::string>& tokens) const {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = replaced(std::move(tokens[i]), replacement_, i == 0 && strips_first_ ? "" : " ");
  }
}

void WordPieceDecoder::apply(std::vector<std::string>& tokens) const {
  static const std::array<std::pair<std::string, std::string>, 11> kCleaned{{{" .", "."},
                                                                             {" ?", "?"},
                                                                             {" !", "!"},
                                                                             {" ,", ","},
                                                                             {" ' ", "'"},
                                                                             {" n't", "n't"},
                                                                             {" 'm", "'m"},
                                                                             {" do not", " don't"},
                                                                             {" 's", "'s"},
                                                                             {" 've", "'ve"},
                                                                             {" 're", "'re"}}};
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    if (i > 0) {
      if (!prefix_.empty() && token.starts_with(prefix_)) {
        token.erase(0, prefix_.size());
      } else {
        token.insert(0, " ");
      }
    }
    if (!cleans_up_) continue;
    for (const auto& [from, to] : kCleaned) token = replaced(std::move(token), from, to);
  }
}

void SuffixDecoder::apply(std::vector<std::string>& tokens) const {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = replaced(std::move(tokens[i]), suffix_, i + 1 == tokens.size() ? "" : " ");
  }
}

}  // namespace polariscope::tasks::text
