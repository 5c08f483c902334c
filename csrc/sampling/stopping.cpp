#include "sampling/stopping.hpp"

#include "sampling/statistics.hpp"

namespace opclock {

const char* to_string(StopReason reason) {
  switch (reason) {
    case StopReason::narrow:
      return "narrow";
    case StopReason::stagnant:
      return "stagnant";
    case StopReason::time_cap:
      return "time_cap";
    case StopReason::none:
      break;
  }
  return "none";
}

double relative_half_width(const std::vector<double>& samples) {
  const double middle = median(samples);
  if (middle == 0.0) return 0.0;
  const Interval interval = median_interval(samples);
  return (interval.high - interval.low) / 2.0 / middle;
}

StopReason judge(const std::vector<double>& samples, const StoppingRule& rule) {
  if (samples.size() < rule.min_samples) return StopReason::none;
  const double now = relative_half_width(samples);
  if (now <= rule.half_width) return StopReason::narrow;
  if (samples.size() < 2 * rule.min_samples) return StopReason::none;
  const auto half = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  const double before = relative_half_width({samples.begin(), half});
  return now > (1.0 - rule.min_shrinkage) * before ? StopReason::stagnant : StopReason::none;
}

bool Plateau::reached() const {
  constexpr std::size_t kWindow = 3;      // a median of three outvotes one disturbed pass
  constexpr double kStillFalling = 0.98;  // the repeatability floor: 2 % is noise
  if (passes_s_.size() < 2 * kWindow) return false;
  const auto end = passes_s_.end();
  const double before = median({end - 2 * kWindow, end - kWindow});
  const double now = median({end - kWindow, end});
  return now >= kStillFalling * before;
}

}  // namespace opclock
