// What is running where and when, for reports and records.
#pragma once

#include <string>

namespace polariscope {

std::string version();  // "0.1.0"
std::string
commit();  // short hash of the sources built, "+changes" if they were edited since; "unknown" outside a checkout
std::string now_utc();  // "2026-11-28 13:44 UTC"
std::string machine();  // processor name and number of processors this process may use

}  // namespace polariscope
