#include "device/queued_rounds.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace opclock {
namespace {

constexpr int kMaxTries = 4;            // of a round in which the device was idle
constexpr double kBlockShare = 2.0;     // length of a blocking kernel, in host times of a pass: two passes are queued
constexpr double kBlockGrowth = 1.5;    // the factor by which it grows where it was too short
constexpr double kMinBlock_s = 1e-4;    // a shorter one ends during a single interruption of the host
constexpr double kResolutions = 100.0;  // in the shortest sample
constexpr double kMinSample_s = 2e-5;   // about ten times the time of one event, which varies by a tenth

}  // namespace

QueuedRounds::QueuedRounds(Queue& queue, Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups,
                           std::vector<bool> launches, Order order, std::uint64_t seed)
    : Rounds(clock, std::move(tasks), std::move(groups), order, seed),
      queue_(queue),
      launches_(std::move(launches)),
      waits_(size(), false),
      host_s_(size(), 0.0),
      block_s_(kMinBlock_s),
      between_(size()) {
  if (launches_.size() != size()) throw std::invalid_argument("each task needs its launches flag");
}

double QueuedRounds::shortest_sample_s() const { return std::max(kMinSample_s, kResolutions * queue_.resolution_s()); }

void QueuedRounds::run(std::size_t task) {
  for (std::size_t call = 0; call < calls_[task]; ++call) tasks_[task]->run();
}

// Measures the host's time for each task, and whether the host waits in it until the device has reached the task.
void QueuedRounds::measure_host() {
  double pass_s = 0.0;
  for (auto* task : tasks_) task->run();
  for (std::size_t i = 0; i < size(); ++i) {
    queue_.wait();
    const std::uint64_t start = clock_.start();
    tasks_[i]->run();
    host_s_[i] = std::max(0.0, clock_.elapsed_s(start, clock_.stop()));  // 0 where the counter ran backwards
    pass_s += host_s_[i];
    if (!launches_[i]) continue;
    queue_.wait();
    queue_.block(kMinBlock_s + 10.0 * host_s_[i]);
    queue_.record(0);
    tasks_[i]->run();
    waits_[i] = queue_.reached(0);
  }
  block_s_ = std::max(kMinBlock_s, kBlockShare * pass_s);
}

double QueuedRounds::back_to_back_s(std::size_t task, std::size_t calls) {
  double block_s = kMinBlock_s + kBlockShare * static_cast<double>(calls + 3) * host_s_[task];
  for (int attempt = 0; attempt < kMaxTries; ++attempt) {
    tasks_[task]->restore();  // before the blocking kernel, so that no event times it
    queue_.block(block_s);
    tasks_[task]->run();
    queue_.record(0);
    tasks_[task]->run();
    queue_.record(1);
    tasks_[task]->run();
    for (std::size_t call = 0; call < calls; ++call) tasks_[task]->run();
    const bool ahead = !queue_.reached(0);
    queue_.record(2);
    queue_.wait();
    if (ahead) break;
    block_s *= kBlockGrowth;
  }
  // An event costs the same in both intervals: their difference is free of it.
  const double more_s = queue_.between_s(1, 2) - queue_.between_s(0, 1);
  return std::max(0.0, more_s) / static_cast<double>(calls);
}

WarmUp QueuedRounds::warm_up(double max_s) {
  measure_host();
  return Rounds::warm_up(max_s);
}

// Returns whether the blocking kernel still delays what is queued next. It does not where the host has waited since.
bool QueuedRounds::plain_pass() {
  spans_ = 0;
  bool open = false;
  const auto edge = [this](std::size_t end) { return 2 * size() + 2 * spans_ + end; };
  const auto close = [&] {
    if (open) {
      queue_.record(edge(1));
      ++spans_;
    }
    open = false;
  };
  for (const std::size_t task : round_.order) {
    if (task == size()) continue;  // the control workload runs on the host
    if (waits_[task]) {
      close();
    } else if (!open && launches_[task]) {
      queue_.block(block_s_);
      queue_.record(edge(0));
      open = true;
    }
    run(task);
  }
  const bool blocked = open;
  close();
  return blocked;
}

