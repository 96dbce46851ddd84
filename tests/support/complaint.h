// What a refusal says.
#pragma once

#include "polariscope/base/error.h"

#include <string>

namespace polariscope::testing {

// The sentence that `act` throws as an Error; "" where it throws none.
template <class Act>
std::string complaint_of(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace polariscope::testing
