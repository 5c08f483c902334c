#include "sampling/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "sampling/statistics.hpp"

namespace opclock {
namespace {

constexpr std::size_t kMaxCalls = 4096;      // a call the clock cannot see at all must not loop for ever
constexpr int kFaultTries = 8;               // a counter that runs backwards this often in a row is broken
constexpr std::size_t kMinWarmUpPasses = 3;  // the first binds, the second warms the caches, the third is compared

}  // namespace

Rounds::Rounds(Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups, Order order, std::uint64_t seed)
    : clock_(clock),
      tasks_(std::move(tasks)),
      calls_(tasks_.size(), 1),
      groups_(std::move(groups)),
      order_(order),
      random_(seed) {
  if (tasks_.empty()) throw std::invalid_argument("no tasks to sample");
  if (groups_.size() != tasks_.size()) throw std::invalid_argument("one group is needed for each task");
  const std::size_t group_count =
      checked_index(*std::max_element(groups_.begin(), groups_.end()), tasks_.size(), "group") + 1;
  samples_.resize(group_count);
  reasons_.assign(group_count, StopReason::none);
}

double Rounds::sample(Task& task, std::size_t calls, bool prepared) {
  for (int attempt = 0; attempt < kFaultTries; ++attempt) {
    if (attempt > 0 && prepared) task.prepare();
    if (attempt > 0 && !prepared) task.restore();
    task.begin();
    if (prepared) task.dry_run();
    const std::uint64_t start = clock_.start();
    for (std::size_t call = 0; call < calls; ++call) task.run();
    const std::uint64_t stop = clock_.stop();
    task.end();
    const double elapsed = clock_.elapsed_s(start, stop);
    if (!std::isnan(elapsed)) return elapsed / static_cast<double>(calls);
    ++clock_faults_;
  }
  throw std::runtime_error("the clock " + clock_.name() + " keeps running backwards");
}

void Rounds::arrange(std::vector<std::size_t>& order) {
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (order_ == Order::given) return;
  // Fisher-Yates by hand: std::shuffle gives another order on another standard library.
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random_() % (i + 1)]);
}

void Rounds::begin() {
  round_.order.resize(tasks_.size() + 1);
  round_.seconds.resize(tasks_.size());
  arrange(round_.order);
  next_visit_ = 0;
  begun_ = true;
  prepare_next();
}

void Rounds::prepare_next() {
  if (next_visit_ < round_.order.size() && round_.order[next_visit_] < tasks_.size()) {
    tasks_[round_.order[next_visit_]]->prepare();
  }
}

void Rounds::free_earlier() {
  if (next_visit_ < round_.order.size() && round_.order[next_visit_] < tasks_.size()) {
    tasks_[round_.order[next_visit_]]->free_earlier();
  }
}

bool Rounds::visit() {
  if (next_visit_ == round_.order.size()) return false;
  free_earlier();
  const std::size_t number = round_.order[next_visit_++];
  if (number == tasks_.size()) {
    round_.control_s = sample_control();
  } else {
    round_.seconds[number] = sample(*tasks_[number], calls_[number], true);
  }
  prepare_next();
  return true;
}

void Rounds::complete() {
  while (visit()) {
  }
}

const Round& Rounds::end() {
  if (!begun_) throw std::invalid_argument("no round has begun: call begin_round() first");
  complete();
  begun_ = false;
  for (std::size_t i = 0; i < tasks_.size(); ++i) samples_[groups_[i]].push_back(round_.seconds[i]);
  ++kept_rounds_;
  ++discardable_;
  return round_;
}

void Rounds::discard_last(std::size_t count) {
  if (count > discardable_) {
    throw std::invalid_argument("there are not as many rounds to discard: " + std::to_string(discardable_) +
                                " were kept since the last ones, and not " + std::to_string(count));
  }
  for (const std::size_t group : groups_) samples_[group].resize(samples_[group].size() - count);
  kept_rounds_ -= count;
  discardable_ = 0;
}

const Round& Rounds::next() {
  begin();
  return end();
}

void Rounds::pass() {
  begin();
  complete();
  begun_ = false;
}

WarmUp Rounds::warm_up(double max_s) {
  WarmUp warm_up;
  Plateau plateau;
  std::vector<double> fastest(tasks_.size(), std::numeric_limits<double>::infinity());
  double fastest_control = std::numeric_limits<double>::infinity();
  const std::uint64_t begin = clock_.start();
  do {
    pass();
    for (std::size_t i = 0; i < tasks_.size(); ++i) fastest[i] = std::min(fastest[i], round_.seconds[i]);
    fastest_control = std::min(fastest_control, round_.control_s);
    plateau.add(std::accumulate(round_.seconds.begin(), round_.seconds.end(), 0.0));
    ++warm_up.rounds;
    warm_up.seconds = clock_.elapsed_s(begin, clock_.stop());
    warm_up.plateau = plateau.reached();
  } while (warm_up.rounds < kMinWarmUpPasses || (!warm_up.plateau && warm_up.seconds < max_s));

  const auto calls_for = [](double call_s, double shortest) {
    if (call_s >= shortest) return std::size_t{1};
    if (call_s * static_cast<double>(kMaxCalls) <= shortest) return kMaxCalls;
    return static_cast<std::size_t>(std::ceil(shortest / call_s));
  };
  // In a model's order each call is made once, and the whole round is the sample.
  const bool once = once_ || order_ == Order::given;
  for (std::size_t i = 0; i < tasks_.size() && !once; ++i) {
    calls_[i] = calls_for(fastest[i], shortest_sample_s());
  }
  control_calls_ = calls_for(fastest_control, clock_.shortest_sample_s());
  return warm_up;
}

Round Rounds::back_to_back() {
  Round round;
  round.order.resize(tasks_.size() + 1);
  round.seconds.resize(tasks_.size());
  arrange(round.order);
  for (const std::size_t number : round.order) {
    if (number == tasks_.size()) {
      round.control_s = sample_control();
    } else {
      tasks_[number]->run();
      tasks_[number]->restore();
      round.seconds[number] = sample(*tasks_[number], calls_[number], false);
    }
  }
  return round;
}

void Rounds::add_earlier(std::size_t group, const std::vector<double>& seconds) {
  auto& samples = samples_[checked_index(group, samples_.size(), "group")];
  samples.insert(samples.end(), seconds.begin(), seconds.end());
  discardable_ = 0;
}

void Rounds::set_calls_per_sample(std::size_t task, std::size_t calls) {
  if (calls < 1 || calls > kMaxCalls) {
    throw std::invalid_argument("a sample makes 1 to " + std::to_string(kMaxCalls) + " calls, not " +
                                std::to_string(calls));
  }
  calls_[checked_index(task, size(), "op call")] = calls;
}

bool Rounds::settled() {
  if (kept_rounds_ >= next_judgement_) {
    for (std::size_t group = 0; group < samples_.size(); ++group) {
      if (reasons_[group] == StopReason::none) reasons_[group] = judge(samples_[group], rule_);
    }
    next_judgement_ = kept_rounds_ + kept_rounds_ / 10 + 1;
  }
  return std::none_of(reasons_.begin(), reasons_.end(), [](StopReason reason) { return reason == StopReason::none; });
}

}  // namespace opclock
