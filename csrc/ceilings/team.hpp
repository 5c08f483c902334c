// Runs one work on several threads at once and times it from the first start to the last end.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "clock/clock.hpp"

namespace opclock {

// Seconds that `work(thread)` took on `threads` threads that start together. Rethrows what one of them throws. Throws
// std::runtime_error where the system starts fewer threads; those that it started have ended then.
inline double team_s(Clock& clock, int threads, const std::function<void(int)>& work) {
  const auto count = static_cast<std::size_t>(threads);
  std::atomic<int> ready{0};
  std::atomic<bool> cancelled{false};  // not every thread could be started
  std::vector<std::uint64_t> starts(count);
  std::vector<std::uint64_t> stops(count);
  std::vector<std::exception_ptr> errors(count);
  const auto member = [&](int thread) {
    const auto own = static_cast<std::size_t>(thread);
    ready.fetch_add(1);
    while (ready.load() < threads && !cancelled.load()) {
    }
    if (cancelled.load()) return;
    try {
      starts[own] = clock.start();
      work(thread);
      stops[own] = clock.stop();
    } catch (...) {
      errors[own] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(count);
  const auto join = [&others] {
    for (auto& other : others) other.join();
  };
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(member, thread);
  } catch (const std::system_error& error) {
    cancelled.store(true);
    join();
    throw std::runtime_error("the system started " + std::to_string(others.size() + 1) + " of " +
                             std::to_string(threads) + " threads (" + error.code().message() +
                             "): use fewer threads, or raise its limits (ulimit -u, ulimit -v)");
  }
  member(0);
  join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return clock.elapsed_s(*std::min_element(starts.begin(), starts.end()),
                         *std::max_element(stops.begin(), stops.end()));
}

// The best rate seen by repeating `work` (which does `amount` a thread) for `max_s` seconds, at least three times.
inline double best_rate(Clock& clock, int threads, double max_s, double amount, const std::function<void(int)>& work) {
  double best = 0.0;
  double spent_s = 0.0;
  for (int pass = 0; pass < 3 || spent_s < max_s; ++pass) {
    const double elapsed_s = team_s(clock, threads, work);
    spent_s += elapsed_s;
    if (elapsed_s > 0.0) best = std::max(best, amount * threads / elapsed_s);
  }
  return best;
}

}  // namespace opclock
