#include "polariscope/tasks/token_groups.h"

#include "polariscope/tasks/internal/distinct_draws.h"
#include "polariscope/tasks/internal/fill_sizes.h"

namespace polariscope::tasks {

void validate(const TokenGroupsOptions& options) {
  if (options.labels < 2) throw Error("token groups: {} labels: at least 2 are needed", options.labels);
  if (options.tokens < 1) throw Error("token groups: {} tokens a sequence: at least 1 is needed", options.tokens);
  const int owned = options.vocabulary - 1;
  if (owned % options.labels != 0) {
    throw Error("token groups: a vocabulary of {} has {} tokens beside CLS, which {} labels cannot share evenly",
                options.vocabulary, owned, options.labels);
  }
  if (owned / options.labels < options.tokens) {
    throw Error("token groups: a vocabulary of {} gives {} labels {} tokens each, sequences draw {} different ones",
                options.vocabulary, options.labels, owned / options.labels, options.tokens);
  }
}

TokenGroups::TokenGroups(const TokenGroupsOptions& options, std::uint64_t seed, Split split)
    : options_(options), seed_(seed), split_(split) {
  validate(options);
}

template <class Token>
void TokenGroups::fill(std::int64_t first, std::int64_t count, std::span<Token> tokens,
                       std::span<Token> targets) const {
  const auto length = static_cast<std::size_t>(input_length());
  require_fill_sizes("token groups", first, count, tokens.size(), input_length(), targets.size(), 1);
  const int group = (options_.vocabulary - 1) / options_.labels;
  DistinctDraws distinct(group);
  for (std::int64_t i = 0; i < count; ++i) {
    RandomStream random = example_stream(seed_, split_, first + i);
    const auto label = static_cast<int>(draw_below(random, static_cast<std::uint32_t>(options_.labels)));
    const auto input = tokens.subspan(static_cast<std::size_t>(i) * length, length);
    distinct.draw(random, input.first(length - 1), 1 + label * group);
    input[length - 1] = 0;
    targets[static_cast<std::size_t>(i)] = label;
  }
}

template void TokenGroups::fill(std::int64_t, std::int64_t, std::span<std::int32_t>, std::span<std::int32_t>) const;
template void TokenGroups::fill(std::int64_t, std::int64_t, std::span<std::int64_t>, std::span<std::int64_t>) const;

}  // namespace polariscope::tasks
