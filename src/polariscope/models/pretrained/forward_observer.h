// What listens to a forward pass on this processor, and what comes out at its end.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/models/pretrained/cpu_rows.h"

#include <cstdint>
#include <vector>

namespace polariscope::models {

// Called on the caller's thread, layer by layer; what is handed over lives for the call. Of a batch of texts
// (token_batch.h), whose rows follow each other.
template <class T>
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  // Before the rows of one text in one layer: where to write what is to be known of them, [heads, tokens] each.
  virtual void before_attention(std::int64_t /*layer*/, std::int64_t /*text*/, attention::AttentionOutput<T>&) {}
  // After them: queries (normed, rotated), keys and values as attention read them, and what came out, which may be
  // written over: the model goes on from there.
  virtual void attended(std::int64_t /*layer*/, std::int64_t /*text*/, const attention::AttentionInput<T>&,
                        const attention::AttentionOutput<T>&) {}
  // Of all texts: after `layers` layers, from 0, what the embedding gives; before the final norm.
  virtual void hidden(std::int64_t /*layers*/, const Rows<T>&) {}
  // Of all texts, past the final norm and the map to the embedding's width, where there is one of them.
  virtual void output(const Rows<T>&) {}
};

struct Predictions {
  std::vector<double> log_likelihoods;  // ln p of each row's target (targets_of()), NaN where it has none; [rows]
  std::vector<std::vector<double>> last_logits;  // of the last row of each text, where they were asked for
};

}  // namespace polariscope::models
