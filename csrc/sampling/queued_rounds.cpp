#include "sampling/queued_rounds.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "sampling/statistics.hpp"

namespace opclock {
namespace {

constexpr int kTries = 4;                // of a round that the host did not keep ahead in
constexpr double kAhead = 2.0;           // a hold for each second of the host's: both passes are handed over behind it
constexpr double kLonger = 1.5;          // the next hold, where that was not enough
constexpr double kLeastHold_s = 1e-4;    // shorter than that, and a host that is interrupted once falls behind
constexpr double kResolutions = 100.0;   // that a sample holds at least
constexpr double kLeastSample_s = 2e-5;  // nor is it shorter than ten marks: what one takes varies by a tenth
constexpr double kShort_s = 5e-5;        // a task that takes no longer tells what its marks take
constexpr int kMarkRows = 5;             // that tell it

}  // namespace

QueuedRounds::QueuedRounds(Queue& queue, Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups,
                           std::vector<bool> launches, Order order, std::uint64_t seed)
    : Rounds(clock, std::move(tasks), std::move(groups), order, seed),
      queue_(queue),
      launches_(std::move(launches)),
      waits_(size(), false),
      host_s_(size(), 0.0),
      hold_s_(kLeastHold_s),
      marks_s_(size(), 0.0) {
  if (launches_.size() != size()) throw std::invalid_argument("whether it launches is needed for each task");
}

double QueuedRounds::shortest_sample_s() const {
  return std::max(kLeastSample_s, kResolutions * queue_.resolution_s());
}

void QueuedRounds::run(std::size_t task) {
  for (std::size_t call = 0; call < calls_[task]; ++call) tasks_[task]->run();
}

// How long each takes the host, and whether the host came back before the device had come to it.
void QueuedRounds::look_at_host() {
  double pass_s = 0.0;
  for (auto* task : tasks_) task->run();
  for (std::size_t i = 0; i < size(); ++i) {
    queue_.wait();
    const std::uint64_t start = clock_.start();
    tasks_[i]->prepare();
    tasks_[i]->run();
    host_s_[i] = clock_.elapsed_s(start, clock_.stop());
    pass_s += host_s_[i];
    if (!launches_[i]) continue;
    queue_.wait();
    queue_.hold(kLeastHold_s + 10.0 * host_s_[i]);
    queue_.mark(0);
    tasks_[i]->run();
    waits_[i] = queue_.passed(0);
  }
  hold_s_ = std::max(kLeastHold_s, kAhead * pass_s);
}

QueuedRounds::Row QueuedRounds::row(std::size_t task, std::size_t calls) {
  double hold_s = kLeastHold_s + kAhead * static_cast<double>(calls + 3) * host_s_[task];
  for (int attempt = 0; attempt < kTries; ++attempt) {
    queue_.hold(hold_s);
    tasks_[task]->run();
    queue_.mark(0);
    tasks_[task]->run();
    queue_.mark(1);
    tasks_[task]->run();
    for (std::size_t call = 0; call < calls; ++call) tasks_[task]->run();
    const bool ahead = !queue_.passed(0);
    queue_.mark(2);
    queue_.wait();
    if (ahead) break;
    hold_s *= kLonger;
  }
  // The marks take the same in both intervals, and their difference is free of them.
  const double alone_s = queue_.between_s(0, 1);
  return {alone_s, std::max(0.0, queue_.between_s(1, 2) - alone_s) / static_cast<double>(calls)};
}

// A long task's own variation hides what its marks take: there it is the median of the short ones'.
void QueuedRounds::look_at_marks() {
  std::vector<double> short_s;
  std::vector<std::size_t> others;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!launches_[task] || waits_[task]) continue;
    const Row first = row(task, 1);
    if (first.alone_s > kShort_s) {
      others.push_back(task);
      continue;
    }
    const auto calls = static_cast<std::size_t>(std::ceil(kShort_s / std::max(first.alone_s, kLeastSample_s / 10.0)));
    std::vector<double> found;
    for (int i = 0; i < kMarkRows; ++i) {
      const Row again = row(task, calls);
      found.push_back(again.alone_s - again.another_s);
    }
    marks_s_[task] = std::max(0.0, median(found));
    short_s.push_back(marks_s_[task]);
  }
  if (short_s.empty()) return;
  for (const std::size_t task : others) marks_s_[task] = median(short_s);
}

WarmUp QueuedRounds::warm_up(double most_s) {
  look_at_host();
  look_at_marks();
  return Rounds::warm_up(most_s);
}

// Returns whether the device never waited for the host.
bool QueuedRounds::pass_ahead() {
  bool ahead = true;
  bool held = false;
  for (const std::size_t task : round_.order) {
    if (task == size()) continue;  // the anchor, which is the host's
    if (!launches_[task]) {
      run(task);
      continue;
    }
    if (!held) queue_.hold(hold_s_);
    tasks_[task]->prepare();
    queue_.mark(2 * task);
    run(task);
    held = !waits_[task];
    if (held && queue_.passed(2 * task)) ahead = false;
    queue_.mark(2 * task + 1);
  }
  return ahead;
}

void QueuedRounds::read() {
  for (std::size_t task = 0; task < size(); ++task) {
    const double marked_s = launches_[task] ? queue_.between_s(2 * task, 2 * task + 1) : 0.0;
    round_.seconds[task] = std::max(0.0, marked_s - marks_s_[task]) / static_cast<double>(calls_[task]);
  }
}

void QueuedRounds::complete() {
  next_visit_ = round_.order.size();
  round_.anchor_s = sample_anchor();
  bool ahead = false;
  for (int attempt = 0; attempt < kTries && !ahead; ++attempt) {
    if (attempt > 0) hold_s_ *= kLonger;
    queue_.wait();
    ahead = pass_ahead();
    queue_.wait();
  }
  if (!ahead) ++starved_;
  read();
}

Round QueuedRounds::back_to_back() {
  begin();
  next_visit_ = round_.order.size();
  round_.anchor_s = sample_anchor();
  for (std::size_t task = 0; task < size(); ++task) {
    round_.seconds[task] = launches_[task] ? row(task, calls_[task]).another_s : 0.0;
  }
  return round_;
}

}  // namespace opclock
