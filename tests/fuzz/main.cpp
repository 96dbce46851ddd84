// libFuzzer's entry: POLARISCOPE_FUZZ_TARGET is the function that it calls with ever other bytes.
#include "targets.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polariscope::testing::POLARISCOPE_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
