#include "polariscope/tasks/text/internal/text_pieces.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

namespace polariscope::tasks::text {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestLine = std::size_t{64} << 20;
constexpr std::size_t kRead = std::size_t{64} << 10;  // bytes at a time

struct OtherFile {
  std::string_view begin, what;
};
constexpr std::array kOtherFiles = {
    OtherFile{"\x1F\x8B", "compressed by gzip: unpack it first, as zcat FILE | polariscope tokenize - … does"},
    OtherFile{"\x28\xB5\x2F\xFD",
              "compressed by zstd: unpack it first, as zstdcat FILE | polariscope tokenize - … does"},
    OtherFile{"\xFD\x37zXZ", "compressed by xz: unpack it first, as xzcat FILE | polariscope tokenize - … does"},
    OtherFile{"BZh91AY", "compressed by bzip2: unpack it first, as bzcat FILE | polariscope tokenize - … does"},
    OtherFile{"PK\x03\x04", "a zip archive: unpack it first"},
    OtherFile{"PAR1", "a Parquet file: write its texts as lines of JSON first"},
    OtherFile{"\xFF\xFE", "UTF-16: make it UTF-8 first, with iconv"},
    OtherFile{"\xFE\xFF", "UTF-16: make it UTF-8 first, with iconv"},
};

void refuse_what_is_no_text(std::string_view bytes, const std::string& name) {
  for (const OtherFile& other : kOtherFiles) {
    if (bytes.starts_with(other.begin)) throw Error("{} is {}", name, other.what);
  }
}

}  // namespace

std::vector<TextInput> text_inputs(const std::string& path, std::optional<bool> lines) {
  const auto is_lines = [&](const fs::path& file) { return lines.value_or(file.extension() == ".jsonl"); };
  if (path == "-") return {{"standard input", {}, lines.value_or(false)}};
  std::error_code error;
  if (!fs::is_directory(path, error)) return {{path, path, is_lines(path)}};
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string extension = entry->path().extension().string();
    const bool is_text = extension == ".txt" || extension == ".md" || extension == ".jsonl";
    std::error_code unknown;
    if (is_text && !entry->is_directory(unknown)) files.push_back(entry->path());
  }
  if (error) throw Error("{} cannot be read: {}", path, error.message());
  if (files.empty()) throw Error("{} holds no text: expected files *.txt, *.md or *.jsonl in it or below", path);
  std::ranges::sort(files);
  std::vector<TextInput> inputs;
  for (const fs::path& file : files) inputs.push_back({file.string(), file, is_lines(file)});
  return inputs;
}

TextPieces::TextPieces(std::vector<TextInput> inputs, const TextEncoder& encoder, std::size_t piece_bytes)
    : inputs_(std::move(inputs)), encoder_(encoder), piece_bytes_(std::max(piece_bytes, 2 * kSurroundings)) {}

std::string TextPieces::fingerprint_of(std::size_t input) const {
  return fmt::format("{:016x}", read_[input].fingerprint.value());
}

bool TextPieces::open_next() {
  if (read_.size() == inputs_.size()) return false;
  const TextInput& input = inputs_[read_.size()];
  read_.emplace_back();
  file_ = input.file.empty() ? InputFile::standard_input() : InputFile(input.file);
  buffer_.clear();
  at_end_ = rough_ = false;
  context_ = 0;
  begins_document_ = true;
  line_ = 1;
  return true;
}

// Until the buffer has as many bytes or the file no more.
void TextPieces::fill(std::size_t wanted) {
  Read& read = read_.back();
  while (!at_end_ && buffer_.size() < wanted) {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kRead);
    const std::size_t count = file_->read(std::span(buffer_).subspan(before));
    buffer_.resize(before + count);
    const std::string_view added = std::string_view(buffer_).substr(before);
    if (read.bytes == 0) refuse_what_is_no_text(added, inputs_[read_.size() - 1].name);
    read.fingerprint.add(added);
    read.bytes += static_cast<std::int64_t>(count);
    bytes_ += static_cast<std::int64_t>(count);
    at_end_ = count == 0;
  }
}

bool TextPieces::next(TextPiece& piece) {
  for (;;) {
    if (file_) {
      fill(context_ + piece_bytes_ + kSurroundings + 1);
      if (buffer_.size() > context_) break;
      file_.reset();
    }
    if (!open_next()) return false;
  }
  piece = {};
  piece.input = read_.size() - 1;
  piece.is_lines = inputs_[piece.input].is_lines;
  if (piece.is_lines) {
    take_lines(piece);
  } else {
    take_text(piece);
  }
  return true;
}

void TextPieces::take_text(TextPiece& piece) {
  piece.context = context_;
  piece.begins_document = begins_document_;
  piece.rough = rough_;
  begins_document_ = false;
  if (at_end_ && buffer_.size() <= context_ + piece_bytes_ + kSurroundings) {
    piece.bytes = buffer_;
    buffer_.clear();
    context_ = 0;
    return;
  }
  const TextCut cut = cut_between(buffer_, context_ + piece_bytes_ / 2, context_ + piece_bytes_, encoder_);
  piece.bytes = buffer_.substr(0, cut.at);
  buffer_.erase(0, cut.context);
  context_ = cut.at - cut.context;
  rough_ = cut.rough;
}

void TextPieces::take_lines(TextPiece& piece) {
  piece.first_line = line_;
  // To the last end of a line among the wanted bytes, or to the first behind them.
  std::size_t end = std::string::npos;
  for (std::size_t looked = 0; end == std::string::npos;) {
    end = buffer_.size() > piece_bytes_ ? buffer_.rfind('\n', piece_bytes_ - 1) : std::string::npos;
    if (end == std::string::npos) end = buffer_.find('\n', std::max(looked, std::min(piece_bytes_, buffer_.size())));
    if (end != std::string::npos) break;
    if (at_end_) end = buffer_.size() - 1;
    looked = buffer_.size();
    if (looked > kLongestLine) {
      throw Error("{}, line {}: is longer than {} MiB: expected an object of JSON a line", inputs_[piece.input].name,
                  line_, kLongestLine >> 20);
    }
    fill(buffer_.size() + 1);
  }
  piece.bytes = buffer_.substr(0, end + 1);
  buffer_.erase(0, end + 1);
  line_ += std::ranges::count(piece.bytes, '\n');
}

}  // namespace polariscope::tasks::text
