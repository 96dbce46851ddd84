// From tokens back to text: Hugging Face's decoders.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};
using DecoderPart = std::unique_ptr<const Decoder>;

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<DecoderPart> parts) : parts_(std::move(parts)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const DecoderPart& part : parts_) part->apply(tokens);
  }

 private:
  std::vector<DecoderPart> parts_;
};

// GPT-2's characters become the bytes they stand for; what is no UTF-8 then is U+FFFD.
class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override;
};

// <0x0A> … in a row become the characters of their bytes, or each a U+FFFD.
class ByteFallbackDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override;
};

class FuseDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void apply(std::vector<std::string>& tokens) const override;

 private:
  std::string from_, to_;
};

// At most so many of a character from the begin and from the end of each token.
class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override;

 private:
  std::string content_;
  std::size_t start_, stop_;
};

// "▁" becomes a space, but in the first token nothing where one was put before the text.
class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool strips_first)
      : replacement_(std::move(replacement)), strips_first_(strips_first) {}
  void apply(std::vector<std::string>& tokens) const override;

 private:
  std::string replacement_;
  bool strips_first_;
};

// Spaces between words, none before what continues one; `cleans_up`: none before punctuation and contractions.
class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleans_up) : prefix_(std::move(prefix)), cleans_up_(cleans_up) {}
  void apply(std::vector<std::string>& tokens) const override;

 private:
  std::string prefix_;
  bool cleans_up_;
};

// A suffix becomes a space, at the end nothing.
class SuffixDecoder : public Decoder {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override;

 private:
  std::string suffix_;
};

// All of `from` in `text` by `to`; an empty `from` is in no text.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace polariscope::tasks::text
