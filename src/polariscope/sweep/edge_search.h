// The largest learning rate that does not collapse, of one training and seed: which rate to try next. Knows no
// training.
#pragma once

#include <limits>
#include <optional>

namespace polariscope::sweep {

// Goes up or down by factors of 4 until one rate held and one above it collapsed, then halves what is between them in
// the logarithm. That a rate above one that collapsed holds again is not looked for.
class EdgeSearch {
 public:
  static constexpr double kFactor = 4.0;
  static constexpr int kMostFactors = 6;  // up or down from the first rate: 4096 times
  static constexpr double kLeastWithin = 1.01;

  // first: finite, above 0. within: the factor between held() and collapsed() that is near enough; from kLeastWithin to
  // kFactor.
  EdgeSearch(double first, double within);

  // The rate to try, of four digits; nothing once the edge is known or further away than is looked.
  std::optional<double> next() const;
  // What became of next(), which must be there.
  void tell(bool collapsed);

  double held() const { return held_; }            // the largest rate that did not collapse; 0: none
  double collapsed() const { return collapsed_; }  // the smallest one above that did; infinity: none
  int runs() const { return runs_; }

  // How many runs such a search takes if its first bracket holds the edge, and how many of them are done: all of them
  // once next() is nothing.
  int planned() const;
  int done() const;

 private:
  bool is_bracketed() const { return held_ > 0.0 && collapsed_ < std::numeric_limits<double>::infinity(); }
  int halvings(double ratio) const;

  double first_, within_, held_ = 0.0, collapsed_ = std::numeric_limits<double>::infinity();
  int runs_ = 0;
};

}  // namespace polariscope::sweep
