// oneDNN on this processor. Primitives are made anew for each call: it keeps what it generated, and finds it in two
// microseconds.
#pragma once

#include <dnnl.hpp>

namespace polariscope::models {

inline const dnnl::engine& processor() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

inline dnnl::stream& stream() {
  thread_local dnnl::stream stream(processor());
  return stream;
}

}  // namespace polariscope::models
