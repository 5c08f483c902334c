// The clock that times everything: a tick source whose rate is measured against the OS clock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "clock/tick_source.hpp"

namespace opclock {

// How far the tick source and the OS clock agree over one window.
struct ClockProof {
  double rate_hz = 0.0;       // ticks a second of OS time, measured now
  double disagreement = 0.0;  // |rate now / calibrated rate - 1|
  bool agrees = false;
};

class Clock {
 public:
  // Both sources are injected; tests pass scripted ones. `os` counts nanoseconds.
  Clock(std::unique_ptr<TickSource> ticks, std::unique_ptr<TickSource> os);

  // The best source this machine has that keeps a steady rate; the OS clock itself at worst.
  static Clock choose();

  std::uint64_t start() { return ticks_->start(); }
  std::uint64_t stop() { return ticks_->stop(); }
  // Seconds between start() and stop(), less what an empty pair reads; never below 0.
  // NaN where the counter went backwards.
  double elapsed_s(std::uint64_t start, std::uint64_t stop) const;

  ClockProof prove();

  std::string name() const { return ticks_->name(); }
  double nominal_hz() const { return ticks_->nominal_hz(); }
  double rate_hz() const { return rate_hz_; }
  bool steady() const { return steady_; }                // calibration windows agreed with one another
  double resolution_s() const { return resolution_s_; }  // smallest difference two intervals can show
  double read_cost_s() const { return read_cost_s_; }    // one read
  double empty_s() const { return empty_s_; }            // what start() directly followed by stop() reads
  // The shortest sample the contract allows: 1000 resolutions and 100 reads.
  double shortest_sample_s() const;

 private:
  struct Moment {
    std::uint64_t ticks;
    std::uint64_t os_ns;
  };
  Moment moment();
  double measure_rate_hz();
  void calibrate();
  void measure_resolution();
  std::uint64_t smallest_step();

  std::unique_ptr<TickSource> ticks_;
  std::unique_ptr<TickSource> os_;
  double rate_hz_ = 0.0;
  bool steady_ = false;
  double resolution_s_ = 0.0;
  double read_cost_s_ = 0.0;
  double empty_s_ = 0.0;
};

}  // namespace opclock
