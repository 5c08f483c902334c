// A machine whose time only moves when it is read: clocks over it are exact and no test sleeps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "clock/clock.hpp"
#include "clock/tick_source.hpp"

struct Machine {
  double now_s = 0.0;
  double read_s = 20.3e-9;  // what one read of any clock takes; no multiple of a tick, so that intervals vary
};

class ScriptedTicks final : public opclock::TickSource {
 public:
  // `counter` maps true seconds to what the counter shows.
  ScriptedTicks(Machine& machine, std::function<std::uint64_t(double)> counter, double claimed_hz = 0.0)
      : machine_(machine), counter_(std::move(counter)), claimed_hz_(claimed_hz) {}
  const char* name() const override { return "scripted"; }
  std::uint64_t start() override { return read(); }
  std::uint64_t stop() override { return read(); }
  double nominal_hz() const override { return claimed_hz_; }

 private:
  std::uint64_t read() {
    machine_.now_s += machine_.read_s;
    return counter_(machine_.now_s);
  }
  Machine& machine_;
  std::function<std::uint64_t(double)> counter_;
  double claimed_hz_;
};

inline std::function<std::uint64_t(double)> steady(double hz, std::uint64_t step = 1) {
  return [hz, step](double now_s) { return static_cast<std::uint64_t>(now_s * hz) / step * step; };
}

inline opclock::Clock scripted_clock(Machine& machine, std::function<std::uint64_t(double)> counter,
                                     double claimed_hz = 0.0) {
  return {std::make_unique<ScriptedTicks>(machine, std::move(counter), claimed_hz),
          std::make_unique<ScriptedTicks>(machine, steady(1e9))};
}
