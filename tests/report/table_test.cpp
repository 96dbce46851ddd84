#include "polariscope/report/table.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace polariscope {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

report::Table mixed() {
  report::Table table;
  table.columns = {{"t", std::vector<double>{0.1, kNan, kInfinity, -kInfinity}},
                   {"name", std::vector<std::string>{"plain", "a,b", "say \"so\"", "two\r\nlines"}}};
  return table;
}

TEST(Table, CsvQuotesWhatRfc4180Quotes) {
  EXPECT_EQ(mixed().csv(), "t,name\r\n0.1,plain\r\nnan,\"a,b\"\r\ninf,\"say \"\"so\"\"\"\r\n-inf,\"two\r\nlines\"\r\n");
}

TEST(Table, CsvQuotesColumnNamesToo) {
  report::Table table;
  table.columns = {{"E[H], \"nats\"", std::vector<double>{1}}};
  EXPECT_EQ(table.csv(), "\"E[H], \"\"nats\"\"\"\r\n1\r\n");
}

TEST(Table, CsvKeepsFullPrecision) {
  const double number = 0.1 + 0.2;
  report::Table table;
  table.columns = {{"x", std::vector<double>{number, 1e299, 5e-324}}};
  const std::string csv = table.csv();
  EXPECT_EQ(csv, "x\r\n0.30000000000000004\r\n1e+299\r\n5e-324\r\n");
}

TEST(Table, OfNoColumnsIsEmpty) {
  EXPECT_EQ(report::Table{}.csv(), "");
  EXPECT_EQ(report::Table{}.rows(), 0u);
  EXPECT_TRUE(report::Table{}.row_objects().empty());
}

TEST(Table, RowObjectsHaveNullForWhatJsonCannotSay) {
  const auto rows = mixed().row_objects();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0], (nlohmann::json{{"t", 0.1}, {"name", "plain"}}));
  for (int i = 1; i < 4; ++i) EXPECT_TRUE(rows[i].at("t").is_null());
}

TEST(Table, UnequalColumnsAreRefusedByName) {
  report::Table table;
  table.columns = {{"t", std::vector<double>{1, 2}}, {"loss", std::vector<double>{1}}};
  try {
    table.rows();
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("loss"), std::string::npos);
  }
}

TEST(Table, SurvivesJsonBitForBit) {
  const auto text = nlohmann::json(mixed()).dump();
  const report::Table back = nlohmann::json::parse(text).get<report::Table>();
  EXPECT_EQ(back.csv(), mixed().csv());
}

TEST(Table, JsonOfAnUnknownColumnTypeIsRefused) {
  const auto json = nlohmann::json::parse(R"({"columns": [{"name": "x", "type": "date", "values": []}]})");
  EXPECT_THROW(json.get<report::Table>(), Error);
}

}  // namespace
}  // namespace polariscope
