// The Python of peers that Debian's does not have.
#pragma once

#include <cstdlib>
#include <string>

namespace polariscope::bench {

// The one with today's transformers and tokenizers, by which ./dev says where it made it.
inline std::string newest_python() {
  const char* given = std::getenv("POLARISCOPE_PYTHON");
  return given != nullptr ? given : POLARISCOPE_SOURCES "/build/python/newest/bin/python";
}

}  // namespace polariscope::bench
