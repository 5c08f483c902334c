// Decides when a call has been sampled enough, and why.
#pragma once

#include <cstddef>
#include <vector>

namespace opclock {

enum class StopReason {
  none,      // sample on
  narrow,    // the interval of the median is narrow enough
  stagnant,  // twice the samples did not narrow it: more will not help
  time_cap,  // the time limit came first (set by the caller)
};
const char* to_string(StopReason reason);

struct StoppingRule {
  double half_width = 0.02;      // of the median's 95 % interval, as a fraction of the median
  std::size_t min_samples = 12;  // below this even the extremes say little
  double min_shrinkage = 0.1;    // doubling the samples should shrink it by 0.29; under a third of that is none
};

// Half the 95 % interval of the median, as a fraction of the median; 0 where the median is 0.
double relative_half_width(const std::vector<double>& samples);

// Pure: `samples` in the order taken. Never time_cap.
// Its interval is for independent samples, only decides, and is never shown: Python computes what is.
StopReason judge(const std::vector<double>& samples, const StoppingRule& rule);

// Warm-up ends when a pass is no longer faster than the ones before it.
class Plateau {
 public:
  void add(double pass_s) { passes_s_.push_back(pass_s); }
  // The median of the last three passes is at least 98 % of the median of the three before.
  bool reached() const;

 private:
  std::vector<double> passes_s_;
};

}  // namespace opclock
