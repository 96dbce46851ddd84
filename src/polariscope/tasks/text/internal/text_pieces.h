// Texts of any size in pieces that are encoded each by itself, in order.
#pragma once

#include "polariscope/base/input_file.h"
#include "polariscope/base/xxh64.h"
#include "polariscope/tasks/text/internal/text_cuts.h"
#include "polariscope/tasks/text/token_index.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace polariscope::tasks::text {

struct TextInput {
  std::string name;            // as it was given, "standard input"
  std::filesystem::path file;  // empty: standard input
  bool is_lines;               // of JSON; else a text
};

struct TextPiece {
  std::size_t input = 0;  // whose it is
  bool is_lines = false;
  std::string bytes;
  std::size_t context = 0;       // so many of a text's bytes are the end of the piece before
  bool begins_document = false;  // of a text
  bool rough = false;            // cut from the piece before where its tokens may be others
  std::int64_t first_line = 1;
};

// Reads one input after the other, in memory that does not grow with them: a text is cut, lines of JSON are kept whole.
class TextPieces {
 public:
  // Pieces have about `piece_bytes`, at least 2 kSurroundings.
  TextPieces(std::vector<TextInput> inputs, const TextEncoder& encoder, std::size_t piece_bytes);

  // False where there are no more. Throws Error for what cannot be read, is no text, or has a line of more than 64 MiB.
  bool next(TextPiece& piece);

  const std::vector<TextInput>& inputs() const { return inputs_; }
  // Of what was read of an input.
  std::int64_t bytes_of(std::size_t input) const { return read_[input].bytes; }
  std::string fingerprint_of(std::size_t input) const;
  std::int64_t bytes() const { return bytes_; }  // read of all inputs

 private:
  struct Read {
    std::int64_t bytes = 0;
    Xxh64 fingerprint;
  };

  bool open_next();
  void fill(std::size_t wanted);
  void take_text(TextPiece& piece);
  void take_lines(TextPiece& piece);

  std::vector<TextInput> inputs_;
  const TextEncoder& encoder_;
  std::size_t piece_bytes_;
  std::vector<Read> read_;
  std::int64_t bytes_ = 0;

  std::optional<InputFile> file_;  // of inputs_[read_.size() - 1]
  std::string buffer_;             // read and not yet given, after the context
  bool at_end_ = false;            // of the file: the buffer holds its rest
  std::size_t context_ = 0;        // bytes of the buffer that were given before
  bool begins_document_ = true, rough_ = false;
  std::int64_t line_ = 1;
};

// The files that a path stands for, sorted: itself, or of a folder and those in it all *.txt, *.md and *.jsonl. "-" is
// standard input. `lines`: whether an input is lines of JSON; by its name where nothing is said. Throws Error where
// there is none.
std::vector<TextInput> text_inputs(const std::string& path, std::optional<bool> lines);

}  // namespace polariscope::tasks::text
