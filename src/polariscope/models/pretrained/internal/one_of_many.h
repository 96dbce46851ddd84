// Work that several threads share out, each of which must not share its part out again.
#pragma once

#include "polariscope/base/denormals.h"

namespace polariscope::models {

// Whether this thread is one of several that rows or experts were shared out to: what it calls is for it alone.
bool is_one_of_many();

class OneOfMany {
 public:
  OneOfMany();
  ~OneOfMany();
  OneOfMany(const OneOfMany&) = delete;
  OneOfMany& operator=(const OneOfMany&) = delete;

 private:
  const bool before_;
  const FlushDenormals flush_;
};

}  // namespace polariscope::models
