// Pure functions over samples. Every one takes the samples in the order they were taken.
#pragma once

#include <cstddef>
#include <vector>

namespace opclock {

struct Interval {
  double low;
  double high;
};

// Linear interpolation between order statistics (Hyndman & Fan 1996, type 7, NumPy's default).
// `share` in [0, 1]. All throw std::invalid_argument on no samples, and on NaN, which has no order.
double quantile(std::vector<double> samples, double share);
double median(std::vector<double> samples);
// Median absolute deviation from the median, unscaled.
double mad(const std::vector<double>& samples);

// Ranks (0-based, both inclusive) of the narrowest symmetric pair of order statistics that holds the median
// with at least `confidence`, whatever the distribution: the binomial tail (Conover 1999, section 3.2).
// With too few samples for that, the extremes.
struct Ranks {
  std::size_t low;
  std::size_t high;
};
Ranks median_ranks(std::size_t count, double confidence);
Interval median_interval(std::vector<double> samples, double confidence = 0.95);

// Correlation of each sample with the one before it; 0 for fewer than three samples or no spread.
double lag1_autocorrelation(const std::vector<double>& samples);

// Median of the second half over the median of the first half, less 1; 0 for fewer than two samples.
double drift(const std::vector<double>& samples);
// The same for samples divided by the control workload's in the same round: what the machine's own drift does not
// explain.
double drift_against(const std::vector<double>& samples, const std::vector<double>& control);

}  // namespace opclock
