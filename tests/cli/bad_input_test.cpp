// Every mistake of a user's: one sentence, exit code 2, nothing else.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

struct Refusal {
  Words arguments, words;
};

void expect_all_refused(const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) expect_refused(refusal.arguments, refusal.words);
}

// What --init holds, how it is run, and what the sentence names.
struct Arrays {
  std::string text;
  Words options, words;
};

void expect_arrays_refused(const std::vector<Arrays>& all) {
  for (const Arrays& arrays : all) {
    SCOPED_TRACE(arrays.text.substr(0, 100));
    const TemporaryFolder folder;
    write_bytes(folder.path() / "arrays.json", arrays.text);
    Words arguments{"flow", "--steps", "10", "--init", "arrays.json", "--out", "run"};
    arguments.insert(arguments.end(), arrays.options.begin(), arrays.options.end());
    expect_refused_in(folder.path(), arguments, arrays.words);
  }
}

TEST(BadInput, UnknownNamesAreRefusedWithTheNearestKnownOne) {
  expect_all_refused({
      {{"flwo"}, {"unknown command \"flwo\"", "did you mean \"flow\"?", "list, reproduce"}},
      {{"--versoin"}, {"unknown option \"--versoin\"", "\"--version\""}},
      {{"flow", "--stepz", "1"}, {"unknown option \"--stepz\"", "\"--step\""}},
      {{"flow", "--sampels=3"}, {"unknown option \"--sampels\"", "\"--samples\""}},
      {{"flow", "-x"}, {"unknown option \"-x\""}},
      {{"reproduce", "--presets", "quick"}, {"unknown option \"--presets\"", "\"--preset\""}},
      {{"list", "reweightings", "--markdwon"}, {"unknown option", "\"--markdown\""}},
      {{"list", "attention"}, {"unknown list \"attention\"", "\"attentions\""}},
      {{"flow", "--model", "redced"}, {"unknown model \"redced\"", "\"reduced\""}},
      {{"flow", "--loss", "logistik"}, {"unknown loss \"logistik\"", "\"logistic\""}},
      {{"flow", "--reweighting", "sofmax"}, {"unknown re-weighting \"sofmax\"", "\"softmax\""}},
      {{"flow", "--method", "fow"}, {"unknown method \"fow\"", "\"flow\""}},
      {{"flow", "--method", "flow", "--solver", "bdff"}, {"unknown solver \"bdff\"", "\"bdf\""}},
      {{"reproduce", "--preset", "papper"}, {"unknown preset \"papper\"", "\"paper\""}},
      {{"reproduce", "A.fig22"}, {"unknown experiment \"A.fig22\"", "\"A.fig2\""}},
      {{"reproduce", "A.fig2", "nonsense"}, {"unknown experiment \"nonsense\""}},
      {{"reproduce", ""}, {"unknown experiment \"\""}},
      {{"list", "reweighting"}, {"unknown list \"reweighting\"", "\"reweightings\""}},
      {{"flow", "--model", ""}, {"unknown model \"\"", "value-softmax"}},
  });
}

TEST(BadInput, TheListOfOptionsInASentenceIsShort) {
  const Outcome outcome = polariscope_run({"flow", "--stepz", "1"});
  EXPECT_LT(outcome.err.size(), 160U) << outcome.err;
}

TEST(BadInput, AMissingOrAnAdditionalArgumentIsRefused) {
  expect_all_refused({
      {{"list"}, {"experiments, reweightings, attentions, checks or options"}},
      {{"list", "checks", "more"}, {"\"more\""}},
      {{"list", "attentions", "--json", "--markdown"}, {"--json", "--markdown"}},
      {{"flow", "more"}, {"\"more\""}},
      {{"flow", "--steps"}, {"--steps", "value"}},
      {{"flow", "--model"}, {"--model", "value"}},
      {{"flow", "--init", ""}, {"--init", "empty"}},
      {{"flow", "--out", ""}, {"--out", "empty"}},
      {{"flow", "--config", ""}, {"--config", "empty"}},
      {{"reproduce", "--out", ""}, {"--out", "empty"}},
  });
}

