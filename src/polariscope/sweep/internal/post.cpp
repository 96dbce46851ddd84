#include "polariscope/sweep/internal/post.h"

#include <utility>

namespace polariscope::sweep {

Post::Post() {
  MPI_Init(nullptr, nullptr);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);  // a letter to a dead rank is no reason to end
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
}

Post::~Post() {
  for (Sent& sent : sent_) MPI_Wait(&sent.request, MPI_STATUS_IGNORE);
  MPI_Finalize();
}

void Post::send(int rank, int kind, std::string text) {
  std::erase_if(sent_, [](Sent& sent) {
    int arrived = 0;
    return MPI_Test(&sent.request, &arrived, MPI_STATUS_IGNORE) != MPI_SUCCESS || arrived != 0;
  });
  Sent& sent = sent_.emplace_back(Sent{std::move(text), MPI_REQUEST_NULL});
  MPI_Isend(sent.text.data(), static_cast<int>(sent.text.size()), MPI_CHAR, rank, kind, MPI_COMM_WORLD, &sent.request);
}

std::optional<Letter> Post::receive() const {
  int there = 0;
  MPI_Status status;
  if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS) return std::nullopt;
  if (there == 0) return std::nullopt;
  int size = 0;
  MPI_Get_count(&status, MPI_CHAR, &size);
  Letter letter{status.MPI_SOURCE, status.MPI_TAG, std::string(static_cast<std::size_t>(size), '\0')};
  MPI_Recv(letter.text.data(), size, MPI_CHAR, letter.rank, letter.kind, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return letter;
}

}  // namespace polariscope::sweep
