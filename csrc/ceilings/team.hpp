// Runs one work on several threads at once and times it from the first start to the last end.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "clock/clock.hpp"

namespace opclock {

// Seconds that `work(thread)` took on `threads` threads that start together.
inline double team_s(Clock& clock, int threads, const std::function<void(int)>& work) {
  std::atomic<int> ready{0};
  std::vector<std::uint64_t> starts(static_cast<std::size_t>(threads));
  std::vector<std::uint64_t> stops(static_cast<std::size_t>(threads));
  const auto member = [&](int thread) {
    ready.fetch_add(1);
    while (ready.load() < threads) {
    }
    starts[static_cast<std::size_t>(thread)] = clock.start();
    work(thread);
    stops[static_cast<std::size_t>(thread)] = clock.stop();
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(member, thread);
  member(0);
  for (auto& other : others) other.join();
  return clock.elapsed_s(*std::min_element(starts.begin(), starts.end()),
                         *std::max_element(stops.begin(), stops.end()));
}

// The best rate seen by repeating `work` (which does `amount` a thread) for `max_s` seconds, at least thrice.
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
