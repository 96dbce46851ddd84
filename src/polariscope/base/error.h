// The one error a user sees: a sentence that says what was expected, what was found and where.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace polariscope {

// Thrown for mistakes of the user (file, flag, shape); the command line prints what() and exits 2.
// Example: throw Error("{}: a has {} numbers, V has {} columns: both must be k", path, n, k);
class Error : public std::runtime_error {
 public:
  template <class... Args>
  explicit Error(fmt::format_string<Args...> sentence, Args&&... args)
      : std::runtime_error(fmt::format(sentence, std::forward<Args>(args)...)) {}
};

}  // namespace polariscope
