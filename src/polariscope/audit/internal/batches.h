// Texts that go through a model together, so that weights are laid out once for many of them.
#pragma once

#include "polariscope/audit/audit.h"
#include "polariscope/models/pretrained/token_batch.h"

#include <cstdint>
#include <iterator>

namespace polariscope::audit {

constexpr std::int64_t kBatchTokens = 4096;  // as many as keep the processors busy

// most_tokens: of a batch, but one text at least. visit(batch, number of its first text)
template <class Visit>
void for_batches(Texts texts, std::int64_t most_tokens, const Visit& visit) {
  for (std::int64_t first = 0; first < std::ssize(texts);) {
    models::TokenBatch batch;
    std::int64_t end = first;
    do {
      batch.add(texts[end++]);
    } while (end < std::ssize(texts) && batch.rows() + std::ssize(texts[end]) <= most_tokens);
    visit(batch, first);
    first = end;
  }
}

}  // namespace polariscope::audit
