#include "clock/clock.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace opclock {
namespace {

constexpr int kCalibrationWindows = 5;            // median of five outvotes two that were disturbed
constexpr std::uint64_t kWindowNs = 4'000'000;    // a 50 ns bracket over 4 ms is 1.3e-5
constexpr int kMomentTries = 16;                  // the tightest of 16 brackets escapes a preemption
constexpr double kRateTolerance = 1e-3;           // windows further apart than this: no clock to trust
constexpr int kIntervals = 2000;                  // empty intervals read for resolution and cost
constexpr int kStepReads = 1'000'000;             // a counter that stands still this long is dead
constexpr double kKeptShare = 0.9;                // the slowest tenth of empty intervals is interruptions
constexpr double kResolutionsPerSample = 1000.0;  // docs/method.md, "Samples"
constexpr double kReadsPerSample = 100.0;

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

Clock::Clock(std::unique_ptr<TickSource> ticks, std::unique_ptr<TickSource> os)
    : ticks_(std::move(ticks)), os_(std::move(os)) {
  calibrate();
  if (steady_) measure_resolution();
}

Clock Clock::choose() {
  for (auto* make : {&x86_tsc, &arm_cntvct}) {
    if (auto ticks = make()) {
      Clock clock(std::move(ticks), posix_clock());
      if (clock.steady() && clock.resolution_s() > 0.0) return clock;
    }
  }
  return {posix_clock(), posix_clock()};
}

double Clock::elapsed_s(std::uint64_t start, std::uint64_t stop) const {
  if (stop < start) return std::numeric_limits<double>::quiet_NaN();
  return std::max(0.0, static_cast<double>(stop - start) / rate_hz_ - empty_s_);
}

double Clock::shortest_sample_s() const {
  return std::max(kResolutionsPerSample * resolution_s_, kReadsPerSample * read_cost_s_);
}

Clock::Moment Clock::moment() {
  Moment best{0, 0};
  std::uint64_t best_width = std::numeric_limits<std::uint64_t>::max();
  for (int attempt = 0; attempt < kMomentTries; ++attempt) {
    const std::uint64_t before = os_->start();
    const std::uint64_t ticks = ticks_->start();
    const std::uint64_t after = os_->stop();
    if (after - before < best_width) {
      best_width = after - before;
      best = {ticks, before + (after - before) / 2};
    }
  }
  return best;
}

double Clock::measure_rate_hz() {
  const Moment first = moment();
  while (os_->start() - first.os_ns < kWindowNs) {
  }
  const Moment last = moment();
  if (last.ticks <= first.ticks || last.os_ns <= first.os_ns) return 0.0;
  return static_cast<double>(last.ticks - first.ticks) * 1e9 / static_cast<double>(last.os_ns - first.os_ns);
}

void Clock::calibrate() {
  std::vector<double> rates;
  rates.reserve(kCalibrationWindows);
  for (int window = 0; window < kCalibrationWindows; ++window) rates.push_back(measure_rate_hz());
  rate_hz_ = median_of(rates);
  if (rate_hz_ <= 0.0) return;
  // The median window and its two nearest must agree: a disturbed window or two is the machine's noise,
  // three are the counter's.
  std::vector<double> apart;
  apart.reserve(rates.size());
  for (const double rate : rates) apart.push_back(std::abs(rate / rate_hz_ - 1.0));
  steady_ = median_of(apart) <= kRateTolerance;
}

ClockProof Clock::prove() {
  ClockProof proof;
  proof.rate_hz = measure_rate_hz();
  if (rate_hz_ <= 0.0) return proof;
  proof.disagreement = std::abs(proof.rate_hz / rate_hz_ - 1.0);
  proof.agrees = proof.disagreement <= kRateTolerance;
  return proof;
}

std::uint64_t Clock::smallest_step() {
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t last = ticks_->start();
  int steps = 0;
  for (int read = 0; read < kStepReads && steps < 100; ++read) {
    const std::uint64_t now = ticks_->start();
    if (now > last) {
      smallest = std::min(smallest, now - last);
      ++steps;
    }
    last = now;
  }
  return steps == 0 ? 0 : smallest;
}

void Clock::measure_resolution() {
  std::vector<std::uint64_t> empty;
  empty.reserve(kIntervals);
  const std::uint64_t first = ticks_->start();
  for (int read = 0; read < kIntervals; ++read) {
    const std::uint64_t start = ticks_->start();
    const std::uint64_t stop = ticks_->stop();
    if (stop >= start) empty.push_back(stop - start);
  }
  const std::uint64_t last = ticks_->stop();
  if (empty.empty() || last <= first) return;
  read_cost_s_ = static_cast<double>(last - first) / rate_hz_ / (2.0 * kIntervals);

  std::sort(empty.begin(), empty.end());
  const auto kept = static_cast<std::size_t>(kKeptShare * static_cast<double>(empty.size()));
  double sum = 0.0;
  for (std::size_t i = 0; i < kept; ++i) sum += static_cast<double>(empty[i]);
  empty_s_ = sum / static_cast<double>(kept) / rate_hz_;

  // Two intervals that differ at all differ by at least one step of the counter. Where every empty
  // interval reads the same, the step is seen only by waiting for the counter to move.
  std::uint64_t step = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t i = 1; i < kept; ++i) {
    if (empty[i] != empty[i - 1]) step = std::min(step, empty[i] - empty[i - 1]);
  }
  if (step == std::numeric_limits<std::uint64_t>::max()) step = smallest_step();
  resolution_s_ = static_cast<double>(step) / rate_hz_;
}

}  // namespace opclock
