// opclock._aten: operator calls and null playback. Links libtorch.
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/python/pybind_utils.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "aten/event_queue.hpp"
#include "aten/playback.hpp"
#include "aten/pool.hpp"
#include "bindings/clock.hpp"
#include "bindings/common.hpp"

namespace py = pybind11;
using namespace opclock;  // NOLINT(google-build-using-namespace): a binding file names nothing else

namespace {

Clock& process_clock() {
  static Clock clock = Clock::choose();
  return clock;
}

// The rest is a C++ backtrace, which does not help a user.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Errors inside become a ValueError that names what the work was for.
template <typename Function>
auto naming(const std::string& what, Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const c10::Error& error) {
    throw std::invalid_argument(what + ": " + first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    throw std::invalid_argument(what + ": " + first_line(error.what()));
  }
}

torch::jit::Stack bind_arguments(const c10::OperatorHandle& op, const py::tuple& args, const py::dict& kwargs) {
  // A plain number where the schema says Tensor is bound as a wrapped number, as PyTorch's own Python API does.
  const torch::jit::ToIValueAllowNumbersAsTensors numbers(true);
  return torch::jit::createStackForSchema(op.schema(), torch::jit::tuple_slice(args),
                                          py::reinterpret_borrow<py::kwargs>(kwargs), std::nullopt);
}

Lane lane_of(const std::string& name) {
  if (name == "host") return Lane::host;
  if (name == "device") return Lane::device;
  if (name == "both") return Lane::both;
  throw std::invalid_argument("there is no lane '" + name + "': host, device or both");
}

// A pool runs without the GIL. Meanwhile neither another thread nor Python that a playback calls may touch it: that is
// checked here. Whatever runs kernels, waits for a device, sleeps or judges all samples goes through run(), which
// releases the GIL; what goes through idle() reads or sets a few numbers.
class BoundPool : public Pool {
 public:
  using Pool::Pool;
  void check_idle() const {
    if (running_) throw std::runtime_error("the pool is running: another thread or a playback uses it");
  }

  class Run {
   public:
    explicit Run(BoundPool& pool) : pool_(pool) {
      pool_.check_idle();
      pool_.running_ = true;
    }
    ~Run() { pool_.running_ = false; }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    BoundPool& pool_;
  };

