// Rounds timed by the device itself: the host queues all tasks before the device executes the first.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "device/queue.hpp"
#include "sampling/rounds.hpp"

namespace opclock {

// A kept round is two passes behind one blocking kernel: a plain pass with events only at its ends, and a pass with an
// event after every task. The difference is the time of the events themselves, and it is subtracted: the seconds of a
// round add up to the plain pass.
class QueuedRounds final : public Rounds {
 public:
  // `launches[i]`: whether task i gives the device any work. Queue, clock and tasks are borrowed.
  QueuedRounds(Queue& queue, Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups,
               std::vector<bool> launches, Order order, std::uint64_t seed);

  WarmUp warm_up(double max_s) override;
  // Each task follows itself, behind a blocking kernel of its own.
  Round back_to_back() override;
  // By task: whether the host waits in it until the device has executed it. Known after the warm-up.
  const std::vector<bool>& waits() const { return waits_; }
  // The number of kept rounds in which the device was idle before the host had queued the next task.
  std::size_t idle_rounds() const { return idle_rounds_; }

 protected:
  void complete() override;
  double shortest_sample_s() const override;

 private:
  void measure_host();
  double back_to_back_s(std::size_t task, std::size_t calls);
  void run(std::size_t task);
  bool plain_pass();
  bool event_pass(bool blocked);
  void read_events();
  double plain_pass_s() const;
  double event_cost_s(double plain_s) const;
  bool queued_ahead(std::size_t task) const { return launches_[task] && !waits_[task]; }

  Queue& queue_;
  std::vector<bool> launches_;
  std::vector<bool> waits_;
  std::vector<double> host_s_;  // by task: the host's time to queue it
  double block_s_ = 0.0;        // before a pass
  std::size_t idle_rounds_ = 0;
  std::size_t spans_ = 0;                                     // of the plain pass: stretches between tasks that wait
  std::vector<std::pair<std::size_t, std::size_t>> between_;  // by task: its first and last event
};

}  // namespace opclock
