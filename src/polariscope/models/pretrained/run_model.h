// A pretrained model over texts, on this processor.
#pragma once

#include "polariscope/models/pretrained/forward_observer.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/models/pretrained/product_precision.h"
#include "polariscope/models/pretrained/token_batch.h"

namespace polariscope::models {

struct RunOptions {
  ProductPrecision precision = ProductPrecision::kFloat32;  // of float; double is double throughout
  bool last_logits = false;
  int threads = 0;  // 0: one a processor
};

// `description` is the model's own or a variation of it that has the same parameters. Throws Error for texts that do
// not fit (token_batch.h), weights that are not finite, and bfloat16 where the processor has none. observer may be
// null.
template <class T>
Predictions run_model(const Description& description, const PretrainedModel& model, const TokenBatch& texts,
                      const RunOptions& options, ForwardObserver<T>* observer);

}  // namespace polariscope::models
