#include "polariscope/tasks/induction.h"

#include "polariscope/tasks/internal/distinct_draws.h"
#include "polariscope/tasks/internal/fill_sizes.h"

#include <algorithm>

namespace polariscope::tasks {

void validate(const InductionOptions& options) {
  if (options.sequence_length < 4) {
    throw Error("induction: sequences of {} tokens: BOS, a token, its repeat and the answer are 4",
                options.sequence_length);
  }
  const int drawn = options.sequence_length - 3;
  if (drawn > options.vocabulary - 1) {
    throw Error("induction: sequences of {} tokens draw {} different ones, a vocabulary of {} has {} beside BOS",
                options.sequence_length, drawn, options.vocabulary, options.vocabulary - 1);
  }
}

Induction::Induction(const InductionOptions& options, std::uint64_t seed, Split split)
    : options_(options), seed_(seed), split_(split) {
  validate(options);
}

template <class Token>
void Induction::fill(std::int64_t first, std::int64_t count, std::span<Token> tokens, std::span<Token> targets) const {
  const auto length = static_cast<std::size_t>(input_length());
  require_fill_sizes("induction", first, count, tokens.size(), input_length(), targets.size(), input_length());
  const std::size_t drawn = length - 2;
  const int shift = options_.shift_query_token ? options_.vocabulary : 0;
  DistinctDraws distinct(options_.vocabulary - 1);
  for (std::int64_t i = 0; i < count; ++i) {
    RandomStream random = example_stream(seed_, split_, first + i);
    const auto input = tokens.subspan(static_cast<std::size_t>(i) * length, length);
    const auto target = targets.subspan(static_cast<std::size_t>(i) * length, length);
    input[0] = 0;
    distinct.draw(random, input.subspan(1, drawn), 1);
    const std::size_t chosen = 1 + draw_below(random, static_cast<std::uint32_t>(drawn));
    input[length - 1] = static_cast<Token>(input[chosen] + shift);
    std::copy(input.begin() + 1, input.end(), target.begin());
    target[length - 1] = input[chosen + 1];
  }
}

template void Induction::fill(std::int64_t, std::int64_t, std::span<std::int32_t>, std::span<std::int32_t>) const;
template void Induction::fill(std::int64_t, std::int64_t, std::span<std::int64_t>, std::span<std::int64_t>) const;

}  // namespace polariscope::tasks