TEST(BadInput, ASwitchTakesNoValue) {
  expect_all_refused({
      {{"flow", "--json=3"}, {"--json takes no value"}},
      {{"flow", "--check=yes"}, {"--check takes no value"}},
      {{"flow", "--quiet=maybe"}, {"--quiet takes no value"}},
      {{"list", "checks", "--markdown=false"}, {"--markdown takes no value"}},
      {{"reproduce", "--quiet=1"}, {"--quiet takes no value"}},
  });
}

TEST(BadInput, AnOptionIsGivenOnceAndWithAValue) {
  expect_all_refused({
      {{"flow", "--steps", "1", "--steps", "2"}, {"--steps is given more than once"}},
      {{"flow", "--steps", ""}, {"--steps is empty", "value"}},
      {{"flow", "--seed="}, {"--seed needs a value"}},
      {{"reproduce", "--seed", ""}, {"--seed is empty"}},
      {{"flow", "--", "--steps", "3"}, {"\"--\" has no place here"}},
      {{"--", "flow"}, {"\"--\" has no place here"}},
  });
}

TEST(BadInput, TheSentenceStaysOneLineWhateverItQuotes) {
  expect_all_refused({{{"flow", "--model", "a\nb"}, {"unknown model"}}, {{"a\nb\rc"}, {"unknown command"}}});
}

TEST(BadInput, NumbersOutOfRangeAreRefusedByTheirOption) {
  expect_all_refused({
      {{"flow", "--step", "-1"}, {"step", "-1", "positive"}},
      {{"flow", "--step", "0"}, {"step", "0", "positive"}},
      {{"flow", "--step", "nan"}, {"step", "nan"}},
      {{"flow", "--step", "inf"}, {"step", "inf"}},
      {{"flow", "--step", "fast"}, {"--step", "\"fast\"", "number"}},
      {{"flow", "--steps", "-1"}, {"steps", "-1"}},
      {{"flow", "--steps", "1.5"}, {"--steps", "1.5", "whole number"}},
      {{"flow", "--steps", "nan"}, {"--steps", "nan"}},
      {{"flow", "--steps", "1e300"}, {"--steps", "1e+300"}},
      {{"flow", "--steps", "1e3x"}, {"--steps", "\"1e3x\""}},
      {{"flow", "--dim", "0"}, {"--dim is 0", "between 1 and 100000"}},
      {{"flow", "--dim", "-3"}, {"--dim is -3"}},
      {{"flow", "--dim", "2.5"}, {"--dim is 2.5", "whole number"}},
      {{"flow", "--dim", "nan"}, {"--dim is nan"}},
      {{"flow", "--dim", "1e9"}, {"--dim is 1000000000"}},
      {{"flow", "--tokens", "0"}, {"--tokens is 0"}},
      {{"flow", "--tokens", "-1"}, {"--tokens is -1"}},
      {{"flow", "--tokens", "nan"}, {"--tokens is nan"}},
      {{"flow", "--model", "rows", "--rows", "0"}, {"--rows is 0"}},
      {{"flow", "--model", "rows", "--rows", "-2"}, {"--rows is -2"}},
      {{"flow", "--seed", "-1"}, {"--seed is -1"}},
      {{"flow", "--seed", "0.5"}, {"--seed is 0.5", "whole number"}},
      {{"flow", "--seed", "1e20"}, {"--seed is 1e+20", "at most"}},
      {{"flow", "--step", "1e-320", "--until", "1"}, {"--until divided by --step is inf", "at most"}},
      {{"flow", "--samples", "1"}, {"--samples is 1"}},
      {{"flow", "--samples", "1e9"}, {"--samples"}},
      {{"flow", "--trajectories", "0"}, {"--trajectories is 0"}},
      {{"flow", "--trajectories", "1e18"}, {"--trajectories is 1e+18"}},
      {{"flow", "--value-scale", "nan"}, {"V", "nan"}},
      {{"flow", "--score-scale", "inf"}, {"a", "inf"}},
      {{"flow", "--score-offset", "nan"}, {"a", "nan"}},
      {{"flow", "--loss", "least-squares", "--condition", "0"}, {"--condition is 0", "at least 1"}},
      {{"flow", "--loss", "least-squares", "--condition", "inf"}, {"--condition is inf"}},
      {{"flow", "--until", "0"}, {"--until is 0"}},
      {{"flow", "--until", "nan"}, {"--until is nan"}},
      {{"flow", "--method", "flow", "--until", "0"}, {"final time is 0"}},
      {{"flow", "--method", "flow", "--until", "-1"}, {"final time is -1"}},
      {{"flow", "--method", "flow", "--until", "1e-300"}, {"final time is 1e-300", "1e-100"}},
      {{"flow", "--method", "flow", "--until", "nan"}, {"final time is nan"}},
      {{"flow", "--method", "flow", "--until", "1e300", "--out", "run"}, {"final time is 1e+300", "1e+299"}},
      {{"flow", "--method", "flow", "--rtol", "1", "--out", "run"}, {"relative tolerance is 1"}},
      {{"flow", "--method", "flow", "--rtol", "0"}, {"relative tolerance is 0"}},
      {{"flow", "--method", "flow", "--rtol", "-1e-9"}, {"relative tolerance is -1e-09"}},
      {{"flow", "--method", "flow", "--rtol", "nan"}, {"relative tolerance is nan"}},
      {{"reproduce", "--seed", "-1"}, {"--seed is -1"}},
      {{"reproduce", "--seed", "nan"}, {"--seed is nan"}},
      {{"reproduce", "--jobs", "-1"}, {"--jobs is -1"}},
      {{"reproduce", "--jobs", "1.5"}, {"--jobs is 1.5"}},
      {{"reproduce", "--jobs", "1e12"}, {"--jobs is 1000000000000"}},
  });
}

