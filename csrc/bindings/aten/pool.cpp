// Binds pools of op calls.
#include "aten/pool.hpp"

#include <torch/csrc/jit/python/pybind_utils.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aten/event_queue.hpp"
#include "bindings/aten/bound_pool.hpp"
#include "bindings/aten/common.hpp"
#include "bindings/common.hpp"

namespace py = pybind11;

namespace opclock {

namespace {

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

// The same function, on an idle pool only.
template <typename Return, typename... Arguments>
auto idle(Return (*function)(Pool&, Arguments...)) {
  return [function](BoundPool& pool, Arguments... arguments) -> Return {
    pool.check_idle();
    return function(pool, arguments...);
  };
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
      .def("set_calls_per_sample", idle(+[](Pool& own, std::size_t number, std::size_t calls) {
             own.rounds().set_calls_per_sample(number, calls);
           }),
           py::arg("number"), py::arg("calls"),
           "After warm_up: as many calls of this op call make a sample as in an interrupted run.")
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

}  // namespace

void bind_pool(py::module_& module) {
  py::class_<WarmUp>(module, "WarmUp", "The rounds that were not kept.")
      .def_readonly("rounds", &WarmUp::rounds)
      .def_readonly("seconds", &WarmUp::seconds)
      .def_readonly("plateau", &WarmUp::plateau, "False where the time ran out before rounds stopped getting faster.");
  py::class_<BoundPool> pool(module, "Pool", "Op calls that are timed together, in interleaved rounds.");
  bind_calls(pool);
  bind_rounds(pool);
  bind_facts(pool);
}

}  // namespace opclock
