#include "polariscope/tasks/text/tokenizer.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/parts.h"
#include "polariscope/tasks/text/internal/readable.h"
#include "polariscope/tasks/text/internal/tokenizer_state.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::tasks::text {
namespace {

// Pieces to ids, those of short words from memory.
class PieceEncoder : public PieceTaker {
 public:
  PieceEncoder(const Segmenter& segmenter, Workspace& work, std::vector<std::int32_t>& ids)
      : segmenter_(segmenter), work_(work), ids_(ids) {}

  void take(Piece piece) override {
    if (piece.text.size() > WordCache::kLongestWord) return segmenter_.append(piece.text, work_, ids_);
    const auto key = WordCache::key_of(piece.text);
    if (const auto* known = work_.words.find(key)) {
      ids_.insert(ids_.end(), known->ids.begin(), known->ids.begin() + known->count);
      return;
    }
    const auto before = static_cast<std::ptrdiff_t>(ids_.size());
    segmenter_.append(piece.text, work_, ids_);
    work_.words.insert(key, std::span(ids_).subspan(static_cast<std::size_t>(before)));
  }

 private:
  const Segmenter& segmenter_;
  Workspace& work_;
  std::vector<std::int32_t>& ids_;
};

}  // namespace

Tokenizer::State::State(TokenizerParts read, std::uint64_t of_files, const std::string& name)
    : parts(std::move(read)), fingerprint(of_files) {
  size = parts.vocabulary->size();
  for (const AddedToken& token : parts.added) size = std::max(size, token.id + 1);
  special.resize(static_cast<std::size_t>(size));
  added.assign(static_cast<std::size_t>(size), -1);
  MatchState match;
  for (std::size_t i = 0; i < parts.added.size(); ++i) {
    AddedToken& token = parts.added[i];
    added[static_cast<std::size_t>(token.id)] = static_cast<std::int32_t>(i);
    if (token.special) special[static_cast<std::size_t>(token.id)] = true;
    if (token.looked_for.empty()) {
      token.looked_for = token.content;
      if (token.normalized && parts.normalizer) parts.normalizer->apply(token.looked_for, match);
    }
    (token.normalized ? in_normalised : in_text).add(token);
  }
  for (const std::int32_t id : parts.control) special[static_cast<std::size_t>(id)] = true;
  for (const auto* around : {&parts.before, &parts.after}) {
    for (const std::int32_t id : *around) {
      if (!has(id)) throw Error("{}: {} is put around a text, and no token has that number", name, id);
      special[static_cast<std::size_t>(id)] = true;
    }
  }
  if (parts.segmenter->may_split_before_blank()) {
    std::vector<PreTokenizerPart> cuts;
    if (parts.pre_tokenizer) cuts.push_back(std::move(parts.pre_tokenizer));
    cuts.push_back(std::make_unique<BlankPreTokenizer>());
    parts.pre_tokenizer = std::make_unique<PreTokenizerSequence>(std::move(cuts));
  }
}

bool Tokenizer::State::has(std::int32_t id) const {
  return id >= 0 && id < size && (added[static_cast<std::size_t>(id)] >= 0 || parts.vocabulary->has(id));
}

const std::string& Tokenizer::State::text(std::int32_t id) const {
  const std::int32_t index = id >= 0 && id < size ? added[static_cast<std::size_t>(id)] : -1;
  return index >= 0 ? parts.added[static_cast<std::size_t>(index)].content : parts.vocabulary->text(id);
}

const std::string& Tokenizer::State::text_to_decode(std::int32_t id) const {
  const std::int32_t index = added[static_cast<std::size_t>(id)];
  return index >= 0 ? parts.added[static_cast<std::size_t>(index)].looked_for : parts.vocabulary->text(id);
}

std::unique_ptr<Workspace> Tokenizer::State::borrow() const {
  const std::lock_guard lock(mutex);
  if (free.empty()) return std::make_unique<Workspace>();
  auto work = std::move(free.back());
  free.pop_back();
  return work;
}

void Tokenizer::State::give_back(std::unique_ptr<Workspace> work) const {
  const std::lock_guard lock(mutex);
  free.push_back(std::move(work));
}

