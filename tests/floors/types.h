// The types that a C++ file defines, read from its text.
#pragma once

#include <string>
#include <vector>

namespace polariscope::testing {

// Full names of the classes, structs, unions and enumerations defined at namespace scope: "polariscope::flow::Start".
// Left out are those of unnamed namespaces, which are the file's own, specialisations and members of classes.
std::vector<std::string> defined_types(const std::string& text);

}  // namespace polariscope::testing
