#include "polariscope/tasks/text/internal/pattern.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/readable.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

namespace polariscope::tasks::text {
namespace {

// A pre-tokenizer's expression matches words; one that needs millions of steps for one is not meant to be run.
constexpr std::uint32_t kMostSteps = 20'000'000;
constexpr std::size_t kLongestExpression = 10'000;
constexpr std::size_t kStackBytes = std::size_t{1} << 20;

struct Free {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

template <class Thing>
using Owned = std::unique_ptr<Thing, Free>;

}  // namespace

struct MatchState::Buffers {
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(kStackBytes / 32, kStackBytes, nullptr)};
};

MatchState::MatchState() : buffers_(std::make_unique<Buffers>()) {
  pcre2_jit_stack_assign(buffers_->context.get(), nullptr, buffers_->stack.get());
  pcre2_set_match_limit(buffers_->context.get(), kMostSteps);
}

MatchState::~MatchState() = default;

struct SplitPattern::Code {
  Owned<pcre2_code> code;
  bool compiled;  // to machine code
};

SplitPattern::SplitPattern(const std::string& expression, const std::string& where)
    : where_(where + ": \"" + readable(expression) + "\"") {
  if (expression.size() > kLongestExpression) {
    throw Error("{} has {} bytes: expected at most {}", where_, expression.size(), kLongestExpression);
  }
  const std::string translated = pcre2_expression(expression, where);
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // MULTILINE: ^ and $ are Ruby's.
  Owned<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, context.get()));
  if (code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    throw Error("{} is not understood: {}", where_, reinterpret_cast<const char*>(message.data()));
  }
  const bool compiled = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  code_ = std::make_shared<const Code>(Code{std::move(code), compiled});
}

bool SplitPattern::find(std::string_view text, std::size_t from, MatchState& state, Span& match) const {
  const MatchState::Buffers& buffers = *state.buffers_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  // The interpreter checks its arguments and takes three times as long.
  const int found = code_->compiled ? pcre2_jit_match(code_->code.get(), subject, text.size(), from, 0,
                                                      buffers.data.get(), buffers.context.get())
                                    : pcre2_match(code_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                                                  buffers.data.get(), buffers.context.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw Error(
        "{} takes too many steps from byte {} of a text of {} bytes on: no pre-tokenizer of a published model does",
        where_, from, text.size());
  }
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(buffers.data.get());
  match = {span[0], span[1]};
  return true;
}

}  // namespace polariscope::tasks::text
