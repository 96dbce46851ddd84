// What is running where, for reports and records.
#pragma once

#include <string>

namespace polariscope {

std::string version();  // "0.1.0"
std::string
commit();  // short hash of the sources built, "+changes" if they were edited since; "unknown" outside a checkout
std::string machine();  // processor name and number of processors this process may use

}  // namespace polariscope
