#include "polariscope/attention/torch/plain_operators.h"

namespace polariscope::attention {
namespace {

thread_local int all_of_them = 0;

}  // namespace

bool takes_plain_operators(const at::Tensor& tensor) { return all_of_them > 0 || !tensor.device().is_cpu(); }

PlainOperators::PlainOperators() { ++all_of_them; }
PlainOperators::~PlainOperators() { --all_of_them; }

}  // namespace polariscope::attention
