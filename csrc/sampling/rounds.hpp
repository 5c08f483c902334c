// Interleaved sampling: each round visits every task once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "clock/clock.hpp"
#include "sampling/index.hpp"
#include "sampling/stopping.hpp"
#include "sampling/task.hpp"

namespace opclock {

struct Round {
  std::vector<std::size_t> order;  // task numbers as visited; the control workload is number tasks.size()
  std::vector<double> seconds;     // of one call, by task number
  double control_s = 0.0;
};

// shuffled: a new order each round, so that no task always follows the same one. given: tasks are the calls of one
// model in its order, and what runs before a task is part of the condition; each is called once a visit, see
// Rounds::call_once.
enum class Order { shuffled, given };

struct WarmUp {
  std::size_t rounds = 0;
  double seconds = 0.0;
  bool plateau = false;  // false: the time ran out first
};

class Rounds {
 public:
  // The tasks must outlive the rounds. Samples of tasks with the same number in `groups` are judged together, because a
  // model may call the same kernel from many places. Groups are numbered from 0, and there are at most as many as
  // tasks. The same seed gives the same orders.
  Rounds(Clock& clock, std::vector<Task*> tasks, std::vector<std::size_t> groups, Order order, std::uint64_t seed);
  virtual ~Rounds() = default;
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  // Before warm_up(): each visit makes one call of a task, however short. A second call in a row would find its code
  // and data in the caches, as no call of a model does.
  void call_once() { once_ = true; }

  // Runs rounds that are not kept, until they stop getting faster or `max_s` seconds have passed. Then it decides how
  // many calls make one sample of each task (one, in a given order or after call_once()).
  virtual WarmUp warm_up(double max_s);

  // One kept round. A sample for which the counter ran backwards is taken again, and counted as a fault.
  const Round& next();
  // The same in steps, for a caller that does work of its own between the visits: begin(), visit() until it
  // returns false, end(). A round that was begun and not ended is dropped by the next begin(). end() throws
  // std::invalid_argument where no round has begun: the samples of the last one would count twice.
  void begin();
  bool visit();
  const Round& end();
  // What the next visit frees, in the host's time; visit() does it where this was not called before.
  void free_earlier();
  // Takes the samples of the last kept rounds back from the stopping rule, once: something disturbed those rounds.
  // Throws std::invalid_argument where fewer were kept since rounds were last discarded or added.
  void discard_last(std::size_t count = 1);
  std::size_t visits_left() const { return round_.order.size() - next_visit_; }

  // A round in which every task follows an untimed run of itself: how most kernel benchmarks time. Between the two
  // only restore() is called, so that the caches hold what the task used, but a task that works in place finds its
  // first values. Not kept for the stopping rule.
  virtual Round back_to_back();

  // Samples of an earlier, interrupted run count towards the stopping rule.
  void add_earlier(std::size_t group, const std::vector<double>& seconds);

  // After warm_up(): as many calls make a sample as in an earlier, interrupted run, whose seconds hold for these.
  // Throws std::invalid_argument for none, and for more than a warm-up ever decides.
  void set_calls_per_sample(std::size_t task, std::size_t calls);

  // Every group narrow or stagnant. Judged anew only when the rounds have grown by a tenth.
  bool settled();
  StopReason reason(std::size_t group) const { return reasons_[checked_index(group, reasons_.size(), "group")]; }

  std::size_t calls_per_sample(std::size_t task) const { return calls_[checked_index(task, size(), "op call")]; }
  std::size_t clock_faults() const { return clock_faults_; }
  std::size_t size() const { return tasks_.size(); }

 protected:
  // Makes the visits that are left of the round.
  virtual void complete();
  // Tasks shorter than that are called several times for one sample.
  virtual double shortest_sample_s() const { return clock_.shortest_sample_s(); }
  double sample_control() { return sample(control_, control_calls_, false); }

  Clock& clock_;
  std::vector<Task*> tasks_;
  std::vector<std::size_t> calls_;  // by task: of one sample
  Round round_;
  std::size_t next_visit_ = 0;
  bool begun_ = false;

 private:
  void pass();
  // `prepared`: prepare() was called before; it is called again before each further attempt, and dry_run() before all.
  double sample(Task& task, std::size_t calls, bool prepared);
  void prepare_next();
  void arrange(std::vector<std::size_t>& order);

  std::vector<std::size_t> groups_;
  Order order_;
  bool once_ = false;
  std::mt19937_64 random_;
  std::vector<std::vector<double>> samples_;  // by group
  std::vector<StopReason> reasons_;           // by group
  StoppingRule rule_;
  Chain control_{kControlSteps};
  std::size_t control_calls_ = 1;
  std::size_t kept_rounds_ = 0;
  std::size_t discardable_ = 0;  // rounds kept since rounds were last discarded or added
  std::size_t next_judgement_ = 0;
  std::size_t clock_faults_ = 0;
};

}  // namespace opclock
