// Texts between ranks. Built only with MPI.
#pragma once

#include <mpi.h>

#include <list>
#include <optional>
#include <string>

namespace polariscope::sweep {

struct Letter {
  int rank = 0;  // who sent it
  int kind = 0;
  std::string text;
};

// MPI from its beginning to its end, for one thread.
class Post {
 public:
  Post();
  ~Post();  // waits until everything sent has arrived
  Post(const Post&) = delete;
  Post& operator=(const Post&) = delete;

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }

  // Never waits for the receiver.
  void send(int rank, int kind, std::string text);
  // Nothing if no letter has come.
  std::optional<Letter> receive() const;

 private:
  struct Sent {
    std::string text;
    MPI_Request request;
  };
  int rank_ = 0, ranks_ = 1;
  std::list<Sent> sent_;  // texts have to live until they have arrived
};

}  // namespace polariscope::sweep
