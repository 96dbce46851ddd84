// The rules of who may include whom, checked on the text of the sources.
#pragma once

#include <string>
#include <vector>

namespace polariscope::testing {

struct SourceFile {
  std::string path;  // from the project's root: "src/polariscope/flow/model.h", "cli/flow.cpp"
  std::string text;
};

// One sentence for each include that breaks a rule, in the order of `files`:
// - a folder includes only itself and folders of lower floors (the table is in floors.cpp);
// - files of one folder may include each other, but in no circle;
// - files in `internal/` are included from their own folder only, and so are `-inl.h` files (compiled once
//   per instruction set) but for the `-inl.h` files of higher floors; bench/ times what is inside, too;
// - files that are not on the list of those with LibTorch (in floors.cpp) include neither it nor one that is;
// - the reference in attention/oracle/ is for tests and for the few files on a list of their own;
// - texts of the library name no command-line flag, but those of the few files that write a command line;
// - no two files define a type of one full name: a program that links both has undefined behaviour;
// - a header of reweighting (but no -inl.h or internal one) does not include Highway;
// - what is included in quotes is a file of the project;
// - files of the Python package import the standard library, PyTorch and each other, in no circle.
std::vector<std::string> floor_violations(const std::vector<SourceFile>& files);

}  // namespace polariscope::testing
