// The README and docs/ say what the program does: tables, commands and links.
#include "../cli/command.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kSources = POLARISCOPE_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> found;
  if (fs::exists(kSources / "README.md")) found.push_back(kSources / "README.md");
  for (const auto& entry : fs::recursive_directory_iterator(kSources / "docs")) {
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  }
  return found;
}

// Commands of this program in the fenced blocks of a page, as words; a line that ends in \ goes on.
std::vector<std::vector<std::string>> commands_in(const std::string& page) {
  std::vector<std::vector<std::string>> commands;
  bool inside = false;
  std::string joined;
  for (std::string line : lines_of(page)) {
    if (line.find("```") != std::string::npos) {
      inside = !inside;
      continue;
    }
    if (!inside) continue;
    joined += line;
    if (joined.ends_with('\\')) {
      joined.back() = ' ';
      continue;
    }
    std::istringstream stream(std::exchange(joined, ""));
    std::vector<std::string> words;
    for (std::string word; stream >> word && word != "#" && word != "|" && word != ">" && word != "&&";) {
      if (words.empty() && word == "$") continue;
      words.push_back(word);
    }
    if (words.size() > 1 && words[0] == "./dev" && words[1] == "reproduce") words[0] = "polariscope";
    if (!words.empty() && fs::path(words[0]).filename() == "polariscope") commands.push_back(words);
  }
  return commands;
}

std::string help_of(std::vector<std::string> command) {
  command.emplace_back("--help");
  return polariscope_run(command).out;
}

// The command that a line of words begins with: "flow", "sweep run"; nothing if there is none.
std::vector<std::string> command_of(const std::vector<std::string>& words) {
  std::vector<std::string> command;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i].starts_with("-") || help_of(command).find("\n  " + words[i] + " ") == std::string::npos) break;
    command.push_back(words[i]);
  }
  return command;
}

std::set<std::string> options_of(const std::vector<std::string>& command) {
  const std::string help = help_of(command);
  std::set<std::string> options;
  const std::regex option("--[a-z-]+");
  const std::string declared = help.substr(0, help.find("Examples:"));
  for (std::sregex_iterator match(declared.begin(), declared.end(), option), end; match != end; ++match)
    options.insert(match->str());
  return options;
}

// What stands between <!-- name --> and <!-- /name -->, without the empty lines at its ends.
std::string marked(const std::string& page, const std::string& name) {
  const std::string opening = "<!-- " + name + " -->", closing = "<!-- /" + name + " -->";
  const std::size_t begin = page.find(opening), end = page.find(closing);
  if (begin == std::string::npos || end == std::string::npos) return "no markers " + opening;
  std::string text = page.substr(begin + opening.size(), end - begin - opening.size());
  text.erase(0, text.find_first_not_of('\n'));
  text.erase(text.find_last_not_of('\n') + 1);
  return text + "\n";
}

void expect_listing(const std::string& page, const std::string& what) {
  EXPECT_EQ(marked(bytes_of(kSources / page), what), polariscope_run({"list", what, "--markdown"}).out)
      << "between the markers of " << page << " belongs: polariscope list " << what << " --markdown";
}

TEST(Docs, TheTableOfReweightingsIsTheProgramsOwn) { expect_listing("docs/reweightings.md", "reweightings"); }

TEST(Docs, TheTableOfAttentionsIsTheProgramsOwn) { expect_listing("docs/attention.md", "attentions"); }

TEST(Docs, TheTableOfTrainingsOptionsIsTheProgramsOwn) { expect_listing("docs/training.md", "options"); }

TEST(Docs, TheExamplesAreTheProgramsThatTheTestsRun) {
  for (const auto& [page, example] : {std::pair{"docs/attention.md", "examples/attend_raw.cpp"},
                                      {"docs/adding-a-model.md", "examples/recall_training.h"},
                                      {"docs/adding-an-architecture.md", "examples/phi_row.h"},
                                      {"docs/tokenizers.md", "examples/read_tokens.py"}}) {
    const std::string language = fs::path(example).extension() == ".py" ? "python" : "cpp";
    EXPECT_EQ(marked(bytes_of(kSources / page), example),
              "```" + language + "\n" + bytes_of(kSources / example) + "```\n");
  }
}

TEST(Docs, EveryCommandShownIsOneThatTheProgramTakes) {
  const std::string experiments = polariscope_run({"list", "experiments"}).out;
  for (const fs::path& path : pages()) {
    for (const std::vector<std::string>& words : commands_in(bytes_of(path))) {
      std::string shown = path.filename().string() + ":";
      for (const std::string& word : words) shown += " " + word;
      SCOPED_TRACE(shown);
      const std::vector<std::string> command = command_of(words);
      if (words.size() > 1 && !words[1].starts_with("-")) {
        ASSERT_FALSE(command.empty()) << "no such command";
      }
      const std::set<std::string> options = options_of(command);
      for (const std::string& word : words) {
        if (word.starts_with("--")) {
          EXPECT_TRUE(options.contains(word.substr(0, word.find('=')))) << word;
        }
        if (command == std::vector<std::string>{"reproduce"} && (word.starts_with("A.") || word.starts_with("B."))) {
          EXPECT_NE(experiments.find("\n" + word + " "), std::string::npos) << word << " is no experiment";
        }
      }
      if (command == std::vector<std::string>{"list"}) {
        EXPECT_EQ(polariscope_run({words.begin() + 1, words.end()}).code, 0);
      }
    }
  }
}

