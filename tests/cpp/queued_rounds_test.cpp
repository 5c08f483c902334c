#include "sampling/queued_rounds.hpp"

#include <algorithm>
#include <map>

#include "check.hpp"
#include "scripted.hpp"

using namespace opclock;

namespace {

// A device with a line of work, beside the scripted machine's host: work put in line begins when what is before it has
// ended, and no sooner than it was put there.
class ScriptedDevice final : public Queue {
 public:
  explicit ScriptedDevice(Machine& machine) : machine_(machine) {}

  void add(double seconds) { free_s_ = std::max(free_s_, machine_.now_s) + seconds; }
  void mark(std::size_t number) override {
    add(mark_s);
    at_s_[number] = free_s_;
  }
  bool passed(std::size_t number) const override { return at_s_.at(number) <= machine_.now_s; }
  double between_s(std::size_t from, std::size_t to) const override { return at_s_.at(to) - at_s_.at(from); }
  void wait() override { machine_.now_s = std::max(machine_.now_s, free_s_); }
  void hold(double seconds) override {
    ++holds;
    if (!every_other || holds % 2 == 1) add(seconds * hold_share);
  }
  double resolution_s() override { return 0.1e-6; }

  double mark_s = 1e-6;
  double hold_share = 1.0;   // below 1: holds are shorter than asked for
  bool every_other = false;  // only one hold of two holds
  int holds = 0;

 private:
  Machine& machine_;
  double free_s_ = 0.0;
  std::map<std::size_t, double> at_s_;
};

class Launch final : public Task {
 public:
  Launch(Machine& machine, ScriptedDevice& device, double host_s, double device_s, bool waits = false)
      : machine_(machine), device_(device), host_s_(host_s), device_s_(device_s), waits_(waits) {}
  void run() override {
    ++runs;
    machine_.now_s += host_s_;
    if (device_s_ > 0.0) device_.add(device_s_);
    if (waits_) device_.wait();
  }
  int runs = 0;

 private:
  Machine& machine_;
  ScriptedDevice& device_;
  double host_s_;
  double device_s_;
  bool waits_;
};

struct Fixture {
  Machine machine;
  Clock clock = scripted_clock(machine, steady(2e9));
  ScriptedDevice device{machine};
  Launch slow{machine, device, 10e-6, 40e-6};
  Launch view{machine, device, 5e-6, 0.0};
  Launch quick{machine, device, 10e-6, 2e-6};
  Launch fetch{machine, device, 10e-6, 3e-6, true};
};

}  // namespace

TEST(a_round_is_the_devices_own_time_without_its_marks) {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.view, &fixture.quick}, {0, 1, 2},
                      {true, false, true}, Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  NEAR(round.seconds[0], 40e-6, 1e-9);
  CHECK(round.seconds[1] == 0.0);
  NEAR(round.seconds[2], 2e-6, 1e-9);
  CHECK(rounds.starved() == 0);
  CHECK(rounds.calls_per_sample(2) == 1);
}

TEST(a_host_slower_than_its_device_is_still_ahead_behind_the_hold) {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 50e-6, 2e-6), two(fixture.machine, fixture.device, 50e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  NEAR(round.seconds[0], 2e-6, 1e-9);
  NEAR(round.seconds[1], 3e-6, 1e-9);
  CHECK(rounds.starved() == 0);
}

TEST(a_hold_that_was_too_short_grows_until_it_is_not) {
  Fixture fixture;
  fixture.device.hold_share = 0.3;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6), two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.0);
  const Round& round = rounds.next();
  NEAR(round.seconds[1], 3e-6, 1e-9);
}

TEST(a_device_that_cannot_be_held_is_said_to_starve) {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6), two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.0);
  CHECK(rounds.starved() == 0);
  fixture.device.hold_share = 0.0;
  rounds.next();
  CHECK(rounds.starved() == 1);
}

TEST(tasks_in_which_the_host_waits_are_found_and_the_host_gets_ahead_anew) {
  Fixture fixture;
  Launch after(fixture.machine, fixture.device, 10e-6, 4e-6), last(fixture.machine, fixture.device, 10e-6, 5e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.fetch, &after, &last}, {0, 1, 2, 3},
                      {true, true, true, true}, Order::given, 1);
  rounds.warm_up(0.01);
  CHECK((rounds.waits() == std::vector<bool>{false, true, false, false}));
  const Round& round = rounds.next();
  NEAR(round.seconds[0], 40e-6, 1e-9);
  NEAR(round.seconds[2], 4e-6, 1e-9);
  NEAR(round.seconds[3], 5e-6, 1e-9);
  CHECK(round.seconds[1] >= 3e-6);  // with what the host takes to come back
}

TEST(a_round_that_ends_with_a_wait_is_held_anew_for_its_marks) {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 50e-6, 2e-6), two(fixture.machine, fixture.device, 50e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two, &fixture.fetch}, {0, 1, 2}, {true, true, true},
                      Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  NEAR(round.seconds[0], 2e-6, 1e-9);
  NEAR(round.seconds[1], 3e-6, 1e-9);
  CHECK(rounds.starved() == 0);
}

TEST(however_far_a_starving_device_falls_behind_no_task_takes_less_than_nothing) {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6), two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two, &fixture.fetch}, {0, 1, 2}, {true, true, true},
                      Order::given, 1);
  rounds.warm_up(0.0);
  fixture.device.every_other = true;  // the plain pass's, not the marked one's
  fixture.device.holds = 0;
  const Round& round = rounds.next();
  CHECK(rounds.starved() == 1);
  CHECK(round.seconds[0] > 0.0 && round.seconds[1] > 0.0);
}

TEST(in_random_order_short_tasks_are_repeated_beyond_the_resolution) {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.quick}, {0, 1}, {true, true},
                      Order::shuffled, 1);
  rounds.warm_up(0.01);
  CHECK(rounds.calls_per_sample(0) == 1);
  const std::size_t calls = rounds.calls_per_sample(1);
  CHECK(calls == 10 || calls == 11);  // 20 us, ten runs of 2 us
  const Round& round = rounds.next();
  NEAR(round.seconds[0], 40e-6, 1e-9);
  NEAR(round.seconds[1], 2e-6, 1e-9);
}

TEST(back_to_back_follows_itself_on_the_device) {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.view}, {0, 1}, {true, false},
                      Order::shuffled, 1);
  rounds.warm_up(0.0);
  const int before = fixture.slow.runs;
  const Round round = rounds.back_to_back();
  CHECK(fixture.slow.runs == before + 4);
  NEAR(round.seconds[0], 40e-6, 1e-9);
  CHECK(round.seconds[1] == 0.0);
}

TEST(kept_rounds_count_for_the_stopping_rule) {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.quick}, {0, 1}, {true, true},
                      Order::given, 1);
  rounds.warm_up(0.01);
  for (int i = 0; i < 30; ++i) rounds.next();
  CHECK(rounds.settled());
}

TEST(whether_it_launches_is_needed_of_each_task) {
  Fixture fixture;
  check::throws<std::invalid_argument>(
      [&] { QueuedRounds(fixture.device, fixture.clock, {&fixture.slow}, {0}, {}, Order::given, 0); }, "no flags");
}
