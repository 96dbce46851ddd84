#include "polariscope/tasks/text/tokenize.h"

#include "polariscope/base/error.h"
#include "polariscope/base/input_file.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/xxh64.h"
#include "polariscope/tasks/text/internal/encoded_piece.h"
#include "polariscope/tasks/text/internal/text_pieces.h"
#include "polariscope/tasks/text/token_shard_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <system_error>
#include <vector>

namespace polariscope::tasks::text {
namespace {

// Pieces that are encoded at once, of each thread: more would be more memory, fewer more waiting for the slowest.
constexpr std::size_t kPiecesPerThread = 16;

// Pieces in order, as one row of tokens with separators between documents.
class Documents {
 public:
  Documents(TokenShardWriter& writer, TokenIndex& index) : writer_(writer), index_(index) {}

  void add(const EncodedPiece& piece, TokenIndex::Input& input) {
    index_.bytes += piece.bytes;
    if (piece.rough) ++index_.rough_cuts;
    std::size_t done = 0;
    for (const std::size_t begin : piece.begins) {
      append(std::span(piece.ids).subspan(done, begin - done), input);
      done = begin;
      begins_ = true;
    }
    append(std::span(piece.ids).subspan(done), input);
  }

 private:
  // A document is one that has tokens.
  void append(std::span<const std::int32_t> ids, TokenIndex::Input& input) {
    if (ids.empty()) return;
    if (begins_) {
      if (index_.documents > 0 && index_.separator) {
        writer_.append(std::array{static_cast<std::int32_t>(index_.separator->token)});
      }
      ++index_.documents;
      ++input.documents;
      begins_ = false;
    }
    writer_.append(ids);
  }

  TokenShardWriter& writer_;
  TokenIndex& index_;
  bool begins_ = false;  // a document whose first token is still to come
};

std::vector<TextInput> inputs_of(const TokenizeOptions& options) { return text_inputs(options.input, options.lines); }

// What is known before the first byte is read.
TokenIndex begun(const std::vector<TextInput>& inputs, const TokenizeOptions& options, const TextEncoder& encoder) {
  TokenIndex index;
  index.vocabulary = encoder.vocabulary();
  index.tokenizer = encoder.describe();
  index.tokenizer_fingerprint = encoder.fingerprint();
  if (options.separate) index.separator = encoder.separator();
  const bool has_lines = std::ranges::any_of(inputs, [](const TextInput& input) { return input.is_lines; });
  if (has_lines) index.field = options.field;
  for (const TextInput& input : inputs) index.inputs.push_back({.path = input.name});
  return index;
}

TokenIndex::Input read_again(const TextInput& input) {
  TokenIndex::Input read{.path = input.name};
  InputFile file(input.file);
  Xxh64 hash;
  std::string buffer(std::size_t{1} << 20, '\0');
  while (const std::size_t count = file.read(buffer)) {
    stop_if_interrupted();
    hash.add(std::string_view(buffer).substr(0, count));
    read.bytes += static_cast<std::int64_t>(count);
  }
  read.fingerprint = fmt::format("{:016x}", hash.value());
  return read;
}

std::vector<std::string> texts_of(const TextEncoder& encoder) {
  std::vector<std::string> texts;
  const std::int64_t count = encoder.is_of_bytes() ? 0 : encoder.vocabulary();
  for (std::int64_t token = 0; token < count; ++token) {
    texts.push_back(encoder.text_of(static_cast<std::int32_t>(token)));
  }
  return texts;
}

}  // namespace

std::uint64_t input_bytes(const TokenizeOptions& options) {
  std::uint64_t bytes = 0;
  for (const TextInput& input : inputs_of(options)) {
    std::error_code unknown;  // of a pipe
    const std::uint64_t size = input.file.empty() ? 0 : std::filesystem::file_size(input.file, unknown);
    if (input.file.empty() || unknown) return 0;
    bytes += size;
  }
  return bytes;
}

TokenIndex tokenize(const TokenizeOptions& options, const TextEncoder& encoder, const std::filesystem::path& folder,
                    Progress& progress) {
  TextPieces pieces(inputs_of(options), encoder, options.piece_bytes);
  TokenIndex index = begun(pieces.inputs(), options, encoder);
  TokenShardWriter writer(folder, index.vocabulary, options.shard_tokens);
  Documents documents(writer, index);
  const int threads = options.threads > 0 ? options.threads : processor_count();
  const std::size_t most = kPiecesPerThread * static_cast<std::size_t>(threads);
  std::vector<TextPiece> batch(most);
  std::vector<EncodedPiece> results(most);
  for (bool more = true; more;) {
    std::size_t count = 0, bytes = 0;  // lines may be many times as long as a piece
    while (count < most && bytes < most * options.piece_bytes && (more = pieces.next(batch[count]))) {
      bytes += batch[count++].bytes.size();
    }
    parallel_for(static_cast<std::int64_t>(count), threads, [&](std::int64_t i) {
      stop_if_interrupted();
      const TextPiece& piece = batch[static_cast<std::size_t>(i)];
      results[static_cast<std::size_t>(i)] = encoded(piece, encoder, options.field, pieces.inputs()[piece.input].name);
    });
    for (std::size_t i = 0; i < count; ++i) {
      documents.add(results[i], index.inputs[batch[i].input]);
      batch[i] = {};
      results[i] = {};
    }
    progress.update(static_cast<std::uint64_t>(pieces.bytes()));
  }
  stop_if_interrupted();
  if (index.documents == 0) throw Error("{} has no text: nothing in it has a token", options.input);
  for (std::size_t i = 0; i < index.inputs.size(); ++i) {
    index.inputs[i].bytes = pieces.bytes_of(i);
    index.inputs[i].fingerprint = pieces.fingerprint_of(i);
  }
  return writer.finish(std::move(index), texts_of(encoder));
}

bool is_of(const TokenIndex& index, const TokenizeOptions& options, const TextEncoder& encoder) {
  const std::vector<TextInput> inputs = inputs_of(options);
  const TokenIndex wanted = begun(inputs, options, encoder);
  const auto token_of = [](const TokenIndex& one) { return one.separator ? one.separator->token : -1; };
  if (index.tokenizer_fingerprint != wanted.tokenizer_fingerprint || index.tokenizer != wanted.tokenizer ||
      token_of(index) != token_of(wanted) || index.field != wanted.field || inputs.size() != index.inputs.size()) {
    return false;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].file.empty()) return false;
    const TokenIndex::Input found = read_again(inputs[i]);
    if (found.bytes != index.inputs[i].bytes || found.fingerprint != index.inputs[i].fingerprint) return false;
  }
  return true;
}

}  // namespace polariscope::tasks::text