// Returns whether the device was never idle. `blocked`: a blocking kernel from before still delays the device.
bool QueuedRounds::event_pass(bool blocked) {
  std::size_t next = 0;
  bool follows = false;  // whether the latest event directly follows work that was queued before the device was idle
  bool ahead = true;
  if (!blocked) queue_.block(block_s_);
  for (const std::size_t task : round_.order) {
    if (task == size()) continue;
    if (launches_[task]) {
      if (!follows) {
        if (next > 0) queue_.block(block_s_);
        queue_.record(next++);
      }
      between_[task] = {next - 1, next};
    }
    run(task);
    if (!launches_[task]) continue;
    follows = !waits_[task];
    if (follows && queue_.reached(next - 1)) ahead = false;
    queue_.record(next++);
  }
  return ahead;
}

double QueuedRounds::plain_pass_s() const {
  double seconds = 0.0;
  for (std::size_t span = 0; span < spans_; ++span) {
    const std::size_t first = 2 * size() + 2 * span;
    seconds += queue_.between_s(first, first + 1);
  }
  return seconds;
}

// The event pass has more events than the plain pass, and takes longer by their time. An event cannot cost more than
// half of the shortest task; where the passes differ by more, there is another reason, and read_events() scales all
// tasks by it.
double QueuedRounds::event_cost_s(double plain_s) const {
  double event_pass_s = 0.0;
  double shortest_s = std::numeric_limits<double>::infinity();
  std::size_t events = 0;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!queued_ahead(task)) continue;
    event_pass_s += round_.seconds[task];
    shortest_s = std::min(shortest_s, round_.seconds[task]);
    ++events;
  }
  const double cost_s = events > spans_ ? (event_pass_s - plain_s) / static_cast<double>(events - spans_) : 0.0;
  const double max_s = events > 0 ? std::min(shortest_s, plain_s / static_cast<double>(spans_)) / 2.0 : 0.0;
  return std::clamp(cost_s, 0.0, max_s);
}

// Fills in the round's seconds from the events of both passes.
void QueuedRounds::read_events() {
  double event_pass_s = 0.0;
  for (std::size_t task = 0; task < size(); ++task) {
    round_.seconds[task] = launches_[task] ? queue_.between_s(between_[task].first, between_[task].second) : 0.0;
    if (queued_ahead(task)) event_pass_s += round_.seconds[task];
  }
  const double plain_s = plain_pass_s();
  const double event_s = event_cost_s(plain_s);
  double left_s = 0.0;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!queued_ahead(task)) continue;
    round_.seconds[task] -= event_s;
    left_s += round_.seconds[task];
  }
  const double pass_s = std::min(plain_s, event_pass_s) - static_cast<double>(spans_) * event_s;
  const double scale = left_s > 0.0 ? pass_s / left_s : 1.0;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!waits_[task]) round_.seconds[task] *= scale;
    round_.seconds[task] /= static_cast<double>(calls_[task]);
  }
}

void QueuedRounds::complete() {
  next_visit_ = round_.order.size();
  round_.control_s = sample_control();
  bool ahead = false;
  for (int attempt = 0; attempt < kMaxTries && !ahead; ++attempt) {
    if (attempt > 0) block_s_ *= kBlockGrowth;
    queue_.wait();
    ahead = event_pass(plain_pass());
    queue_.wait();
  }
  if (!ahead) ++idle_rounds_;
  read_events();
}

Round QueuedRounds::back_to_back() {
  begin();
  next_visit_ = round_.order.size();
  round_.control_s = sample_control();
  for (std::size_t task = 0; task < size(); ++task) {
    round_.seconds[task] = launches_[task] ? back_to_back_s(task, calls_[task]) : 0.0;
  }
  begun_ = false;
  return round_;
}

}  // namespace opclock
