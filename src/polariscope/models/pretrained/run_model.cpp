#include "polariscope/models/pretrained/run_model.h"

#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/cpu_operations.h"

namespace polariscope::models {

template <class T>
Predictions run_model(const Description& description, const PretrainedModel& model, const TokenBatch& texts,
                      const RunOptions& options, ForwardObserver<T>* observer) {
  if (options.precision == ProductPrecision::kBfloat16 && !has_bfloat16_products()) {
    throw Error("this processor has no products of bfloat16: leave the precision at float32");
  }
  for (std::int64_t t = 0; t < texts.texts(); ++t) {
    require_fitting(description, texts.ids().subspan(texts.start(t), texts.length(t)), t);
  }
  CpuOperations<T> operations(description, model, options, observer);
  return ForwardPass(description, operations).run(texts);
}

template Predictions run_model(const Description&, const PretrainedModel&, const TokenBatch&, const RunOptions&,
                               ForwardObserver<float>*);
template Predictions run_model(const Description&, const PretrainedModel&, const TokenBatch&, const RunOptions&,
                               ForwardObserver<double>*);

}  // namespace polariscope::models
