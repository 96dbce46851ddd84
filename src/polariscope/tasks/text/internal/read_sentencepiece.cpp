// tokenizer.model: the fields of sentencepiece_model.proto that say how text is cut.
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/charsmap.h"
#include "polariscope/tasks/text/internal/readers.h"
#include "polariscope/tasks/text/internal/scored.h"

#include <fmt/format.h>

#include <cstring>

namespace polariscope::tasks::text {
namespace {

// One field of a protocol buffer; https://protobuf.dev/programming-guides/encoding
struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;   // of a string or message, or of four or eight bytes
};

class Fields {
 public:
  Fields(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  bool next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const std::uint64_t key = varint();
    field = {key >> 3, 0, {}};
    switch (key & 7) {
      case 0: field.value = varint(); break;
      case 1: field.bytes = take(8); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.bytes = take(4); break;
      default: refuse();
    }
    return true;
  }

 private:
  [[noreturn]] void refuse() const {
    throw Error("{} is no model of SentencePiece: its fields cannot be read from byte {} on", where_, at_);
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) break;
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    refuse();
  }
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse();
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  std::string_view bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
};

ScoredPiece read_piece(std::string_view bytes, const std::string& where) {
  ScoredPiece piece{"", 0, PieceType::kNormal};
  Field field;
  for (Fields fields(bytes, where); fields.next(field);) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2 && field.bytes.size() == 4) std::memcpy(&piece.score, field.bytes.data(), 4);
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6)
        throw Error("{}: a token is of type {}: known are 1 to 6", where, field.value);
      piece.type = static_cast<PieceType>(field.value);
    }
  }
  return piece;
}

struct Specification {
  std::uint64_t model_type = 1;
  bool byte_fallback = false;
  SentencePieceRules rules = {};
  std::int32_t bos = 1, eos = 2, pad = -1;
};

void read_trainer(std::string_view bytes, const std::string& where, Specification& specification) {
  Field field;
  for (Fields fields(bytes, where); fields.next(field);) {
    if (field.number == 3) specification.model_type = field.value;
    if (field.number == 24) specification.rules.blank_as_suffix = field.value != 0;
    if (field.number == 35) specification.byte_fallback = field.value != 0;
    if (field.number == 41) specification.bos = static_cast<std::int32_t>(field.value);
    if (field.number == 42) specification.eos = static_cast<std::int32_t>(field.value);
    if (field.number == 43) specification.pad = static_cast<std::int32_t>(field.value);
  }
}

void read_rules(std::string_view bytes, const std::string& where, SentencePieceRules& rules) {
  Field field;
  for (Fields fields(bytes, where); fields.next(field);) {
    if (field.number == 2 && !field.bytes.empty()) rules.charsmap.emplace(field.bytes, where);
    if (field.number == 3) rules.add_dummy_prefix = field.value != 0;
    if (field.number == 4) rules.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) rules.escape_whitespaces = field.value != 0;
  }
}

}  // namespace

TokenizerParts read_sentencepiece(std::string_view bytes, const std::string& where) {
  ScoredModel model;
  model.bytes = bytes.size();
  Specification specification;
  Field field;
  for (Fields fields(bytes, where); fields.next(field);) {
    if (field.number == 1) model.pieces.push_back(read_piece(field.bytes, where));
    if (field.number == 2) read_trainer(field.bytes, where, specification);
    if (field.number == 3) read_rules(field.bytes, where, specification.rules);
  }
  if (model.pieces.empty()) throw Error("{} is no model of SentencePiece: it has no tokens", where);
  if (specification.model_type != 1 && specification.model_type != 2) {
    throw Error("{}: a model of SentencePiece of type {}: read are unigram (1) and BPE (2)", where,
                specification.model_type);
  }
  model.unigram = specification.model_type == 1;
  model.byte_fallback = specification.byte_fallback;
  TokenizerParts parts;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const ScoredPiece& piece = model.pieces[id];
    const auto number = static_cast<std::int32_t>(id);
    if (piece.type == PieceType::kUnknown) model.unknown = number;
    if (piece.type != PieceType::kUserDefined) continue;
    // Looked for in normalised text, whose rules leave it as it is.
    parts.added.push_back({.content = piece.text, .id = number, .normalized = true, .looked_for = piece.text});
    specification.rules.kept.push_back(piece.text);
  }
  build_scored(model, where, parts);
  parts.decoder = sentencepiece_decoder(specification.rules.add_dummy_prefix);
  const auto is_control = [&](std::int32_t id) {
    return id >= 0 && static_cast<std::size_t>(id) < model.pieces.size() &&
           model.pieces[static_cast<std::size_t>(id)].type == PieceType::kControl;
  };
  if (is_control(specification.bos)) parts.bos = specification.bos;
  if (is_control(specification.eos)) parts.eos = specification.eos;
  if (is_control(specification.pad)) parts.pad = specification.pad;
  // The file does not say what is put around a text: Llama and Gemma begin with the first token, T5, which has none,
  // ends with the last.
  if (parts.bos) {
    parts.before = {*parts.bos};
  } else if (parts.eos) {
    parts.after = {*parts.eos};
  }
  parts.how = fmt::format("SentencePiece's rules{}{}", specification.rules.charsmap ? " with a map of characters" : "",
                          specification.rules.add_dummy_prefix ? ", a space put before the text" : "");
  parts.normalizer = std::make_unique<SentencePieceNormalizer>(std::move(specification.rules));
  return parts;
}

}  // namespace polariscope::tasks::text
