#include <cmath>

#include "scripted.hpp"
#include "within.hpp"

using opclock::Clock;

TEST_CASE("rate is measured whatever the register claims") {
  for (const double claimed : {0.0, 1e9, 19.2e6}) {
    Machine machine;
    const Clock clock = scripted_clock(machine, steady(54e6), claimed);
    CHECK(clock.steady());
    CHECK(clock.rate_hz() / 54e6 == within(1.0, 1e-4));
    CHECK(clock.nominal_hz() == claimed);
  }
}

TEST_CASE("coarse counter shows its step") {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(19.2e6));
  CHECK(clock.resolution_s() == within(1 / 19.2e6, 1e-11));
  CHECK(clock.shortest_sample_s() == within(1000 / 19.2e6, 1e-7));
}

TEST_CASE("counter of one ghz that steps by 41") {
  Machine machine;
  machine.read_s = 7.3e-9;
  const Clock clock = scripted_clock(machine, steady(1e9, 41));
  CHECK(clock.steady());
  CHECK(clock.resolution_s() == within(41e-9, 1e-10));
}

TEST_CASE("counter that stands still between all empty reads") {
  Machine machine;
  machine.read_s = 1e-9;  // two thousand empty intervals pass within two steps of 1 us
  const Clock clock = scripted_clock(machine, steady(1e6));
  CHECK(clock.resolution_s() == within(1e-6, 1e-9));
}

TEST_CASE("read cost and empty interval") {
  Machine machine;
  Clock clock = scripted_clock(machine, steady(2e9));
  CHECK(clock.read_cost_s() == within(20e-9, 1e-9));
  CHECK(clock.empty_s() == within(20e-9, 1e-9));
  CHECK(clock.shortest_sample_s() == within(2e-6, 1e-7));
  const auto start = clock.start();
  machine.now_s += 5e-6;
  CHECK(clock.elapsed_s(start, clock.stop()) == within(5e-6, 2e-9));
}

TEST_CASE("empty interval is never below zero") {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(2e9));
  CHECK(clock.elapsed_s(1000, 1001) == 0.0);
}

TEST_CASE("counter that runs backwards gives no number") {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(2e9));
  CHECK(std::isnan(clock.elapsed_s(1000, 999)));
}

TEST_CASE("one jump is outvoted") {
  Machine machine;
  const Clock clock = scripted_clock(machine, [](double now_s) {
    return static_cast<std::uint64_t>(now_s * 1e9) + (now_s > 0.006 ? 3'000'000U : 0U);
  });
  CHECK(clock.steady());
  CHECK(clock.rate_hz() == within(1e9, 1e6));
}

TEST_CASE("counter that keeps changing its rate is not steady") {
  Machine machine;
  const Clock clock =
      scripted_clock(machine, [](double now_s) { return static_cast<std::uint64_t>(now_s * now_s * 1e12); });
  CHECK(!clock.steady());
}

TEST_CASE("dead counter is not steady") {
  Machine machine;
  const Clock clock = scripted_clock(machine, [](double) { return std::uint64_t{7}; });
  CHECK(!clock.steady());
}

TEST_CASE("proof agrees with a steady counter and not with one that slowed") {
  Machine machine;
  double slowed_at = 1e9;
  Clock clock = scripted_clock(machine, [&slowed_at](double now_s) {
    const double slow = now_s > slowed_at ? now_s - slowed_at : 0.0;
    return static_cast<std::uint64_t>((now_s - 0.1 * slow) * 1e9);
  });
  CHECK(clock.prove().agrees);
  slowed_at = machine.now_s;
  const auto proof = clock.prove();
  CHECK(!proof.agrees);
  CHECK(proof.disagreement == within(0.1, 1e-3));
}

TEST_CASE("this machine has a clock that agrees with the os") {
  Clock clock = Clock::choose();
  CHECK(clock.steady());
  CHECK(clock.resolution_s() > 0.0);
  CHECK(clock.prove().disagreement < 0.05);  // loose: emulators and busy machines
  auto last = clock.start();
  for (int i = 0; i < 1000; ++i) {
    const auto now = clock.start();
    CHECK(now >= last);
    last = now;
  }
}

TEST_CASE("fallback is always there") { CHECK(opclock::posix_clock() != nullptr); }