TEST(Docs, TheExamplesInTheHelpAreCommandsThatTheProgramTakes) {
  int seen = 0;
  for (const std::vector<std::string>& name : std::vector<std::vector<std::string>>{{},
                                                                                    {"bound"},
                                                                                    {"edge"},
                                                                                    {"flow"},
                                                                                    {"list"},
                                                                                    {"reproduce"},
                                                                                    {"sweep"},
                                                                                    {"sweep", "run"},
                                                                                    {"sweep", "status"},
                                                                                    {"sweep", "retry"},
                                                                                    {"sweep", "export"},
                                                                                    {"tokenize"}}) {
    const std::string help = help_of(name);
    for (const auto& words : commands_in("```\n" + help.substr(help.find("Examples:")) + "\n```")) {
      ASSERT_GE(words.size(), 2U);
      ++seen;
      const std::set<std::string> options = options_of(command_of(words));
      for (const std::string& word : words) {
        if (word.starts_with("--")) {
          EXPECT_TRUE(options.contains(word)) << words[1] << ": " << word;
        }
      }
    }
  }
  EXPECT_GE(seen, 10);
}

// The page without its fenced and indented blocks: what looks like a link in a program is none.
std::string without_programs(const std::string& page) {
  std::string text;
  bool inside = false;
  for (const std::string& line : lines_of(page)) {
    const bool fence = line.starts_with("```");
    if (fence) inside = !inside;
    if (!inside && !fence && !line.starts_with("    ")) text += line + "\n";
  }
  return text;
}

// Every file of the tree that can be named, and the words of those with code in them.
struct Tree {
  std::vector<std::string> paths;
  std::set<std::string> words;

  Tree() {
    const std::regex word("[A-Za-z_][A-Za-z0-9_]*");
    for (const char* room : {"src", "tests", "cli", "bench", "python", "cmake", "grids", "docs"}) {
      for (const auto& entry : fs::recursive_directory_iterator(kSources / room)) {
        paths.push_back(fs::relative(entry.path(), kSources).string());
        const std::string kind = entry.path().extension().string();
        if (kind != ".h" && kind != ".cpp" && kind != ".py") continue;
        const std::string code = bytes_of(entry.path());
        for (std::sregex_iterator match(code.begin(), code.end(), word), end; match != end; ++match) {
          words.insert(match->str());
        }
      }
    }
  }
  bool has_path(std::string name) const {
    if (name.ends_with('/')) name.pop_back();
    return std::ranges::any_of(paths, [&](const std::string& path) { return ("/" + path).ends_with("/" + name); });
  }
};

// The pages for those who carry the work on name files, functions and types. What the page's own example makes, in its
// indented lines, is none of them.
TEST(Docs, NamesOfFilesFunctionsAndTypesAreThere) {
  const Tree tree;
  const std::regex span("`([^`\n]+)`"), path(R"([\w./-]+\.(h|cpp|toml|txt)|[\w-][\w/-]*/)");
  const std::regex name(R"([A-Za-z_]\w*(::\w+)*(\(\))?)"), word(R"(\w+)");
  int seen = 0;
  for (const fs::path& page : pages()) {
    if (!page.filename().string().starts_with("adding-")) continue;
    std::string prose, example;
    for (const std::string& line : lines_of(bytes_of(page)))
      (line.starts_with("    ") ? example : prose) += line + "\n";
    for (std::sregex_iterator match(prose.begin(), prose.end(), span), end; match != end; ++match) {
      const std::string text = (*match)[1].str();
      SCOPED_TRACE(page.filename().string() + ": " + text);
      if (example.find(text) != std::string::npos) continue;
      ++seen;
      if (std::regex_match(text, path)) {
        EXPECT_TRUE(tree.has_path(text)) << "no such file";
      } else if (std::regex_match(text, name)) {
        for (std::sregex_iterator part(text.begin(), text.end(), word); part != end; ++part) {
          EXPECT_TRUE(tree.words.contains(part->str())) << part->str() << " is in no source";
        }
      }
    }
  }
  EXPECT_GE(seen, 40);
}

TEST(Docs, RelativeLinksLeadToFiles) {
  const std::regex link(R"(\]\(([^)#\s]+)[^)]*\)|(?:src|href|srcset)="([^"#]+)[^"]*")");
  for (const fs::path& path : pages()) {
    const std::string page = without_programs(bytes_of(path));
    for (std::sregex_iterator match(page.begin(), page.end(), link), end; match != end; ++match) {
      const std::string target = (*match)[1].matched ? (*match)[1].str() : (*match)[2].str();
      if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
      EXPECT_TRUE(fs::exists(path.parent_path() / target)) << path.filename() << " links to " << target;
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
