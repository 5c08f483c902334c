#include "sampling/queued_rounds.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace opclock {
namespace {

constexpr int kTries = 4;                // of a round that the host did not keep ahead in
constexpr double kAhead = 2.0;           // a hold for each second of the host's: both passes are handed over behind it
constexpr double kLonger = 1.5;          // the next hold, where that was not enough
constexpr double kLeastHold_s = 1e-4;    // shorter than that, and a host that is interrupted once falls behind
constexpr double kResolutions = 100.0;   // that a sample holds at least
constexpr double kLeastSample_s = 2e-5;  // nor is it shorter than ten marks: what one takes varies by a tenth

}  // namespace

QueuedRounds::QueuedRounds(Queue& queue, Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups,
                           std::vector<bool> launches, Order order, std::uint64_t seed)
    : Rounds(clock, std::move(tasks), std::move(groups), order, seed),
      queue_(queue),
      launches_(std::move(launches)),
      waits_(size(), false),
      host_s_(size(), 0.0),
      hold_s_(kLeastHold_s),
      between_(size()) {
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

double QueuedRounds::row_s(std::size_t task, std::size_t calls) {
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
  const double more_s = queue_.between_s(1, 2) - queue_.between_s(0, 1);
  return std::max(0.0, more_s) / static_cast<double>(calls);
}

WarmUp QueuedRounds::warm_up(double most_s) {
  look_at_host();
  return Rounds::warm_up(most_s);
}

// Returns whether a hold still stands in line at its end: the host has not waited since.
bool QueuedRounds::plain_pass() {
  spans_ = 0;
  bool open = false;
  const auto edge = [this](std::size_t end) { return 2 * size() + 2 * spans_ + end; };
  const auto close = [&] {
    if (open) {
      queue_.mark(edge(1));
      ++spans_;
    }
    open = false;
  };
  for (const std::size_t task : round_.order) {
    if (task == size()) continue;  // the anchor, which is the host's
    if (waits_[task]) {
      close();
    } else if (!open && launches_[task]) {
      queue_.hold(hold_s_);
      queue_.mark(edge(0));
      open = true;
    }
    run(task);
  }
  const bool held = open;
  close();
  return held;
}

// Returns whether the device never waited for the host. `held`: a hold from before still stands in line.
bool QueuedRounds::marked_pass(bool held) {
  std::size_t next = 0;
  bool in_line = false;  // whether the latest mark stands right behind work that the host is ahead of
  bool ahead = true;
  if (!held) queue_.hold(hold_s_);
  for (const std::size_t task : round_.order) {
    if (task == size()) continue;
    if (launches_[task]) {
      if (!in_line) {
        if (next > 0) queue_.hold(hold_s_);
        queue_.mark(next++);
      }
      between_[task] = {next - 1, next};
    }
    run(task);
    if (!launches_[task]) continue;
    in_line = !waits_[task];
    if (in_line && queue_.passed(next - 1)) ahead = false;
    queue_.mark(next++);
  }
  return ahead;
}

void QueuedRounds::read() {
  double plain_s = 0.0;
  for (std::size_t span = 0; span < spans_; ++span) {
    const std::size_t first = 2 * size() + 2 * span;
    plain_s += queue_.between_s(first, first + 1);
  }
  double marked_s = 0.0;
  double shortest_s = std::numeric_limits<double>::infinity();
  std::size_t marks = 0;
  for (std::size_t task = 0; task < size(); ++task) {
    round_.seconds[task] = launches_[task] ? queue_.between_s(between_[task].first, between_[task].second) : 0.0;
    if (!launches_[task] || waits_[task]) continue;
    marked_s += round_.seconds[task];
    shortest_s = std::min(shortest_s, round_.seconds[task]);
    ++marks;
  }
  // As many marks more than in the plain pass make the difference. No more than half of the shortest is a mark: beyond
  // that the two passes differ by something else, too, which all tasks share.
  const double more_s = marks > spans_ ? (marked_s - plain_s) / static_cast<double>(marks - spans_) : 0.0;
  const double most_s = marks > 0 ? std::min(shortest_s, plain_s / static_cast<double>(spans_)) / 2.0 : 0.0;
  const double mark_s = std::clamp(more_s, 0.0, most_s);
  double left_s = 0.0;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!launches_[task] || waits_[task]) continue;
    round_.seconds[task] -= mark_s;
    left_s += round_.seconds[task];
  }
  const double true_s = std::min(plain_s, marked_s) - static_cast<double>(spans_) * mark_s;
  const double scale = left_s > 0.0 ? true_s / left_s : 1.0;
  for (std::size_t task = 0; task < size(); ++task) {
    if (!waits_[task]) round_.seconds[task] *= scale;
    round_.seconds[task] /= static_cast<double>(calls_[task]);
  }
}

void QueuedRounds::complete() {
  next_visit_ = round_.order.size();
  round_.anchor_s = sample_anchor();
  bool ahead = false;
  for (int attempt = 0; attempt < kTries && !ahead; ++attempt) {
    if (attempt > 0) hold_s_ *= kLonger;
    queue_.wait();
    ahead = marked_pass(plain_pass());
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
    round_.seconds[task] = launches_[task] ? row_s(task, calls_[task]) : 0.0;
  }
  return round_;
}

}  // namespace opclock
