// opclock._core: clock, statistics, ceilings, and what is said of a crash. No torch in it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings/clock.hpp"
#include "bindings/common.hpp"
#include "ceilings/ceilings.hpp"
#include "clock/clock.hpp"
#include "crash/crash_line.hpp"
#include "sampling/rounds.hpp"
#include "sampling/statistics.hpp"
#include "sampling/stopping.hpp"

namespace py = pybind11;
using namespace opclock;  // NOLINT(google-build-using-namespace): a binding file names nothing else

namespace {

// Seconds of each sample of a chain, taken the way kernels are sampled.
Samples time_chain(Clock& clock, std::uint64_t steps, std::size_t samples) {
  constexpr double kWarmUpS = 0.001;
  Chain chain(steps);
  Rounds rounds(clock, {&chain}, {0}, Order::shuffled, 0);
  rounds.warm_up(kWarmUpS);
  Samples seconds;
  seconds.reserve(samples);
  for (std::size_t i = 0; i < samples; ++i) seconds.push_back(rounds.next().seconds[0]);
  return seconds;
}

// Seconds of each call of a Python callable. One during which the counter ran backwards is made again, and so often at
// most as there are calls.
Samples time_calls(Clock& clock, const py::function& call, std::size_t calls) {
  Samples seconds;
  seconds.reserve(calls);
  for (std::size_t made = 0; seconds.size() < calls; ++made) {
    if (made > 2 * calls) throw std::runtime_error("the clock " + clock.name() + " keeps running backwards");
    const std::uint64_t start = clock.start();
    const py::object answer = call();
    const double elapsed_s = clock.elapsed_s(start, clock.stop());
    if (!std::isnan(elapsed_s)) seconds.push_back(elapsed_s);
  }
  return seconds;
}

void bind_statistics(py::module_& module) {
  module.def("median", &median, py::arg("samples"), "Median. ValueError on no samples.");
  module.def(
      "median_interval",
      [](Samples samples, double confidence) {
        const Interval interval = median_interval(std::move(samples), confidence);
        return py::make_tuple(interval.low, interval.high);
      },
      py::arg("samples"), py::arg("confidence") = 0.95, "Distribution-free interval of the median.");
  module.def("drift", &drift, py::arg("samples"), "Median of the second half over that of the first, less 1.");
  module.def(
      "judge", [](const Samples& samples) { return std::string(to_string(judge(samples, {}))); }, py::arg("samples"),
      "Why sampling may stop: none, narrow or stagnant.");
}

void bind_ceilings(py::module_& module) {
  module.def(
      "bytes_per_s",
      [](Clock& clock, const std::string& pattern, std::size_t bytes, int threads, double max_s) {
        const Pattern chosen = pattern_of(pattern);
        checked_working_set(bytes);
        checked_threads(threads);
        checked_duration_s(max_s);
        const py::gil_scoped_release release;
        return bytes_per_s(clock, chosen, bytes, threads, max_s);
      },
      py::arg("clock"), py::arg("pattern"), py::arg("working_set_bytes"), py::arg("threads"), py::arg("max_s"),
      "Bytes read and written a second by read, write, copy, triad or update over a working set of all buffers and "
      "threads.");
  module.def(
      "loads_per_s",
      [](Clock& clock, std::size_t bytes, double max_s) {
        checked_working_set(bytes);
        checked_duration_s(max_s);
        const py::gil_scoped_release release;
        return loads_per_s(clock, bytes, max_s);
      },
      py::arg("clock"), py::arg("working_set_bytes"), py::arg("max_s"),
      "Loads a second on one thread where each gives the address of the next.");
  module.def(
      "multiply_adds_per_s",
      [](Clock& clock, const std::string& dtype, int threads, double max_s) {
        const Number chosen = number_of(dtype);
        checked_threads(threads);
        checked_duration_s(max_s);
        const py::gil_scoped_release release;
        return multiply_adds_per_s(clock, chosen, threads, max_s);
      },
      py::arg("clock"), py::arg("dtype"), py::arg("threads"), py::arg("max_s"),
      "Multiply-accumulates a second in registers of float64, float32, bfloat16, float16 or int8.");
  module.def(
      "vector_instructions", [](const std::string& dtype) { return vector_instructions(number_of(dtype)); },
      py::arg("dtype"), "The instructions multiply_adds_per_s uses.");
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "opclock's clock, statistics and ceilings: no torch in it.";
  module.attr("__version__") = OPCLOCK_VERSION;
  module.attr("BUILD_COMMIT") = OPCLOCK_COMMIT;
  module.attr("BUILD_TORCH") = OPCLOCK_TORCH_VERSION;  // the torch that _aten was built against; "" for none
  bind_clock(module).def_static("choose", &Clock::choose, py::call_guard<py::gil_scoped_release>(),
                                "The best source this machine has that keeps a steady rate.");
  bind_statistics(module);
  bind_ceilings(module);
  module.def(
      "set_crash_line", &set_crash_line, py::arg("text"),
      "Where a crash ends this process, write one line that begins with the signal and ends with this text; \"\": "
      "no more. A signal that has a handler keeps it.");
  module.def(
      "run_chain", [](std::uint64_t steps) { Chain(steps).run(); }, py::arg("steps"),
      "A fixed amount of dependent arithmetic: the work that harnesses are compared on. Keeps the GIL, so that "
      "releasing "
      "it adds nothing to a few microseconds.");
  module.def("time_chain", &time_chain, py::arg("clock"), py::arg("steps"), py::arg("samples"),
             py::call_guard<py::gil_scoped_release>(),
             "Seconds of each sample of such a chain, taken the way kernels are sampled.");
  module.def("time_calls", &time_calls, py::arg("clock"), py::arg("call"), py::arg("calls"),
             "Seconds of each of so many calls of a Python callable without arguments.");
}
