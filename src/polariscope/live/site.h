// What the page and its readers may ask for, and what they get. Every address begins with the token:
//   /TOKEN/             the page, and beside it watch.css, watch.js
//   /TOKEN/api/runs     every run: phase, step, rate, ...
//   /TOKEN/api/colours  those of runs, layers and maps
//   /TOKEN/api/configs  the settings of every run
//   /TOKEN/api/series   curves of one run that are new since the last time
//   /TOKEN/api/strips   one statistic of all heads of a run, over the steps
//   /TOKEN/api/alarms   alarms of one run
//   /TOKEN/api/probes   what sentences it is probed with; /TOKEN/api/probe: the attention of one of them in one layer
//   /TOKEN/metrics      all runs' last numbers in Prometheus' text form
#pragma once

#include "polariscope/live/watcher.h"

#include <map>
#include <string>

namespace polariscope::live {

struct Request {
  std::string method, path, host;  // "GET", "/…/api/runs", the Host header: "127.0.0.1:7171"
  std::map<std::string, std::string> query;
};

struct Answer {
  int status = 200;
  std::string type, body;
};

// Safe from any number of threads.
class Site {
 public:
  // Both must outlive it.
  Site(Watcher& watcher, const std::string& token) : watcher_(watcher), token_(token) {}

  // 404 for whatever is not meant for it, without a word why: a wrong token, a host that is not this machine (a page of
  // another site that had its name lead here), an unknown path, run or number; 405 for a method that could change
  // something. No part of a request becomes the path of a file.
  Answer answer(const Request& request) const;

 private:
  Watcher& watcher_;
  const std::string& token_;
};

}  // namespace polariscope::live
