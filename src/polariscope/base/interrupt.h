// Ctrl-C as a question that long loops ask, so that what was computed is kept.
#pragma once

#include <exception>

namespace polariscope {

// From now on the first SIGINT or SIGTERM only sets a flag; the second ends the process as usual. One that is ignored
// when the process starts stays so, as nohup and shells in the background want it. For the main thread, to which the
// system hands a process's signals.
void catch_interrupts();
bool interrupted();

// Thrown by long loops that see interrupted(); caught by whoever keeps what is done so far.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// For the inner side of long loops: throws Interrupted once the flag is set.
void stop_if_interrupted();

}  // namespace polariscope
