#include "sampling/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace opclock {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

// Sorting with NaN among the samples would be undefined behaviour.
void require_numbers(const std::vector<double>& samples) {
  require(!samples.empty(), "no samples");
  require(std::none_of(samples.begin(), samples.end(), [](double sample) { return std::isnan(sample); }),
          "one of the samples is NaN");
}

double log_choose(double n, double k) { return std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0); }

}  // namespace

double median(std::vector<double> samples) {
  require_numbers(samples);
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>((samples.size() - 1) / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  if (samples.size() % 2 == 1) return *middle;
  const double high = *std::min_element(middle + 1, samples.end());
  return *middle + 0.5 * (high - *middle);
}

Ranks median_ranks(std::size_t count, double confidence) {
  require(count > 0, "no samples");
  require(confidence > 0.0 && confidence < 1.0, "a confidence lies between 0 and 1");
  // P(the median lies below the order statistic of 0-based rank k) = P(Binomial(n, 1/2) <= k).
  const auto n = static_cast<double>(count);
  const double tail = (1.0 - confidence) / 2.0;
  double below = 0.0;
  std::size_t rank = 0;
  for (std::size_t k = 0; k < count / 2; ++k) {
    below += std::exp(log_choose(n, static_cast<double>(k)) - n * std::log(2.0));
    if (below > tail) break;
    rank = k + 1;
  }
  // `rank` order statistics may be left out on each side: the interval runs from rank-1 ... or the extremes.
  const std::size_t low = rank == 0 ? 0 : rank - 1;
  return {low, count - 1 - low};
}

Interval median_interval(std::vector<double> samples, double confidence) {
  require_numbers(samples);
  const Ranks ranks = median_ranks(samples.size(), confidence);
  std::sort(samples.begin(), samples.end());
  return {samples[ranks.low], samples[ranks.high]};
}

double drift(const std::vector<double>& samples) {
  if (samples.size() < 2) return 0.0;
  const auto half = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  const double first = median({samples.begin(), half});
  const double second = median({half, samples.end()});
  return first == 0.0 ? 0.0 : second / first - 1.0;
}

}  // namespace opclock