TEST(BadInput, AProblemThatNoMemoryHoldsIsRefused) {
  expect_all_refused({{{"flow", "--dim", "1e5", "--samples", "1e5"}, {"memory"}},
                      {{"flow", "--model", "rows", "--rows", "1e5", "--tokens", "1e5"}, {"memory"}}});
}

TEST(BadInput, OptionsThatContradictEachOtherAreRefusedWithTheReason) {
  expect_all_refused({
      {{"flow", "--model", "reduced", "--loss", "kl"}, {"model reduced with loss kl", "use value-softmax"}},
      {{"flow", "--model", "reduced", "--loss", "least-squares"}, {"model reduced with loss least-squares"}},
      {{"flow", "--model", "linear", "--reweighting", "sigmoid"}, {"model linear with re-weighting sigmoid"}},
      {{"flow", "--model", "linear", "--reweighting", "softmax"}, {"model linear with re-weighting softmax"}},
      {{"flow", "--model", "tied", "--dim", "3", "--tokens", "4"}, {"d = 3", "k = 4", "equal"}},
      {{"flow", "--rows", "3"}, {"model value-softmax has 3 rows"}},
      {{"flow", "--condition", "5"}, {"--condition", "least-squares"}},
      {{"flow", "--method", "flow", "--step", "0.1"}, {"--step", "--method gd"}},
      {{"flow", "--method", "flow", "--steps", "10"}, {"--steps", "--method gd"}},
      {{"flow", "--rtol", "1e-9"}, {"--rtol", "--method flow"}},
      {{"flow", "--solver", "bdf"}, {"--solver", "--method flow"}},
      {{"flow", "--until", "10", "--steps", "10"}, {"--until and --steps"}},
  });
}

