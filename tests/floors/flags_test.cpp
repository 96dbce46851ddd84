#include "flags.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

using Flags = std::vector<std::string>;

TEST(FlagsInLiterals, AreThoseOfTheText) {
  EXPECT_EQ(flags_in_literals("throw Error(\"choose another --out, or --qk-norm=no\");\nf({\"--quiet\"});\n"
                              "auto raw = R\"(all of --beta-1)\";\n"),
            (Flags{"--out", "--qk-norm", "--quiet", "--beta-1"}));
}

TEST(FlagsInLiterals, AreNotInCommentsNorMadeOfDashes) {
  EXPECT_EQ(
      flags_in_literals("// as in \"--out\"\n/* \"--out\" */\n#include \"--out\"\nwhile (--count > 0) x(\"a --b\");\n"
                        "auto flag = \"--\" + name; const char* line = \"---- end --- well--known\";\n"),
      (Flags{"--b"}));
}

}  // namespace
}  // namespace polariscope::testing
