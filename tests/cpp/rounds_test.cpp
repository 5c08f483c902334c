#include "sampling/rounds.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "scripted.hpp"
#include "within.hpp"

using namespace opclock;

namespace {

// Takes a known time of the scripted machine and notes that it was called.
class Timed final : public Task {
 public:
  Timed(Machine& machine, double seconds) : machine_(machine), seconds_(seconds) {}
  void prepare() override {
    ++prepared;
    machine_.now_s += 1e-3;  // must not be in any sample
  }
  void restore() override {
    ++restored;
    machine_.now_s += 1e-3;  // nor this
  }
  void dry_run() override {
    ++dry_runs;
    machine_.now_s += 1e-3;  // nor this
  }
  void free_earlier() override { ++freed; }
  void begin() override {
    ++begun;
    machine_.now_s += 1e-3;  // nor this
  }
  void end() override {
    ++ended;
    machine_.now_s += 1e-3;  // nor this
  }
  void run() override {
    ++runs;
    machine_.now_s += seconds_;
  }
  int prepared = 0;
  int dry_runs = 0;
  int restored = 0;
  int freed = 0;
  int begun = 0;
  int ended = 0;
  int runs = 0;

 private:
  Machine& machine_;
  double seconds_;
};

struct Fixture {
  Machine machine;
  Clock clock = scripted_clock(machine, steady(2e9));
  Timed slow{machine, 30e-6};
  Timed quick{machine, 4e-6};
  Timed tiny{machine, 0.5e-6};
  Rounds rounds(Order order = Order::shuffled, std::uint64_t seed = 1) {
    return {clock, {&slow, &quick, &tiny}, {0, 1, 1}, order, seed};
  }
};

}  // namespace

TEST_CASE("samples are of one call without preparation") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  const Round& round = rounds.next();
  CHECK(round.seconds[0] == within(30e-6, 5e-9));
  CHECK(round.seconds[1] == within(4e-6, 5e-9));
  CHECK(round.seconds[2] == within(0.5e-6, 5e-9));
}

TEST_CASE("calls too short for the clock are batched") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  CHECK(rounds.calls_per_sample(0) == 1);
  CHECK(rounds.calls_per_sample(1) == 1);
  CHECK(rounds.calls_per_sample(2) == 5);  // 100 reads of 20 ns are 2 us; 4 calls of 0.5 us fall just short of it
  const int before = fixture.tiny.runs;
  rounds.next();
  CHECK(fixture.tiny.runs - before == 5);
}

TEST_CASE("a sample makes as many calls as were set") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  rounds.set_calls_per_sample(2, 3);  // as the rounds of an interrupted run made
  const int before = fixture.tiny.runs;
  CHECK(rounds.next().seconds[2] == within(0.5e-6, 5e-9));
  CHECK(fixture.tiny.runs - before == 3);
  CHECK_THROWS_AS(rounds.set_calls_per_sample(2, 0), std::invalid_argument);
  CHECK_THROWS_AS(rounds.set_calls_per_sample(4, 1), std::out_of_range);
}

TEST_CASE("each task is called once a visit where that is asked for") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.call_once();
  rounds.warm_up(0.01);
  CHECK(rounds.calls_per_sample(2) == 1);
  CHECK(rounds.next().seconds[2] == within(0.5e-6, 5e-9));
}

