#include "sampling/stopping.hpp"

#include <string>
#include <vector>

#include "within.hpp"

using namespace opclock;

namespace {

std::vector<double> repeated(const std::vector<double>& pattern, int times) {
  std::vector<double> samples;
  for (int i = 0; i < times; ++i) samples.insert(samples.end(), pattern.begin(), pattern.end());
  return samples;
}

}  // namespace

TEST_CASE("too few samples go on however equal") { CHECK(judge(std::vector<double>(11, 5.0), {}) == StopReason::none); }

TEST_CASE("equal samples are narrow") { CHECK(judge(std::vector<double>(12, 5.0), {}) == StopReason::narrow); }

TEST_CASE("wide samples go on at first") { CHECK(judge(repeated({1, 2, 3, 4}, 4), {}) == StopReason::none); }

TEST_CASE("interval that stopped shrinking is stagnant") {
  // Half of the samples at 1 and half at 2, whatever their number: the interval stays [1, 2].
  CHECK(judge(repeated({1, 2}, 20), {}) == StopReason::stagnant);
}

TEST_CASE("interval that still shrinks goes on") {
  // First half wide, second half at the middle: the interval of all is far narrower than that of the first half.
  auto samples = repeated({1, 2, 3, 4, 5}, 3);
  const auto calm = repeated({2.5, 3, 3.5}, 5);
  samples.insert(samples.end(), calm.begin(), calm.end());
  CHECK(judge(samples, {}) == StopReason::none);
}

TEST_CASE("half width by hand") {
  // n = 10: second and ninth of 1..10, half width 3.5, median 5.5.
  CHECK(relative_half_width({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) == within(3.5 / 5.5, 1e-12));
  CHECK(relative_half_width({0, 0, 0}) == 0);
}

TEST_CASE("plateau waits for six passes and no fall") {
  Plateau falling;
  for (const double pass : {10.0, 9.0, 8.0, 7.0, 6.0, 5.0}) {
    CHECK(!falling.reached());
    falling.add(pass);
  }
  CHECK(!falling.reached());
  for (int i = 0; i < 6; ++i) falling.add(5.0);
  CHECK(falling.reached());
}

TEST_CASE("plateau forgives one disturbed pass") {
  Plateau plateau;
  for (const double pass : {5.0, 5.0, 9.0, 5.0, 5.0, 5.0}) plateau.add(pass);
  CHECK(plateau.reached());
}

TEST_CASE("reasons have names") {
  CHECK(std::string(to_string(StopReason::narrow)) == "narrow");
  CHECK(std::string(to_string(StopReason::stagnant)) == "stagnant");
  CHECK(std::string(to_string(StopReason::time_cap)) == "time_cap");
  CHECK(std::string(to_string(StopReason::none)) == "none");
}
