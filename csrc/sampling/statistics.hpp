// Pure functions over samples. Every one takes the samples in the order they were taken.
#pragma once

#include <cstddef>
#include <vector>

namespace opclock {

struct Interval {
  double low;
  double high;
};

// The mean of the two middle samples where their number is even. All throw std::invalid_argument on no samples, and on
// NaN, which has no order.
double median(std::vector<double> samples);

// Ranks (0-based, both inclusive) of the narrowest symmetric pair of order statistics that holds the median
// with at least `confidence`, whatever the distribution: the binomial tail (Conover 1999, section 3.2).
// With too few samples for that, the extremes.
struct Ranks {
  std::size_t low;
  std::size_t high;
};
Ranks median_ranks(std::size_t count, double confidence);
Interval median_interval(std::vector<double> samples, double confidence = 0.95);

// Median of the second half over the median of the first half, less 1; 0 for fewer than two samples.
double drift(const std::vector<double>& samples);

}  // namespace opclock