TEST_CASE("in a given order each task is called once a visit") {
  Fixture fixture;
  auto rounds = fixture.rounds(Order::given);
  rounds.warm_up(0.01);
  CHECK(rounds.calls_per_sample(2) == 1);
  CHECK((rounds.next().order == std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST_CASE("a task is prepared when the one before has run and has its dry run when its own turn comes") {
  Fixture fixture;
  auto rounds = fixture.rounds(Order::given);
  rounds.begin();
  CHECK(fixture.slow.prepared == 1);
  CHECK(fixture.slow.dry_runs == 0);
  rounds.visit();
  CHECK(fixture.slow.dry_runs == 1);
  CHECK(fixture.slow.runs == 1);
  CHECK(fixture.quick.prepared == 1);
  CHECK(fixture.quick.dry_runs == 0);
  CHECK(fixture.quick.runs == 0);
}

TEST_CASE("a task frees what it may before its visit, once it is the next, and begins and ends with each sample") {
  Fixture fixture;
  auto rounds = fixture.rounds(Order::given);
  rounds.begin();
  rounds.free_earlier();
  CHECK(fixture.slow.freed == 1);
  CHECK(fixture.slow.begun == 0);
  rounds.visit();
  CHECK(fixture.slow.begun == 1);
  CHECK(fixture.slow.ended == 1);
  rounds.visit();
  CHECK(fixture.quick.freed == 1);  // nobody called free_earlier() for it
}

TEST_CASE("every round visits each task and the control once") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  for (int i = 0; i < 20; ++i) {
    auto order = rounds.next().order;
    std::sort(order.begin(), order.end());
    CHECK((order == std::vector<std::size_t>{0, 1, 2, 3}));
  }
  CHECK(fixture.slow.prepared == 20);
}

TEST_CASE("orders are fresh and repeat with the seed") {
  Fixture fixture;
  auto first = fixture.rounds(Order::shuffled, 7);
  auto second = fixture.rounds(Order::shuffled, 7);
  auto third = fixture.rounds(Order::shuffled, 8);
  std::set<std::vector<std::size_t>> orders;
  bool differs = false;
  for (int i = 0; i < 30; ++i) {
    const auto order = first.next().order;
    CHECK(order == second.next().order);
    differs = differs || order != third.next().order;
    orders.insert(order);
  }
  CHECK(differs);
  CHECK(orders.size() > 10);  // of 24
}

TEST_CASE("given order is kept and the control comes last") {
  Fixture fixture;
  auto rounds = fixture.rounds(Order::given);
  CHECK((rounds.next().order == std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST_CASE("rounds in steps") {
  Fixture fixture;
  auto rounds = fixture.rounds(Order::given);
  rounds.begin();
  CHECK(rounds.visits_left() == 4);
  CHECK(rounds.visit());
  CHECK(fixture.slow.runs == 1);
  CHECK(fixture.quick.runs == 0);
  rounds.end();
  CHECK(fixture.quick.runs == 1);
  CHECK(fixture.tiny.runs == 1);
  CHECK(!rounds.visit());
}

TEST_CASE("back to back follows itself unprepared but restored") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  const Round round = rounds.back_to_back();
  CHECK(fixture.slow.runs == 2);
  CHECK(fixture.slow.prepared == 0);
  CHECK(fixture.slow.restored == 1);
  CHECK(round.seconds[0] == within(30e-6, 5e-9));
}

TEST_CASE("groups settle narrow on a steady machine") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.next();
  CHECK(!rounds.settled());
  CHECK(rounds.reason(0) == StopReason::none);
  for (int i = 0; i < 30; ++i) rounds.next();
  rounds.settled();
  CHECK(rounds.reason(0) == StopReason::narrow);
}

TEST_CASE("discarded round does not count") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  for (int round = 0; round < 50; ++round) {
    rounds.next();
    rounds.discard_last();
  }
  CHECK(!rounds.settled());
  for (int round = 0; round < 50; ++round) rounds.next();
  CHECK(rounds.settled());
}

TEST_CASE("several rounds are discarded together, and no more than were kept") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  for (int round = 0; round < 50; ++round) rounds.next();
  CHECK_THROWS_AS(rounds.discard_last(51), std::invalid_argument);
  rounds.discard_last(50);
  CHECK(!rounds.settled());
  for (int round = 0; round < 50; ++round) rounds.next();
  CHECK(rounds.settled());
}

TEST_CASE("a round is discarded once, and only a kept one") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.warm_up(0.01);
  CHECK_THROWS_AS(rounds.discard_last(), std::invalid_argument);
  rounds.next();
  rounds.add_earlier(0, {30e-6});
  CHECK_THROWS_AS(rounds.discard_last(), std::invalid_argument);
  rounds.next();
  rounds.discard_last();
  CHECK_THROWS_AS(rounds.discard_last(), std::invalid_argument);
}

TEST_CASE("samples of an interrupted run count") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  rounds.add_earlier(0, std::vector<double>(50, 30e-6));
  rounds.add_earlier(1, std::vector<double>(50, 4e-6));
  CHECK(rounds.settled());
}

TEST_CASE("warm up ends at the plateau") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  const WarmUp warm_up = rounds.warm_up(10.0);
  CHECK(warm_up.plateau);
  CHECK(warm_up.rounds == 6);
}

TEST_CASE("warm up ends when time is up") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  const WarmUp warm_up = rounds.warm_up(0.0);
  CHECK(!warm_up.plateau);
  CHECK(warm_up.rounds == 3);
}

TEST_CASE("sample in which the counter ran backwards is taken again") {
  Machine machine;
  bool back = false;
  Clock clock = scripted_clock(machine, [&](double now_s) {
    const bool first = back && machine.now_s > 0;
    const auto ticks = static_cast<std::uint64_t>((now_s + 1) * 1e9);
    return first ? ticks - 500'000'000U : ticks;
  });
  class Breaks final : public Task {
   public:
    Breaks(bool& flag, Machine& machine) : flag_(flag), machine_(machine) {}
    void run() override {
      flag_ = runs_++ == 0;  // from the first run's stop until the second's
      machine_.now_s += 10e-6;
    }

   private:
    bool& flag_;
    Machine& machine_;
    int runs_ = 0;
  } task(back, machine);
  Rounds rounds(clock, {&task}, {0}, Order::given, 0);
  rounds.begin();
  rounds.visit();
  CHECK(rounds.clock_faults() == 1);
}

TEST_CASE("nonsense is refused") {
  Fixture fixture;
  CHECK_THROWS_AS(Rounds(fixture.clock, {}, {}, Order::given, 0), std::invalid_argument);
  CHECK_THROWS_AS(Rounds(fixture.clock, {&fixture.slow}, {}, Order::given, 0), std::invalid_argument);
}

TEST_CASE("the samples of a round count once") {
  Fixture fixture;
  auto rounds = fixture.rounds();
  CHECK_THROWS_AS(rounds.end(), std::invalid_argument);
  rounds.warm_up(0.0);
  CHECK_THROWS_AS(rounds.end(), std::invalid_argument);
  rounds.next();
  CHECK_THROWS_AS(rounds.end(), std::invalid_argument);
}
