// Binds null playback of a model.
#include "aten/playback.hpp"

#include <torch/csrc/jit/python/pybind_utils.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/aten/bound_pool.hpp"
#include "bindings/aten/common.hpp"
#include "bindings/common.hpp"

namespace py = pybind11;

namespace opclock {

namespace {

// Runs the inference that has begun, and returns the host's seconds.
const std::vector<double>& finish(Playback& playback, const py::function& forward) {
  try {
    forward();
  } catch (...) {
    playback.abandon();
    throw;
  }
  return playback.end();
}

// Throws where a call raised and the model went on: there is no time of it, and the array would keep what it held.
void store(const std::vector<double>& from, double* to, std::size_t length) {
  if (from.size() != length) throw std::runtime_error("a call raised an error, and the model went on");
  std::copy(from.begin(), from.end(), to);
}

void play(Playback& playback, const py::function& forward, HostSeconds host_s, BoundPool* co_run) {
  double* data = data_of(host_s, playback.size() + 1, "host_s");
  std::optional<BoundPool::Run> running;
  if (co_run != nullptr) running.emplace(*co_run);
  playback.begin(process_clock(), co_run == nullptr ? nullptr : &co_run->rounds());
  store(finish(playback, forward), data, playback.size() + 1);
}

// Nothing but the model's Python runs between the visits of two rounds: other work would take the place of the first op
// calls' code and data in the caches, and a model that runs again and again finds these there.
void play_rounds(Playback& playback, const py::function& forward, BoundPool& pool, Seconds seconds, Seconds host_s,
                 Seconds control_s, std::size_t unkept) {
  const std::size_t rounds = static_cast<std::size_t>(control_s.size()), kinds = playback.size() + 1;
  double* call = data_of(seconds, rounds, pool.size(), "seconds");
  double* host = data_of(host_s, rounds, kinds, "host_s");
  double* control = data_of(control_s, rounds, "control_s");
  const BoundPool::Run running(pool);
  for (std::size_t number = 0; number < unkept + rounds; ++number) {
    without_gil([&] { pool.begin_round(); });
    playback.begin(process_clock(), &pool.rounds());
    const auto& played = finish(playback, forward);
    const Round& round = without_gil([&]() -> const Round& { return pool.end_round(); });
    if (number < unkept) {
      pool.rounds().discard_last();
      continue;
    }
    store(played, host, kinds);
    call = std::copy(round.seconds.begin(), round.seconds.end(), call);
    *control++ = round.control_s;
    host += kinds;
  }
}

void observe(Playback& playback, const py::function& forward, KernelSeconds kernel_s, HostSeconds host_s) {
  double* kernels = data_of(kernel_s, playback.size(), "kernel_s");
  double* host = data_of(host_s, playback.size() + 1, "host_s");
  playback.begin_observing(process_clock());
  store(finish(playback, forward), host, playback.size() + 1);
  store(playback.kernel_s(), kernels, playback.size());
}

PlayedCall played_call(const std::string& name, const std::string& overload, const py::tuple& outputs) {
  const auto op = naming(name, [&] { return find_operator(name, overload); });
  const auto& returns = op.schema().returns();
  std::vector<c10::IValue> values;
  for (std::size_t i = 0; i < std::min(outputs.size(), returns.size()); ++i) {
    values.push_back(naming(name, [&] { return torch::jit::toIValue(outputs[i], returns[i].type()); }));
  }
  values.resize(outputs.size());  // PlayedCall refuses more than the operator returns
  return {op, std::move(values)};
}

}  // namespace

void bind_playback(py::module_& module) {
  py::class_<Playback>(module, "Playback", "Runs a model's Python with its kernels switched off.")
      .def(py::init([](const std::vector<std::tuple<std::string, std::string, py::tuple>>& traced) {
             std::vector<PlayedCall> calls;
             calls.reserve(traced.size());
             for (const auto& [name, overload, outputs] : traced) calls.push_back(played_call(name, overload, outputs));
             return std::make_unique<Playback>(std::move(calls));
           }),
           py::arg("calls"), "From (operator, overload, recorded outputs) of every call, in order.")
      .def("run", &play, py::arg("forward"), py::arg("host_s").noconvert(), py::arg("co_run") = nullptr,
           "Call forward() with the kernels off: fills in the host's seconds before each call, and after the last. "
           "With a pool in co_run, each call makes one visit of the pool's round.")
      .def("rounds", &play_rounds, py::arg("forward"), py::arg("pool"), py::arg("seconds").noconvert(),
           py::arg("host_s").noconvert(), py::arg("control_s").noconvert(), py::arg("unkept") = 0,
           "Rounds of the pool in a row, after so many that are not kept, in each of which forward() makes the visits. "
           "Fills in a row for each kept round: seconds as the pool's end_round() does, host_s as run() does, and the "
           "control workload's.")
      .def("observe", &observe, py::arg("forward"), py::arg("kernel_s").noconvert(), py::arg("host_s").noconvert(),
           "Call forward() with the kernels on: fills in seconds by call, and the host's as run() does.");
}

}  // namespace opclock
