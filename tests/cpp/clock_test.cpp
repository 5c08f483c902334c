#include "check.hpp"
#include "scripted.hpp"

using opclock::Clock;

TEST(rate_is_measured_whatever_the_register_claims) {
  for (const double claimed : {0.0, 1e9, 19.2e6}) {
    Machine machine;
    const Clock clock = scripted_clock(machine, steady(54e6), claimed);
    CHECK(clock.steady());
    NEAR(clock.rate_hz() / 54e6, 1.0, 1e-4);
    NEAR(clock.nominal_hz(), claimed, 0.0);
  }
}

TEST(coarse_counter_shows_its_step) {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(19.2e6));
  NEAR(clock.resolution_s(), 1 / 19.2e6, 1e-11);
  NEAR(clock.shortest_sample_s(), 1000 / 19.2e6, 1e-7);
}

TEST(counter_of_one_ghz_that_steps_by_41) {
  Machine machine;
  machine.read_s = 7.3e-9;
  const Clock clock = scripted_clock(machine, steady(1e9, 41));
  CHECK(clock.steady());
  NEAR(clock.resolution_s(), 41e-9, 1e-10);
}

TEST(counter_that_stands_still_between_all_empty_reads) {
  Machine machine;
  machine.read_s = 1e-9;  // two thousand empty intervals pass within two steps of 1 us
  const Clock clock = scripted_clock(machine, steady(1e6));
  NEAR(clock.resolution_s(), 1e-6, 1e-9);
}

TEST(read_cost_and_empty_interval) {
  Machine machine;
  Clock clock = scripted_clock(machine, steady(2e9));
  NEAR(clock.read_cost_s(), 20e-9, 1e-9);
  NEAR(clock.empty_s(), 20e-9, 1e-9);
  NEAR(clock.shortest_sample_s(), 2e-6, 1e-7);
  const auto start = clock.start();
  machine.now_s += 5e-6;
  NEAR(clock.elapsed_s(start, clock.stop()), 5e-6, 2e-9);
}

TEST(empty_interval_is_never_below_zero) {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(2e9));
  NEAR(clock.elapsed_s(1000, 1001), 0.0, 0.0);
}

TEST(counter_that_runs_backwards_gives_no_number) {
  Machine machine;
  const Clock clock = scripted_clock(machine, steady(2e9));
  CHECK(std::isnan(clock.elapsed_s(1000, 999)));
}

TEST(one_jump_is_outvoted) {
  Machine machine;
  const Clock clock = scripted_clock(machine, [](double now_s) {
    return static_cast<std::uint64_t>(now_s * 1e9) + (now_s > 0.006 ? 3'000'000U : 0U);
  });
  CHECK(clock.steady());
  NEAR(clock.rate_hz(), 1e9, 1e6);
}

TEST(counter_that_keeps_changing_its_rate_is_not_steady) {
  Machine machine;
  const Clock clock =
      scripted_clock(machine, [](double now_s) { return static_cast<std::uint64_t>(now_s * now_s * 1e12); });
  CHECK(!clock.steady());
}

TEST(dead_counter_is_not_steady) {
  Machine machine;
  const Clock clock = scripted_clock(machine, [](double) { return std::uint64_t{7}; });
  CHECK(!clock.steady());
}

TEST(proof_agrees_with_a_steady_counter_and_not_with_one_that_slowed) {
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
  NEAR(proof.disagreement, 0.1, 1e-3);
}

TEST(this_machine_has_a_clock_that_agrees_with_the_os) {
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

TEST(fallback_is_always_there) { CHECK(opclock::posix_clock() != nullptr); }
