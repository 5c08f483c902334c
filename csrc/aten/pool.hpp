// The op calls that are timed together, and the rounds over them.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aten/timed_call.hpp"
#include "clock/clock.hpp"
#include "device/queued_rounds.hpp"
#include "sampling/rounds.hpp"

namespace opclock {

class Pool {
 public:
  // Without a queue the op calls run on the CPU, in the host's lane. The clock is borrowed.
  Pool(Clock& clock, std::uint64_t seed, Order order, std::unique_ptr<Queue> queue, Lane lane);

  // Returns the number of the op call. `launches`: whether it gives a device work. Throws std::invalid_argument once
  // the pool is warm.
  std::size_t add(std::string name, std::unique_ptr<Call> call, std::size_t group,
                  std::vector<at::Tensor> written_before, std::vector<TimedCall::Restored> restored, bool launches);
  // An op call's outputs are kept until another one begins.
  void hold_outputs(std::size_t number, std::size_t until);
  // See TimedCall::feed.
  void feed(std::size_t number, std::size_t argument, std::size_t other, std::size_t output);
  // Makes every call once, in the order added. Returns the call and argument of each feed that TimedCall::unusual_feeds
  // found: these are no longer fed.
  std::vector<std::pair<std::size_t, std::size_t>> unusual_feeds();
  torch::jit::Stack answer(std::size_t number) { return call(number).answer(); }
  const std::string& name(std::size_t number) const { return names_[checked_index(number, size(), "op call")]; }
  std::size_t size() const { return calls_.size(); }

  // Once. See Rounds::warm_up; `once`: see Rounds::call_once.
  WarmUp warm_up(double max_s, bool once);
  void begin_round();
  // Frees all outputs, as an inference does whose result is dropped.
  const Round& end_round();
  // See Rounds::back_to_back.
  Round back_to_back();
  // Throws std::invalid_argument before warm_up().
  Rounds& rounds();
  // Makes every call once, untimed, and does not wait for the device.
  void issue();

  // By op call: whether the host waits in it for the device. False for all outside the device's lane.
  std::vector<bool> waits() const { return queued_ != nullptr ? queued_->waits() : std::vector<bool>(size()); }
  std::size_t idle_rounds() const { return queued_ != nullptr ? queued_->idle_rounds() : 0; }
  // Seconds; 0 on a CPU.
  double device_resolution_s() { return queue_ ? queue_->resolution_s() : 0.0; }

 private:
  TimedCall& call(std::size_t number) { return *calls_[checked_index(number, size(), "op call")]; }
  void settle();

  Clock& clock_;
  std::uint64_t seed_;
  Order order_;
  Lane lane_;
  std::unique_ptr<Queue> queue_;
  std::vector<std::unique_ptr<TimedCall>> calls_;
  std::vector<std::string> names_;
  std::vector<std::size_t> groups_;
  std::vector<bool> launches_;
  std::unique_ptr<Rounds> rounds_;
  QueuedRounds* queued_ = nullptr;  // the rounds, in the device's lane
};

}  // namespace opclock
