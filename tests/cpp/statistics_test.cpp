#include "sampling/statistics.hpp"

#include <stdexcept>

#include "within.hpp"

using namespace opclock;

TEST_CASE("median of odd and even") {
  CHECK(median({40, 10, 20}) == 20);
  CHECK(median({40, 10, 20, 30}) == 25);
  CHECK(median({5}) == 5);
}

TEST_CASE("ranks from the binomial tail") {
  // n = 6: P(B <= 0) = 1/64 <= 0.025 < P(B <= 1) = 7/64. n = 10: P(B <= 1) = 11/1024 <= 0.025 < 56/1024.
  CHECK(median_ranks(6, 0.95).low == 0);
  CHECK(median_ranks(6, 0.95).high == 5);
  CHECK(median_ranks(10, 0.95).low == 1);
  CHECK(median_ranks(10, 0.95).high == 8);
  // n = 20: P(B <= 5) = 0.0207 <= 0.025 < P(B <= 6) = 0.0577.
  CHECK(median_ranks(20, 0.95).low == 5);
  CHECK(median_ranks(20, 0.95).high == 14);
  CHECK(median_ranks(1, 0.95).low == 0);
  CHECK(median_ranks(1, 0.95).high == 0);
}

TEST_CASE("interval of the median") {
  const Interval interval = median_interval({10, 1, 9, 2, 8, 3, 7, 4, 6, 5});
  CHECK(interval.low == 2);
  CHECK(interval.high == 9);
}

TEST_CASE("interval of many samples uses no overflowing binomials") {
  std::vector<double> samples;
  for (int i = 1; i <= 10001; ++i) samples.push_back(i);
  const Interval interval = median_interval(samples);
  CHECK(interval.low == within(5001 - 98, 2));  // 1.96 sqrt(n) / 2
  CHECK(interval.high == within(5001 + 98, 2));
}

TEST_CASE("drift of halves") {
  CHECK(drift({10, 10, 11, 11}) == within(0.1, 1e-12));
  CHECK(drift({10}) == 0);
}

TEST_CASE("bad input is refused") {
  CHECK_THROWS_AS(median({}), std::invalid_argument);
  CHECK_THROWS_AS(median_ranks(0, 0.95), std::invalid_argument);
}
