// What is measured of keys, queries and values of one text in one layer.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/audit/audit.h"
#include "polariscope/audit/internal/row_measures.h"

#include <cstdint>
#include <span>

namespace polariscope::audit {

// Norms of queries and keys, and of the first value.
template <class T>
void add_norms(const attention::AttentionInput<T>& input, int threads, LayerResult& to);

// What each key receives, of text number `text` with these ids: a second pass over the logits.
template <class T>
void add_received(const attention::AttentionInput<T>& input, const MeasuredRows<T>& rows, std::int64_t text,
                  std::span<const std::int32_t> ids, int threads, LayerResult& to);

// Of kSupportRows rows, evenly spaced, or of all of a shorter text.
constexpr std::int64_t kSupportRows = 16;
template <class T>
void add_support(const attention::AttentionInput<T>& input, int threads, LayerResult& to);

}  // namespace polariscope::audit
