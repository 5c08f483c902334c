#include "device/queued_rounds.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "scripted.hpp"
#include "within.hpp"

using namespace opclock;

namespace {

// A device with a queue, beside the scripted machine's host: work begins when what is before it in the queue has ended,
// and no sooner than it was queued.
class ScriptedDevice final : public Queue {
 public:
  explicit ScriptedDevice(Machine& machine) : machine_(machine) {}

  void add(double seconds) { free_s_ = std::max(free_s_, machine_.now_s) + seconds; }
  void record(std::size_t event) override {
    add(event_s);
    at_s_[event] = free_s_;
  }
  bool reached(std::size_t event) const override { return at_s_.at(event) <= machine_.now_s; }
  double between_s(std::size_t from, std::size_t to) const override { return at_s_.at(to) - at_s_.at(from); }
  void wait() override { machine_.now_s = std::max(machine_.now_s, free_s_); }
  void block(double seconds) override {
    ++blocks;
    if (!every_other || blocks % 2 == 1) add(seconds * block_share);
  }
  double resolution_s() override { return 0.1e-6; }

  double event_s = 1e-6;
  double block_share = 1.0;  // below 1: blocking kernels are shorter than asked for
  bool every_other = false;  // only every other blocking kernel takes any time
  int blocks = 0;

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

TEST_CASE("a round is the device's own time without its events") {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.view, &fixture.quick}, {0, 1, 2},
                      {true, false, true}, Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(40e-6, 1e-9));
  CHECK(round.seconds[1] == 0.0);
  CHECK(round.seconds[2] == within(2e-6, 1e-9));
  CHECK(rounds.idle_rounds() == 0);
  CHECK(rounds.calls_per_sample(2) == 1);
}

TEST_CASE("a host slower than its device is still ahead behind the blocking kernel") {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 50e-6, 2e-6);
  Launch two(fixture.machine, fixture.device, 50e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(2e-6, 1e-9));
  CHECK(round.seconds[1] == within(3e-6, 1e-9));
  CHECK(rounds.idle_rounds() == 0);
}

TEST_CASE("a blocking kernel that was too short grows until it is not") {
  Fixture fixture;
  fixture.device.block_share = 0.3;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6);
  Launch two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.0);
  const Round& round = rounds.next();
  CHECK(round.seconds[1] == within(3e-6, 1e-9));
}

TEST_CASE("rounds in which the device could not be kept from idling are counted") {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6);
  Launch two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two}, {0, 1}, {true, true}, Order::given, 1);
  rounds.warm_up(0.0);
  CHECK(rounds.idle_rounds() == 0);
  fixture.device.block_share = 0.0;
  rounds.next();
  CHECK(rounds.idle_rounds() == 1);
}

TEST_CASE("after a task in which the host waits the device is blocked again") {
  Fixture fixture;
  Launch after(fixture.machine, fixture.device, 10e-6, 4e-6);
  Launch last(fixture.machine, fixture.device, 10e-6, 5e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.fetch, &after, &last}, {0, 1, 2, 3},
                      {true, true, true, true}, Order::given, 1);
  rounds.warm_up(0.01);
  CHECK((rounds.waits() == std::vector<bool>{false, true, false, false}));
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(40e-6, 1e-9));
  CHECK(round.seconds[2] == within(4e-6, 1e-9));
  CHECK(round.seconds[3] == within(5e-6, 1e-9));
  CHECK(round.seconds[1] >= 3e-6);  // with what the host takes to come back
}

TEST_CASE("a round that ends with a wait is blocked again for its events") {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 50e-6, 2e-6);
  Launch two(fixture.machine, fixture.device, 50e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two, &fixture.fetch}, {0, 1, 2}, {true, true, true},
                      Order::given, 1);
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(2e-6, 1e-9));
  CHECK(round.seconds[1] == within(3e-6, 1e-9));
  CHECK(rounds.idle_rounds() == 0);
}

TEST_CASE("however long the device idles no task takes less than nothing") {
  Fixture fixture;
  Launch one(fixture.machine, fixture.device, 300e-6, 2e-6);
  Launch two(fixture.machine, fixture.device, 300e-6, 3e-6);
  QueuedRounds rounds(fixture.device, fixture.clock, {&one, &two, &fixture.fetch}, {0, 1, 2}, {true, true, true},
                      Order::given, 1);
  rounds.warm_up(0.0);
  fixture.device.every_other = true;  // the plain pass's, not the event pass's
  fixture.device.blocks = 0;
  const Round& round = rounds.next();
  CHECK(rounds.idle_rounds() == 1);
  CHECK(round.seconds[0] > 0.0);
  CHECK(round.seconds[1] > 0.0);
}

TEST_CASE("in random order short tasks are repeated beyond the resolution") {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.quick}, {0, 1}, {true, true},
                      Order::shuffled, 1);
  rounds.warm_up(0.01);
  CHECK(rounds.calls_per_sample(0) == 1);
  const std::size_t calls = rounds.calls_per_sample(1);
  CHECK((calls == 10 || calls == 11));  // 20 us, ten runs of 2 us
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(40e-6, 1e-9));
  CHECK(round.seconds[1] == within(2e-6, 1e-9));
}

TEST_CASE("back to back follows itself on the device") {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.view}, {0, 1}, {true, false},
                      Order::shuffled, 1);
  rounds.warm_up(0.0);
  const int before = fixture.slow.runs;
  const Round round = rounds.back_to_back();
  CHECK(fixture.slow.runs == before + 4);
  CHECK(round.seconds[0] == within(40e-6, 1e-9));
  CHECK(round.seconds[1] == 0.0);
}

TEST_CASE("kept rounds count for the stopping rule") {
  Fixture fixture;
  QueuedRounds rounds(fixture.device, fixture.clock, {&fixture.slow, &fixture.quick}, {0, 1}, {true, true},
                      Order::given, 1);
  rounds.warm_up(0.01);
  for (int i = 0; i < 30; ++i) rounds.next();
  CHECK(rounds.settled());
}

TEST_CASE("whether it launches is needed of each task") {
  Fixture fixture;
  CHECK_THROWS_AS(QueuedRounds(fixture.device, fixture.clock, {&fixture.slow}, {0}, {}, Order::given, 0),
                  std::invalid_argument);
}
