// A part of a file that may be large, or grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace polariscope {

// `size` bytes from byte `offset` on, fewer where the file ends before. Throws Error for a file that cannot be read.
std::string read_part(const std::filesystem::path& path, std::uint64_t offset, std::size_t size);

}  // namespace polariscope
