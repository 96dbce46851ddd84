// HTTP for this machine alone.
#pragma once

#include "polariscope/live/site.h"

#include <functional>
#include <memory>

namespace polariscope::live {

// Answers on 127.0.0.1 until it is destroyed, with a few threads and whatever comes: a request of more than 16 KB, or
// that is none, is refused; a connection that is silent for 15 seconds is closed; beyond kMostConnections new ones are.
class Server {
 public:
  using Handler =
      std::function<Answer(const Request&)>;  // safe from several threads; where it throws the connection ends

  static constexpr unsigned kMostConnections = 512;

  // At a port of 1 to 65535; 0: one that is free. Throws Error where another process has it.
  Server(int port, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }

 private:
  struct Daemon;
  Handler handler_;
  std::unique_ptr<Daemon> daemon_;
  int port_ = 0;
};

}  // namespace polariscope::live
