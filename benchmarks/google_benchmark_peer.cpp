// google-benchmark's side of harness.py: chains of the lengths given in CHAIN_STEPS, and aten::add on one element.
#include <ATen/ops/add.h>
#include <ATen/ops/ones.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "sampling/task.hpp"

static void chain(benchmark::State& state) {
  opclock::Chain work(static_cast<std::uint64_t>(state.range(0)));
  for (auto _ : state) work.run();
}

static void add_one(benchmark::State& state) {
  const c10::InferenceMode inference;
  const at::Tensor one = at::ones({1});
  for (auto _ : state) benchmark::DoNotOptimize(at::add(one, one));
}

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const char* steps = std::getenv("CHAIN_STEPS");
  std::istringstream lengths(steps == nullptr ? "" : steps);
  for (std::int64_t length = 0; lengths >> length;) benchmark::RegisterBenchmark("chain", chain)->Arg(length);
  benchmark::RegisterBenchmark("add_one", add_one);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
