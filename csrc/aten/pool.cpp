#include "aten/pool.hpp"

#include <stdexcept>
#include <utility>

namespace opclock {

Pool::Pool(Clock& clock, std::uint64_t seed, Order order, std::unique_ptr<Queue> queue, Lane lane)
    : clock_(clock), seed_(seed), order_(order), lane_(lane), queue_(std::move(queue)) {
  if (!queue_ && lane_ != Lane::host) throw std::invalid_argument("a cpu has one lane only, the host's");
}

std::size_t Pool::add(std::string name, std::unique_ptr<Call> call, std::size_t group,
                      std::vector<at::Tensor> written_before, std::vector<TimedCall::Restored> restored,
                      bool launches) {
  if (rounds_) throw std::invalid_argument("the pool is already warm: add every op call before warm_up()");
  for (const auto& [argument, first] : restored) {
    if (argument.sizes() != first.sizes() || argument.dtype() != first.dtype()) {
      throw std::invalid_argument(name + ": a restored argument and its first values differ in shape or dtype");
    }
  }
  calls_.push_back(std::make_unique<TimedCall>(std::move(call), std::move(written_before), std::move(restored)));
  if (queue_) calls_.back()->put_on(queue_.get(), lane_);
  launches_.push_back(launches);
  names_.push_back(std::move(name));
  groups_.push_back(group);
  return size() - 1;
}

void Pool::hold_outputs(std::size_t number, std::size_t until) { call(until).release_first(&call(number)); }

void Pool::feed(std::size_t number, std::size_t argument, std::size_t other, std::size_t output) {
  call(number).feed(argument, &call(other), output);
}

std::vector<std::pair<std::size_t, std::size_t>> Pool::unusual_feeds() {
  std::vector<std::pair<std::size_t, std::size_t>> unusual;
  for (std::size_t number = 0; number < size(); ++number) {
    calls_[number]->prepare();
    for (const std::size_t argument : calls_[number]->unusual_feeds()) unusual.emplace_back(number, argument);
  }
  for (auto& call : calls_) call->release();
  return unusual;
}

WarmUp Pool::warm_up(double max_s, bool once) {
  if (rounds_) throw std::invalid_argument("the pool is already warm");
  std::vector<Task*> tasks;
  tasks.reserve(size());
  for (auto& call : calls_) tasks.push_back(call.get());
  if (lane_ == Lane::device) {
    auto queued = std::make_unique<QueuedRounds>(*queue_, clock_, std::move(tasks), groups_, launches_, order_, seed_);
    queued_ = queued.get();
    rounds_ = std::move(queued);
  } else {
    rounds_ = std::make_unique<Rounds>(clock_, std::move(tasks), groups_, order_, seed_);
  }
  if (once) rounds_->call_once();
  settle();
  const WarmUp done = rounds_->warm_up(max_s);
  settle();
  return done;
}

void Pool::begin_round() {
  settle();
  rounds().begin();
}

const Round& Pool::end_round() {
  const Round& round = rounds().end();
  if (queue_) queue_->wait();
  for (auto& call : calls_) call->release();
  return round;
}

Rounds& Pool::rounds() {
  if (!rounds_) throw std::invalid_argument("the pool is cold: call warm_up() first");
  return *rounds_;
}

Round Pool::back_to_back() {
  Rounds& warm = rounds();
  settle();
  return warm.back_to_back();
}

void Pool::issue() {
  for (auto& call : calls_) call->run();
}

// Leaves the device idle, and its memory as it was at first. On a device this cannot be done during a round, because
// restoring enters the queue that is timed.
void Pool::settle() {
  if (!queue_) return;
  for (auto& call : calls_) {
    call->release();
    call->restore();
  }
  queue_->wait();
}

}  // namespace opclock