TEST(BadInput, ArraysOfWrongShapeAreRefusedByName) {
  const Words least{"--loss", "least-squares"}, kl{"--loss", "kl"}, tied{"--model", "tied"};
  expect_arrays_refused({
      {R"({"V": [[1, 2], [3]]})", {}, {"arrays.json", "\"V\"", "row 1", "expected 2 rows of 2"}},
      {R"({"V": [[1, 2], [3, 4]], "a": [1, 2, 3]})", {}, {"\"a\" has 3 numbers, expected 2"}},
      {R"({"V": [[1, 2], [3, 4]], "a": [1]})", {}, {"\"a\" has 1 numbers, expected 2"}},
      {R"({"V": [[1, 2], [3, 4]], "beta": [1, 2, 3]})", {}, {"\"beta\" has 3 numbers, expected 2"}},
      {R"({"V": [[1, 2], [3, 4]]})", {"--dim", "3"}, {"d = 2", "--dim says 3"}},
      {R"({"V": [[1, 2], [3, 4]]})", {"--tokens", "3"}, {"k = 2", "--tokens says 3"}},
      {R"({"V": [[1, 2], [3, 4]], "X": [[1, 2], [3, 4]], "beta": [1, 2, 3]})",
       least,
       {"\"beta\" has 3 numbers", "expected 2 (one a row of X)"}},
      {R"({"V": [[1, 2], [3, 4]], "X": [[1, 2, 3], [3, 4, 5]]})", least, {"\"X\"", "rows of 2"}},
      {R"({"V": [[1, 2], [3, 4]], "p_star": [0.2, 0.3, 0.5]})", kl, {"\"p_star\" has 3 numbers, expected 2"}},
      {R"({"U": [[1, 2]]})", tied, {"d = 1 and k = 2"}},
      {R"({"a": [[1, 2], [3, 4]]})", {}, {"2 rows", "model rows"}},
      {R"({"a": [[1, 2], [3]]})", {"--model", "rows"}, {"\"a\"", "row 1"}},
      {R"({"a": []})", {}, {"\"a\"", "not empty"}},
      {R"({"V": [[]]})", {}, {"\"V\"", "row 0"}},
      {R"({"V": 3})", {}, {"\"V\"", "list"}},
      {R"({"V": [1, 2]})", {}, {"\"V\""}},
      {R"({"V": [[[1]], [[2]]]})", {}, {"\"V\""}},
      {R"({"a": {"first": 1}})", {}, {"\"a\"", "list"}},
  });
}

TEST(BadInput, ArraysThatHaveNoPlaceInTheModelAreRefused) {
  expect_arrays_refused({
      {R"({"W": [[1]]})", {}, {"unknown array \"W\""}},
      {R"({"v": [[1]]})", {}, {"unknown array \"v\"", "\"V\""}},
      {R"({"U": [[1]]})", {}, {"\"U\"", "tied"}},
      {R"({"V": [[1]]})", {"--model", "tied"}, {"\"V\"", "U"}},
      {R"({"X": [[1]]})", {}, {"\"X\"", "least-squares"}},
      {R"({"p_star": [0.5, 0.5]})", {}, {"\"p_star\"", "kl"}},
      {R"({"beta": [1, 0]})", {"--loss", "kl"}, {"\"beta\"", "p_star"}},
      {R"({"p_star": [0.5, 0.6]})", {"--loss", "kl"}, {"p_star sums to 1.1"}},
      {R"({"p_star": [-0.5, 1.5]})", {"--loss", "kl"}, {"p_star", "-0.5"}},
      {R"({"beta": [0, 0]})", {}, {"beta is all zeros"}},
      {R"({"beta": [1, 1], "V": [[1, 2], [3, 4]]})",
       {"--model", "reduced", "--loss", "square"},
       {"V[0][0]", "along β"}},
      {R"({"beta": [1, 1]})", {"--model", "reduced"}, {"beta", "V"}},
  });
}

TEST(BadInput, NumbersThatAreNotFiniteAreRefusedByWhereTheyStand) {
  expect_arrays_refused({
      {R"({"a": [NaN]})", {}, {"arrays.json", "NaN at line 1"}},
      {"{\"a\": [1,\n-Infinity]}", {}, {"-Infinity at line 2"}},
      {R"({"a": [null]})", {}, {"\"a\" holds null"}},
      {R"({"a": [1e999]})", {}, {"1e999"}},
      {R"({"a": ["1"]})", {}, {"\"a\" holds \"1\""}},
      {R"({"a": [true]})", {}, {"\"a\" holds true"}},
  });
}

