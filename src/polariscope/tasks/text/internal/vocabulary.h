// The tokens of a tokenizer by number and by text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace polariscope::tasks::text {

class Vocabulary {
 public:
  // `where` begins the sentences of errors; `limit` is what no number may reach: a file has fewer tokens than bytes, so
  // its size is one that costs no memory.
  Vocabulary(std::string where, std::size_t limit);
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;
  ~Vocabulary() = default;

  // Throws Error where the number or the text is already another's, or the number is out of range.
  void add(std::string_view text, std::int64_t id);
  // The same, but a text that is another's already keeps its first number: in SentencePiece's files texts may repeat.
  void add_repeatable(std::string_view text, std::int64_t id);

  std::optional<std::int32_t> find(std::string_view text) const;
  // Throws Error that names `text` and what needs it.
  std::int32_t need(std::string_view text, std::string_view what) const;

  // "" for a number that is no token's.
  const std::string& text(std::int32_t id) const;
  bool has(std::int32_t id) const;
  // One above the largest number.
  std::int32_t size() const { return static_cast<std::int32_t>(texts_.size()); }

 private:
  void store(std::string_view text, std::int64_t id);

  std::string where_;
  std::size_t limit_;
  std::vector<std::string> texts_;
  std::vector<bool> taken_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace polariscope::tasks::text