void Tokenizer::State::encode(std::string_view text, Workspace& work, std::vector<std::int32_t>& ids) const {
  const std::string_view sound = sound_utf8(text, work.sound);
  PieceEncoder encoder(*parts.segmenter, work, ids);
  const auto cut = [&](std::string_view part, bool begins_text) {
    if (parts.pre_tokenizer) {
      parts.pre_tokenizer->split({part, begins_text}, work.match, encoder);
    } else {
      encoder.take({part, begins_text});
    }
  };
  const auto found = [&](const AddedToken& token) { ids.push_back(token.id); };
  in_text.split(
      sound,
      [&](Span span) {
        std::string_view part = sound.substr(span.begin, span.end - span.begin);
        if (parts.normalizer) {
          work.normalised = part;
          parts.normalizer->apply(work.normalised, work.match);
          part = work.normalised;
        }
        in_normalised.split(
            part,
            [&](Span inner) {
              cut(part.substr(inner.begin, inner.end - inner.begin), span.begin == 0 && inner.begin == 0);
            },
            found);
      },
      found);
}

Tokenizer::Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

void Tokenizer::encode(std::string_view text, SpecialTokens special, std::vector<std::int32_t>& ids) const {
  const TokenizerParts& parts = state_->parts;
  if (special == SpecialTokens::kAdded) ids.insert(ids.end(), parts.before.begin(), parts.before.end());
  auto work = state_->borrow();
  state_->encode(text, *work, ids);
  state_->give_back(std::move(work));
  if (special == SpecialTokens::kAdded) ids.insert(ids.end(), parts.after.begin(), parts.after.end());
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  std::vector<std::int32_t> ids;
  encode(text, special, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, SpecialTokens special) const {
  std::vector<std::string> tokens;
  for (const std::int32_t id : ids) {
    if (!state_->has(id))
      throw Error("token {} of {} has number {}: the tokenizer has none with it", tokens.size(), ids.size(), id);
    if (special == SpecialTokens::kAdded || !is_special(id)) tokens.push_back(state_->text_to_decode(id));
  }
  const Decoder* decoder = state_->parts.decoder.get();
  if (decoder != nullptr) decoder->apply(tokens);
  return fmt::format("{}", fmt::join(tokens, decoder == nullptr ? " " : ""));
}

std::string Tokenizer::text_of(std::int32_t id) const {
  const std::string& text = state_->text(id);
  if (!state_->has(id) || is_special(id) || state_->added[static_cast<std::size_t>(id)] >= 0) return readable(text);
  if (kind() == "byte-level BPE") return readable(bytes_of_token(text).value_or(text));
  if (const auto byte = byte_of_token(text)) return readable(std::string(1, static_cast<char>(*byte)));
  return readable(replaced(text, "\u2581", " "));
}

std::int32_t Tokenizer::size() const { return state_->size; }

std::optional<std::int32_t> Tokenizer::find(std::string_view token) const { return find_token(state_->parts, token); }

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < state_->size && state_->special[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> Tokenizer::bos() const { return state_->parts.bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return state_->parts.eos; }
std::optional<std::int32_t> Tokenizer::unk() const { return state_->parts.unk; }
std::optional<std::int32_t> Tokenizer::pad() const { return state_->parts.pad; }
const std::string& Tokenizer::kind() const { return state_->parts.kind; }
std::uint64_t Tokenizer::fingerprint() const { return state_->fingerprint; }

std::string Tokenizer::describe() const {
  const TokenizerParts& parts = state_->parts;
  const auto names = [&](const std::vector<std::int32_t>& ids) {
    std::string text;
    for (const std::int32_t id : ids) text += " " + text_of(id);
    return text.empty() ? std::string(" nothing") : text;
  };
  return fmt::format("{}, {} tokens, {}, {} looked for as they stand, before a text{}, after it{}, fingerprint {:016x}",
                     parts.kind, state_->size, parts.how, parts.added.size(), names(parts.before), names(parts.after),
                     state_->fingerprint);
}

}  // namespace polariscope::tasks::text
