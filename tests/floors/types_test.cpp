#include "types.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

using Names = std::vector<std::string>;

TEST(DefinedTypes, HaveTheNamesOfTheirNamespaces) {
  EXPECT_EQ(defined_types("namespace a::b {\nstruct One { int x; };\nnamespace c { class Two final : public One {}; }\n"
                          "enum class Three : int { kA };\n}\nunion Four { int i; };\n"),
            (Names{"a::b::One", "a::b::c::Two", "a::b::Three", "Four"}));
}

TEST(DefinedTypes, AreNotDeclarationsParametersSpecialisationsOrMembers) {
  EXPECT_EQ(defined_types("namespace a {\nstruct Later;\ntemplate <class T, class U = int> void f(struct Other x) {}\n"
                          "template <> struct Found<int> { int x; };\nstruct Outer { struct Inner {}; enum { kA }; };\n"
                          "namespace alias = std::chrono;\nstruct Outer make() { return {}; }\n}\n"),
            (Names{"a::Outer"}));
}

TEST(DefinedTypes, OfUnnamedNamespacesAndTextAreNone) {
  EXPECT_EQ(defined_types("namespace a {\nnamespace {\nstruct Own { int x; };\n}\n// struct Comment {\n"
                          "const char* k = \"struct Text { \"; /* class Block { */\nchar c = '{';\n"
                          "#define MACRO struct Macro {\nauto raw = R\"x(struct Raw { )\" )x\";\nstruct Real {};\n}\n"),
            (Names{"a::Real"}));
}

}  // namespace
}  // namespace polariscope::testing
