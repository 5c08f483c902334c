// Rounds in a device's own time: the host hands all tasks over before the device comes to the first.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "sampling/queue.hpp"
#include "sampling/rounds.hpp"

namespace opclock {

// A kept round is two passes behind one hold: one with marks at its ends alone, and one with a mark after every task.
// What a mark itself takes is their difference, and is taken off: a round's seconds add up to the plain pass.
class QueuedRounds final : public Rounds {
 public:
  // `launches[i]`: whether task i gives the device anything to do. Queue, clock and tasks are borrowed.
  QueuedRounds(Queue& queue, Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups,
               std::vector<bool> launches, Order order, std::uint64_t seed);

  WarmUp warm_up(double most_s) override;
  // Each task behind a hold of its own, in a row with itself.
  Round back_to_back() override;
  // By task: whether the host waits in it until the device has done it. Known after the warm-up.
  const std::vector<bool>& waits() const { return waits_; }
  // Kept rounds in which the device waited for the host, however long the hold was.
  std::size_t starved() const { return starved_; }

 protected:
  void complete() override;
  double shortest_sample_s() const override;

 private:
  void look_at_host();
  double row_s(std::size_t task, std::size_t calls);
  void run(std::size_t task);
  bool plain_pass();
  bool marked_pass(bool held);
  void read();

  Queue& queue_;
  std::vector<bool> launches_;
  std::vector<bool> waits_;
  std::vector<double> host_s_;  // by task: of the host, to hand it over
  double hold_s_ = 0.0;         // before a pass
  std::size_t starved_ = 0;
  std::size_t spans_ = 0;                                     // of the plain pass, between tasks that wait
  std::vector<std::pair<std::size_t, std::size_t>> between_;  // by task: its marks
};

}  // namespace opclock
