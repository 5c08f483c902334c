#include "sampling/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

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

double quantile(std::vector<double> samples, double share) {
  require_numbers(samples);
  require(share >= 0.0 && share <= 1.0, "a quantile's share lies between 0 and 1");
  const double position = share * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(below), samples.end());
  const double low = samples[below];
  const double part = position - static_cast<double>(below);
  if (part == 0.0) return low;
  const double high = *std::min_element(samples.begin() + static_cast<std::ptrdiff_t>(below) + 1, samples.end());
  return low + part * (high - low);
}

double median(std::vector<double> samples) { return quantile(std::move(samples), 0.5); }

double mad(const std::vector<double>& samples) {
  const double middle = median(samples);
  std::vector<double> away;
  away.reserve(samples.size());
  for (const double sample : samples) away.push_back(std::abs(sample - middle));
  return median(std::move(away));
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

double lag1_autocorrelation(const std::vector<double>& samples) {
  if (samples.size() < 3) return 0.0;
  double mean = 0.0;
  for (const double sample : samples) mean += sample;
  mean /= static_cast<double>(samples.size());
  double variance = 0.0;
  double covariance = 0.0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    variance += (samples[i] - mean) * (samples[i] - mean);
    if (i > 0) covariance += (samples[i] - mean) * (samples[i - 1] - mean);
  }
  return variance == 0.0 ? 0.0 : covariance / variance;
}

double drift(const std::vector<double>& samples) {
  if (samples.size() < 2) return 0.0;
  const auto half = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  const double first = median({samples.begin(), half});
  const double second = median({half, samples.end()});
  return first == 0.0 ? 0.0 : second / first - 1.0;
}

double drift_against(const std::vector<double>& samples, const std::vector<double>& control) {
  require(samples.size() == control.size(), "each sample needs the control's of its round");
  std::vector<double> ratios;
  ratios.reserve(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    require(control[i] > 0.0, "a control sample must be above 0");
    ratios.push_back(samples[i] / control[i]);
  }
  return drift(ratios);
}

}  // namespace opclock
