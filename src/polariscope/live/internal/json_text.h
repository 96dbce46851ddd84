// JSON of many numbers, written at once.
#pragma once

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string_view>

namespace polariscope::live {

inline void put(fmt::memory_buffer& out, std::string_view text) { out.append(text.data(), text.data() + text.size()); }

// As many digits as a screen can show; null for what is not finite.
inline void put_number(fmt::memory_buffer& out, double number) {
  if (std::isfinite(number)) {
    fmt::format_to(fmt::appender(out), "{:.6g}", number);
  } else {
    put(out, "null");
  }
}

// Quoted; what is not UTF-8 is replaced.
inline std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// [a,b,c] of the values from `begin` on, each as write(value) puts it.
template <class Values, class Write>
void put_list(fmt::memory_buffer& out, const Values& values, std::size_t begin, const Write& write) {
  out.push_back('[');
  for (std::size_t i = begin; i < values.size(); ++i) {
    if (i > begin) out.push_back(',');
    write(values[i]);
  }
  out.push_back(']');
}

}  // namespace polariscope::live
