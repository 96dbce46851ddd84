#include "polariscope/report/page.h"

#include "polariscope/report/charts.h"
#include "polariscope/report/internal/base64.h"
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/page_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <regex>

namespace polariscope {
namespace {

report::Claim claim(std::string id, report::Verdict verdict) {
  report::Claim made;
  made.id = std::move(id);
  made.statement = "A statement.";
  made.verdict = verdict;
  return made;
}

report::Page small_page() {
  report::Page page;
  page.title = "A report";
  page.command = "polariscope reproduce";
  report::Section section;
  section.id = "A.fig2";
  section.title = "A section";
  section.source = "Polarisation paper, figure 2";
  section.claims = {claim("A.fig2/a", report::Verdict::kHolds), claim("A.fig2/b", report::Verdict::kHolds),
                    claim("A.fig2/c", report::Verdict::kFails), claim("A.fig2/d", report::Verdict::kInconclusive)};
  report::Figure figure;
  figure.id = "line";
  const report::SeriesChart chart{{"x"}, {"y"}, {{"one", {1, 2, 3}, {1, 4, 9}, {}, {}, "", false}}, {}, false};
  figure.spec = report::series_chart(chart);
  figure.table = report::table_of(chart);
  section.figures = {figure};
  section.claims[0].evidence = "line";
  page.sections = {section};
  return page;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The document without the bundled scripts, style and licences, which are not written by render().
std::string own_text(const std::string& html) {
  const std::size_t style_end = html.find("</style>");
  const std::size_t foot = html.find("<footer>");
  EXPECT_NE(style_end, std::string::npos);
  EXPECT_NE(foot, std::string::npos);
  return html.substr(style_end, foot - style_end);
}

TEST(Page, CountsItsClaimsInOneLine) {
  EXPECT_TRUE(contains(report::render(small_page()), "2 of 4 claims hold, 1 fails, 1 inconclusive at this size"));
  report::Page none = small_page();
  none.sections[0].claims.clear();
  EXPECT_TRUE(contains(report::render(none), "No claim was measured"));
}

TEST(Page, LinksFailedClaimsBeforeTheTable) {
  const std::string html = report::render(small_page());
  const std::size_t link = html.find("href=\"#c-A.fig2_2fA.fig2_2fc\"");
  ASSERT_NE(link, std::string::npos);
  EXPECT_LT(link, html.find("<table class=\"claims\">"));
  EXPECT_TRUE(contains(html, "id=\"c-A.fig2_2fA.fig2_2fc\""));
}

TEST(Page, LinksAClaimToItsFigureOrToItsSection) {
  const std::string html = report::render(small_page());
  EXPECT_TRUE(contains(html, "href=\"#f-A.fig2_2fline\""));
  EXPECT_TRUE(contains(html, "id=\"f-A.fig2_2fline\""));
  EXPECT_TRUE(contains(html, "aria-label=\"section for A.fig2/b\""));
}

TEST(Page, NamesWhatIsUnfinishedAboveTheScoreboard) {
  report::Page page = small_page();
  EXPECT_FALSE(contains(own_text(report::render(page)), "Unfinished"));
  page.unfinished = {"A.fig10", "A.<rows>"};
  const std::string html = own_text(report::render(page));
  ASSERT_TRUE(contains(html, "Unfinished"));
  EXPECT_TRUE(contains(html, "A.&lt;rows&gt;"));
  EXPECT_LT(html.find("Unfinished"), html.find("class=\"headline\""));
}

TEST(Page, OfRemarksHasThemInPlaceOfClaims) {
  report::Page page = small_page();
  page.sections[0].claims.clear();
  page.sections[0].listings = {{"heads", "Heads", "", {{{"layer", std::vector<double>{1, 0.5}}}}}};
  page.remarks = {{true, "layer 3 is a <sink>", "above 0.3", "A.fig2/heads"}, {false, "no collapse", "", ""}};
  const std::string text = own_text(report::render(page));
  EXPECT_TRUE(contains(text, "<a href=\"#scoreboard\">Verdicts</a>"));
  EXPECT_TRUE(contains(text, "layer 3 is a &lt;sink&gt; <a href=\"#l-A.fig2_2fheads\">see</a>"));
  EXPECT_FALSE(contains(text, "No claim was measured"));
  EXPECT_TRUE(contains(text, "<td class=\"number\" data-value=\"0.5\">0.5</td>"));
}

TEST(Page, HostileTextStaysText) {
  const std::string evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{style}}\xff";
  report::Page page = small_page();
  page.title = page.preset = page.command = page.date = page.machine = page.version = evil;
  page.unfinished = {evil};
  page.definitions = {{evil, evil}};
  report::Section& section = page.sections[0];
  section.id = section.title = section.source = section.question = section.method = section.findings = evil;
  section.differences = section.command = evil;
  section.configuration = {{evil, evil}};
  section.claims = {{evil, evil, evil, evil, evil, 0, 0, 0, 1, report::Verdict::kFails, evil}};
  report::Figure& figure = section.figures[0];
  figure.id = figure.title = figure.caption = figure.alternative = evil;
  figure.spec["title"] = evil;
  figure.table.columns = {{evil, std::vector<std::string>{evil}}};

  const std::string html = report::render(page);
  EXPECT_TRUE(contains(html.substr(0, html.find("<style>")), "&lt;/script&gt;"));
  const std::string own = own_text(html);
  EXPECT_FALSE(contains(own, "<img"));
  EXPECT_TRUE(contains(own, "{{style}}")) << "a slot's name inside text must not be filled";
  // The figure's specification and its table, and no element that the text speaks of.
  const std::regex script("<script");
  EXPECT_EQ(std::distance(std::sregex_iterator(own.begin(), own.end(), script), std::sregex_iterator()), 2);
}

TEST(Page, AsksNothingOfTheNetwork) {
  const std::string html = own_text(report::render(small_page()));
  EXPECT_FALSE(std::regex_search(html, std::regex("(src|href)\\s*=\\s*[\"']?\\s*(https?:)?//", std::regex::icase)));
  EXPECT_FALSE(contains(html, "@import"));
  EXPECT_FALSE(contains(html, "<link"));
  EXPECT_TRUE(contains(report::render(small_page()), "default-src 'none'; script-src 'sha256-"));
}

TEST(Page, StaysUnderItsLimitAndSaysSo) {
  report::Page page = small_page();
  std::vector<double> many(400000);
  std::iota(many.begin(), many.end(), 0.1);
  for (int i = 0; i < 4; ++i) {
    report::Figure figure = page.sections[0].figures[0];
    figure.id = "big" + std::to_string(i);
    figure.table.columns = {{"x", many}, {"y", many}};
    page.sections[0].figures.push_back(figure);
  }
  const std::string html = report::render(page);
  EXPECT_LT(html.size(), 15'000'000u);
  EXPECT_TRUE(contains(html, "this page holds every"));
  EXPECT_FALSE(contains(report::render(small_page()), "this page holds every"));
}

TEST(Page, OfNothingIsStillAPage) {
  const std::string html = report::render(report::Page{});
  EXPECT_TRUE(contains(html, "<!doctype html>"));
  EXPECT_TRUE(contains(html, "No claim was measured"));
}

TEST(Html, EscapesEveryCharacterThatMeansSomething) {
  EXPECT_EQ(report::escape("<a href=\"x\" b='y'>&"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
}

TEST(Html, NumbersDoNotBreakAtTheirSigns) {
  EXPECT_EQ(report::escape_with_numbers("margin 5.3e-10 & -0.42, 3 of 5, t-shirt"),
            "margin <span class=\"number\">5.3e-10</span> &amp; <span class=\"number\">-0.42</span>, 3 of 5, t-shirt");
}

TEST(Html, AnchorsOfDifferentTextsDiffer) {
  EXPECT_EQ(report::anchor("s-", "A.fig2"), "s-A.fig2");
  EXPECT_NE(report::anchor("", "a/b"), report::anchor("", "a_2fb"));
  EXPECT_NE(report::anchor("", "a b"), report::anchor("", "a_b"));
}

TEST(Html, JsonInAScriptHoldsNoTag) {
  const std::string text = report::script_json({{"a", "</script><!--"}, {"b", "\xff"}});
  EXPECT_EQ(text.find('<'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(text).at("a"), "</script><!--");
}

TEST(PageTable, PacksWhatIsShorterPacked) {
  report::Table table;
  table.columns = {{"i", std::vector<double>{1, 2, 3}},
                   {"x", std::vector<double>{0.1 + 0.2, 1.0 / 3, std::nan("")}},
                   {"n", std::vector<std::string>{"a", "</script>", "c"}}};
  const auto json = nlohmann::json::parse(report::page_table(table, 2));
  EXPECT_EQ(json.at("columns").at(0).at("values"), nlohmann::json::parse("[1, 3]"));
  EXPECT_EQ(json.at("columns").at(1).at("values"), nlohmann::json::parse("[0.30000000000000004, \"nan\"]"));
  EXPECT_EQ(json.at("columns").at(2).at("values"), nlohmann::json::parse("[\"a\", \"c\"]"));
  table.columns = {{"x", std::vector<double>(90, 1.0 / 3)}};
  const auto packed = nlohmann::json::parse(report::page_table(table, 1)).at("columns").at(0);
  // 1/3 is 55 55 55 55 55 55 d5 3f in memory.
  EXPECT_EQ(packed.at("float64").get<std::string>().substr(0, 12), "VVVVVVVV1T9V");
  EXPECT_EQ(packed.at("float64").get<std::string>().size(), 960u);
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
  EXPECT_EQ(report::base64(""), "");
  EXPECT_EQ(report::base64("f"), "Zg==");
  EXPECT_EQ(report::base64("fo"), "Zm8=");
  EXPECT_EQ(report::base64("foo"), "Zm9v");
  EXPECT_EQ(report::base64("foob"), "Zm9vYg==");
  EXPECT_EQ(report::base64("\xff\xfe"), "//4=");
}

TEST(Html, DurationsReadAsPeopleSayThem) {
  EXPECT_EQ(report::duration(4.23), "4.2 s");
  EXPECT_EQ(report::duration(59.7), "1 min 0 s");
  EXPECT_EQ(report::duration(7500), "2 h 5 min");
}

}  // namespace
}  // namespace polariscope
