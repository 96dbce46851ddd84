// CRC-32C (Castagnoli), the checksum of TensorBoard's records. Definition and check values: RFC 3720, B.4.
#pragma once

#include <cstdint>
#include <string_view>

namespace polariscope::runs {

std::uint32_t crc32c(std::string_view bytes);

}  // namespace polariscope::runs