 private:
  bool running_ = false;  // read and written with the GIL alone
};

// The same function, on an idle pool only.
template <typename Return, typename... Arguments>
auto idle(Return (*function)(Pool&, Arguments...)) {
  return [function](BoundPool& pool, Arguments... arguments) -> Return {
    pool.check_idle();
    return function(pool, arguments...);
  };
}

template <typename Function>
decltype(auto) without_gil(Function&& function) {
  const py::gil_scoped_release release;
  const c10::InferenceMode inference;
  return function();
}

template <typename Function>
auto run(BoundPool& pool, Function&& function) {
  const BoundPool::Run running(pool);
  return without_gil(function);
}

std::unique_ptr<BoundPool> make_pool(std::uint64_t seed, bool shuffled, const std::string& device,
                                     const std::string& lane) {
  const py::gil_scoped_release release;  // calibrating the clock takes tens of milliseconds, opening a device longer
  const Lane chosen = lane_of(lane);
  std::unique_ptr<Queue> queue;
  if (device != "cpu") queue = naming(device, [&] { return open_queue(device, process_clock()); });
  const Order order = shuffled ? Order::shuffled : Order::given;
  return std::make_unique<BoundPool>(process_clock(), seed, order, std::move(queue), chosen);
}

std::size_t add(BoundPool& pool, const std::string& name, const std::string& overload, const py::tuple& args,
                const py::dict& kwargs, std::size_t group, std::vector<at::Tensor> written_before,
                const std::vector<std::pair<at::Tensor, at::Tensor>>& restored, bool launches) {
  pool.check_idle();
  auto call = naming(name, [&] {
    const auto op = find_operator(name, overload);
    return bind_call(op, bind_arguments(op, args, kwargs));
  });
  std::vector<TimedCall::Restored> pairs;
  pairs.reserve(restored.size());
  for (const auto& [argument, first] : restored) pairs.push_back({argument, first});
  return pool.add(name, std::move(call), group, std::move(written_before), std::move(pairs), launches);
}

py::list answer(BoundPool& pool, std::size_t number) {
  const std::string name = pool.name(number);
  auto outputs = run(pool, [&] { return naming(name, [&] { return pool.answer(number); }); });
  py::list list;
  for (auto& output : outputs) list.append(torch::jit::toPyObject(std::move(output)));
  return list;
}

double end_round(BoundPool& pool, CallSeconds seconds) {
  double* data = data_of(seconds, pool.size(), "seconds");
  return run(pool, [&] {
    const Round& round = pool.end_round();
    std::copy(round.seconds.begin(), round.seconds.end(), data);
    return round.control_s;
  });
}

double back_to_back(BoundPool& pool, CallSeconds seconds) {
  double* data = data_of(seconds, pool.size(), "seconds");
  return run(pool, [&] {
    const Round round = pool.back_to_back();
    std::copy(round.seconds.begin(), round.seconds.end(), data);
    return round.control_s;
  });
}

void bind_calls(py::class_<BoundPool>& pool) {
  pool.def(py::init(&make_pool), py::arg("seed"), py::arg("shuffled"), py::arg("device") = "cpu",
           py::arg("lane") = "host",
           "On a device the pool times one lane: host (queueing the calls), device, or both (until it is idle).")
      .def("add", &add, py::arg("operator"), py::arg("overload"), py::arg("args"), py::arg("kwargs"), py::arg("group"),
           py::arg("written_before"), py::arg("restored"), py::arg("launches") = true,
           "Bind one op call and return its number. restored: arguments that it changes, each with a copy of its first "
           "values, or with a tensor in the same memory where it changes shape or strides alone. launches: whether it "
           "gives a device work. Raises ValueError, which names an operator or argument that does not fit.")
      .def("hold_outputs",
           idle(+[](Pool& own, std::size_t number, std::size_t until) { own.hold_outputs(number, until); }),
           py::arg("number"), py::arg("until"), "Keep the outputs of one call until another one begins.")
      .def("feed",
           idle(+[](Pool& own, std::size_t number, std::size_t argument, std::size_t other, std::size_t output) {
             own.feed(number, argument, other, output);
           }),
           py::arg("number"), py::arg("argument"), py::arg("other"), py::arg("output"),
           "Pass an output of another call to one call as a tensor argument, while that output is kept.")
      .def(
          "unusual_feeds",
          [](BoundPool& own) {
            return run(own, [&] { return naming("a fed op call", [&] { return own.unusual_feeds(); }); });
          },
          "Make every call once, in the order added. Returns (number, argument) of what is fed nothing, or values with "
          "NaN, infinity or many subnormal numbers; these are no longer fed.")
      .def("answer", &answer, py::arg("number"), "The outputs of one call, by the path that is timed.");
}

void bind_rounds(py::class_<BoundPool>& pool) {
  pool.def(
          "warm_up",
          [](BoundPool& own, double max_s, bool once) {
            checked_duration_s(max_s);
            return run(own, [&] { return naming("warm-up", [&] { return own.warm_up(max_s, once); }); });
          },
          py::arg("max_s"), py::arg("once") = false,
          "Rounds that are not kept, until they stop getting faster or max_s seconds have passed. once: a visit makes "
          "one call, however short.")
      .def(
          "begin_round", [](BoundPool& own) { run(own, [&] { own.begin_round(); }); },
          "Begin a round that playbacks make the visits of.")
      .def("end_round", &end_round, py::arg("seconds").noconvert(),
           "Make the visits that are left and keep the round: fills in seconds of one call, by number, and returns the "
           "control workload's.")
      .def("discard_last", idle(+[](Pool& own, std::size_t count) { own.rounds().discard_last(count); }),
           py::arg("count") = 1, "Take the last kept rounds back from the stopping rule: something disturbed them.")
      .def("back_to_back", &back_to_back, py::arg("seconds").noconvert(),
           "One round in which every call follows a run of itself: fills in as end_round does. What the "
           "call overwrites is restored between the two.")
      .def(
          "issue", [](BoundPool& own) { run(own, [&] { own.issue(); }); },
          "Make every call once in the order added, untimed, and do not wait for the device.")
      .def("add_earlier", idle(+[](Pool& own, std::size_t group, const Samples& seconds) {
             own.rounds().add_earlier(group, seconds);
           }),
           py::arg("group"), py::arg("seconds"), "Samples of an interrupted run count towards the stopping rule.")
      .def(
          "settled", [](BoundPool& own) { return run(own, [&] { return own.rounds().settled(); }); },
          "Whether every group has been sampled enough.")
      .def("reason",
           idle(+[](Pool& own, std::size_t group) { return std::string(to_string(own.rounds().reason(group))); }),
           py::arg("group"), "Why the group settled: narrow or stagnant; none while it has not.");
}

void bind_facts(py::class_<BoundPool>& pool) {
  pool.def_property_readonly("visits_left", idle(+[](Pool& own) { return own.rounds().visits_left(); }),
                             "Of the round that has begun.")
      .def("calls_per_sample",
           idle(+[](Pool& own, std::size_t number) { return own.rounds().calls_per_sample(number); }),
           py::arg("number"), "How many calls make one sample of this op call.")
      .def_property_readonly("waits", idle(+[](Pool& own) { return own.waits(); }),
                             "By op call: whether the host waits in it for the device.")
      .def_property_readonly("idle_rounds", idle(+[](Pool& own) { return own.idle_rounds(); }),
                             "Kept rounds in which the device was idle because the host was late.")
      .def_property_readonly(
          "device_resolution_s", [](BoundPool& own) { return run(own, [&] { return own.device_resolution_s(); }); },
          "The smallest difference that intervals between events on the device show; 0 on a cpu.")
      .def_property_readonly("clock_faults", idle(+[](Pool& own) { return own.rounds().clock_faults(); }),
                             "Samples taken again because the counter ran backwards.");
}

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

}  // namespace

PYBIND11_MODULE(_aten, module) {
  module.doc() = "opclock's operator calls, bound to PyTorch's dispatcher.";
  bind_clock(module);
  module.def("process_clock", &process_clock, py::return_value_policy::reference,
             py::call_guard<py::gil_scoped_release>(),
             "The clock that pools and playbacks of this process are timed by.");
  py::class_<WarmUp>(module, "WarmUp", "The rounds that were not kept.")
      .def_readonly("rounds", &WarmUp::rounds)
      .def_readonly("seconds", &WarmUp::seconds)
      .def_readonly("plateau", &WarmUp::plateau, "False where the time ran out before rounds stopped getting faster.");
  py::class_<BoundPool> pool(module, "Pool", "Op calls that are timed together, in interleaved rounds.");
  bind_calls(pool);
  bind_rounds(pool);
  bind_facts(pool);
  bind_playback(module);
}
