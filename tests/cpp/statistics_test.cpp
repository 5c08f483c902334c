#include "sampling/statistics.hpp"

#include "check.hpp"

using namespace opclock;

TEST(median_of_odd_and_even) {
  NEAR(median({40, 10, 20}), 20, 0);
  NEAR(median({40, 10, 20, 30}), 25, 0);
  NEAR(median({5}), 5, 0);
}

TEST(quantiles_interpolate) {
  NEAR(quantile({10, 20, 30, 40}, 0.25), 17.5, 1e-12);
  NEAR(quantile({10, 20, 30, 40}, 0.75), 32.5, 1e-12);
  NEAR(quantile({10, 20, 30, 40}, 0.95), 38.5, 1e-12);
  NEAR(quantile({10, 20, 30, 40}, 0.0), 10, 0);
  NEAR(quantile({10, 20, 30, 40}, 1.0), 40, 0);
}

TEST(mad_ignores_one_outlier) { NEAR(mad({10, 20, 30, 40, 1000}), 10, 0); }

TEST(ranks_from_the_binomial_tail) {
  // n = 6: P(B <= 0) = 1/64 <= 0.025 < P(B <= 1) = 7/64. n = 10: P(B <= 1) = 11/1024 <= 0.025 < 56/1024.
  CHECK(median_ranks(6, 0.95).low == 0 && median_ranks(6, 0.95).high == 5);
  CHECK(median_ranks(10, 0.95).low == 1 && median_ranks(10, 0.95).high == 8);
  // n = 20: P(B <= 5) = 0.0207 <= 0.025 < P(B <= 6) = 0.0577.
  CHECK(median_ranks(20, 0.95).low == 5 && median_ranks(20, 0.95).high == 14);
  CHECK(median_ranks(1, 0.95).low == 0 && median_ranks(1, 0.95).high == 0);
}

TEST(interval_of_the_median) {
  const Interval interval = median_interval({10, 1, 9, 2, 8, 3, 7, 4, 6, 5});
  NEAR(interval.low, 2, 0);
  NEAR(interval.high, 9, 0);
}

TEST(interval_of_many_samples_uses_no_overflowing_binomials) {
  std::vector<double> samples;
  for (int i = 1; i <= 10001; ++i) samples.push_back(i);
  const Interval interval = median_interval(samples);
  NEAR(interval.low, 5001 - 98, 2);  // 1.96 sqrt(n) / 2
  NEAR(interval.high, 5001 + 98, 2);
}

TEST(autocorrelation) {
  NEAR(lag1_autocorrelation({1, -1, 1, -1}), -0.75, 1e-12);
  NEAR(lag1_autocorrelation({1, 1, 1}), 0, 0);
  NEAR(lag1_autocorrelation({1, 2}), 0, 0);
}

TEST(drift_of_halves) {
  NEAR(drift({10, 10, 11, 11}), 0.1, 1e-12);
  NEAR(drift({10}), 0, 0);
  NEAR(drift_against({10, 10, 20, 20}, {1, 1, 2, 2}), 0, 1e-12);
  NEAR(drift_against({10, 10, 10, 10}, {1, 1, 2, 2}), -0.5, 1e-12);
}

TEST(bad_input_is_refused) {
  check::throws<std::invalid_argument>([] { median({}); }, "median of nothing");
  check::throws<std::invalid_argument>([] { quantile({1}, 1.5); }, "quantile 1.5");
  check::throws<std::invalid_argument>([] { median_ranks(0, 0.95); }, "ranks of nothing");
  check::throws<std::invalid_argument>([] { drift_against({1, 2}, {1}); }, "unequal lengths");
  check::throws<std::invalid_argument>([] { drift_against({1}, {0}); }, "anchor of 0");
}