TEST(BadInput, AFileThatIsNoJsonObjectIsRefused) {
  expect_arrays_refused({
      {"entropy", {}, {"arrays.json is not a JSON object", "line 1"}},
      {"", {}, {"arrays.json is not a JSON object"}},
      {R"({"a": [1, 2])", {}, {"arrays.json is not a JSON object"}},
      {R"({"a": [1, 2]} 3)", {}, {"arrays.json is not a JSON object"}},
      {"[]", {}, {"expected a JSON object"}},
      {"3", {}, {"expected a JSON object"}},
      {"null", {}, {"expected a JSON object"}},
      {std::string("\xff\x00\x01", 3), {}, {"arrays.json is not a JSON object"}},
      {"{\"a\": " + std::string(200'000, '[') + std::string(200'000, ']') + "}", {}, {"nested deeper"}},
  });
  expect_all_refused({{{"flow", "--init", "."}, {"directory"}},
                      {{"flow", "--init", "absent.json"}, {"absent.json", "No such file"}},
                      {{"flow", "--init", "/dev/null"}, {"/dev/null"}}});
}

TEST(BadInput, AConfigThatDoesNotFitIsRefusedByFileAndKey) {
  const std::vector<std::pair<std::string, Words>> configs{
      {"stepz = 3", {"run.toml", "unknown setting \"stepz\"", "\"step\""}},
      {"steps = \"many\"", {"run.toml, line 1: steps holds \"many\"", "a number"}},
      {"steps = \"1e3\"", {"run.toml, line 1: steps holds \"1e3\"", "a number"}},
      {"seed = 1\nsteps = true", {"run.toml, line 2: steps holds true", "a number"}},
      {"steps = [1, 2]", {"run.toml", "steps"}},
      {"steps = -3", {"steps", "-3"}},
      {"json = 3", {"run.toml, line 1: json holds 3", "true or false"}},
      {"json = \"true\"", {"run.toml", "json holds \"true\"", "true or false"}},
      {"init = 1e3", {"run.toml, line 1: init holds 1000", "a string, in quotes"}},
      {"init = true", {"init holds true", "a string, in quotes"}},
      {"value_scale = 1\nseed = 1\nvalue-scale = 2",
       {"run.toml, line", "value-scale", "value_scale", "the same setting"}},
      {"init = \"\"", {"--init is empty"}},
      {"steps = 1979-05-27", {"run.toml", "steps"}},
      {"model = true", {"run.toml", "model holds true", "a string, in quotes"}},
      {"command = \"reproduce\"", {"run.toml", "\"reproduce\"", "\"flow\""}},
      {"steps = ", {"run.toml", "line 1"}},
      {"[flow]\nsteps = 3", {"run.toml", "flow"}},
      {"config = \"run.toml\"", {"unknown setting \"config\""}},
  };
  for (const auto& [text, words] : configs) {
    SCOPED_TRACE(text);
    const TemporaryFolder folder;
    write_bytes(folder.path() / "run.toml", text);
    expect_refused_in(folder.path(), {"flow", "--config", "run.toml", "--out", "run"}, words);
  }
  expect_all_refused(
      {{{"flow", "--config", "absent.toml"}, {"absent.toml"}}, {{"flow", "--config", "."}, {"directory"}}});
}

TEST(BadInput, AnOutputThatCannotBeAFolderIsRefused) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "file", "mine");
  expect_refused_in(folder.path(), {"flow", "--steps", "10", "--out", "file/run"}, {"file/run", "Not a directory"});
  expect_refused_in(folder.path(), {"flow", "--steps", "10", "--out", "file"}, {"file", "cannot be used as an output"});
  expect_refused_in(folder.path(), {"reproduce", "--out", "file/run"}, {"file/run", "Not a directory"});
  EXPECT_EQ(bytes_of(folder.path() / "file"), "mine");
}

TEST(BadInput, TheBareCommandShowsItsHelp) {
  const Outcome bare = polariscope_run({});
  EXPECT_EQ(bare.code, 2);
  EXPECT_NE(bare.out.find("Usage: polariscope"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
