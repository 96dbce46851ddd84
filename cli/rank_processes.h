// Processes of this program that share its training on this machine.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace polariscope::cli {

// They are ended, if they have not ended themselves within some seconds, when the object goes.
class RankProcesses {
 public:
  RankProcesses() = default;
  ~RankProcesses();
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  // This command again, as ranks 1 to size - 1 of those that meet at the port. Throws Error where one cannot be
  // started.
  void start(int size, std::uint16_t port);

 private:
  std::vector<pid_t> processes_;
};

// Ctrl-C in a terminal reaches all processes of a training: the first decides, and the others end with it.
void leave_interrupts_to_the_first();

}  // namespace polariscope::cli
