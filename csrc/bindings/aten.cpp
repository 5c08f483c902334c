// opclock._aten: operator calls and null playback. Links libtorch.
#include <c10/core/InferenceMode.h>
#include <pybind11/numpy.h>
#include <torch/csrc/jit/python/pybind_utils.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "aten/event_queue.hpp"
#include "aten/playback.hpp"
#include "aten/timed_call.hpp"
#include "device/queued_rounds.hpp"
#include "sampling/rounds.hpp"

namespace py = pybind11;
using namespace opclock;  // NOLINT(google-build-using-namespace): a binding file names nothing else

namespace {

Clock& process_clock() {
  static Clock clock = Clock::choose();
  return clock;
}

// The first line: what follows it is a C++ backtrace that says nothing to a user.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

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

// The op calls that are timed together, and the rounds over them.
class Pool {
 public:
  Pool(std::uint64_t seed, bool shuffled, const std::string& device, const std::string& lane)
      : seed_(seed), order_(shuffled ? Order::shuffled : Order::given), lane_(lane_of(lane)) {
    if (device != "cpu") queue_ = naming(device, [&] { return open_queue(device, process_clock()); });
    if (!queue_ && lane_ != Lane::host) throw std::invalid_argument("a cpu has one lane only, the host's");
  }

  std::size_t add(const std::string& name, const std::string& overload, const py::tuple& args, const py::dict& kwargs,
                  std::size_t group, std::vector<at::Tensor> written_before,
                  const std::vector<std::pair<at::Tensor, at::Tensor>>& restored, bool launches) {
    if (rounds_) throw std::invalid_argument("the pool is already warm: add every op call before warm_up()");
    const auto op = naming(name, [&] { return find_operator(name, overload); });
    auto stack = naming(name, [&] { return bind_arguments(op, args, kwargs); });
    std::vector<TimedCall::Restored> pairs;
    for (const auto& [argument, pristine] : restored) pairs.push_back({argument, pristine});
    auto call = naming(name, [&] { return bind_call(op, stack); });
    calls_.push_back(std::make_unique<TimedCall>(std::move(call), std::move(written_before), std::move(pairs)));
    if (queue_) calls_.back()->put_on(queue_.get(), lane_);
    launches_.push_back(launches);
    names_.push_back(name);
    groups_.push_back(group);
    return calls_.size() - 1;
  }

  py::list answer(std::size_t number) {
    auto outputs = naming(names_.at(number), [&] {
      const py::gil_scoped_release release;
      const c10::InferenceMode inference;
      return calls_[number]->answer();
    });
    py::list list;
    for (auto& output : outputs) list.append(torch::jit::toPyObject(std::move(output)));
    return list;
  }

  WarmUp warm_up(double most_s) {
    std::vector<Task*> tasks;
    for (auto& call : calls_) tasks.push_back(call.get());
    if (lane_ == Lane::device) {
      auto queued =
          std::make_unique<QueuedRounds>(*queue_, process_clock(), std::move(tasks), groups_, launches_, order_, seed_);
      queued_ = queued.get();
      rounds_ = std::move(queued);
    } else {
      rounds_ = std::make_unique<Rounds>(process_clock(), std::move(tasks), groups_, order_, seed_);
    }
    return naming("warm-up", [&] {
      settle();
      const WarmUp done = rounds_->warm_up(most_s);
      settle();
      return done;
    });
  }

  void begin_round() {
    settle();
    rounds().begin();
  }

  void hold_outputs(std::size_t number, std::size_t until) {
    if (until >= calls_.size() || number >= calls_.size()) {
      throw std::invalid_argument("the pool has no op call " + std::to_string(std::max(number, until)));
    }
    calls_[until]->release_first(calls_[number].get());
  }

  void feed(std::size_t number, std::size_t argument, std::size_t other, std::size_t output) {
    calls_.at(number)->feed(argument, calls_.at(other).get(), output);
  }

  // Nothing outlives the round, as nothing of an inference outlives it where its result is dropped.
  const Round& end_round() {
    const Round& round = rounds().end();
    if (queue_) queue_->wait();
    for (auto& call : calls_) call->release();
    return round;
  }

  Rounds& rounds() {
    if (!rounds_) throw std::invalid_argument("the pool is cold: call warm_up() first");
    return *rounds_;
  }

  void issue() {
    for (auto& call : calls_) call->run();
  }

  // By op call; false everywhere but in the device's lane.
  std::vector<bool> waits() const { return queued_ != nullptr ? queued_->waits() : std::vector<bool>(calls_.size()); }
  std::size_t idle_rounds() const { return queued_ != nullptr ? queued_->idle_rounds() : 0; }
  double device_resolution_s() { return queue_ ? queue_->resolution_s() : 0.0; }

 private:
  // A device idle, and everything in memory as it was first: its work of preparing stands in the same line.
  void settle() {
    if (!queue_) return;
    for (auto& call : calls_) {
      call->release();
      call->restore();
    }
    queue_->wait();
  }

  std::uint64_t seed_;
  Order order_;
  Lane lane_;
  std::unique_ptr<Queue> queue_;  // of the device; none on a cpu
  std::vector<std::unique_ptr<TimedCall>> calls_;
  std::vector<std::string> names_;
  std::vector<std::size_t> groups_;
  std::vector<bool> launches_;
  std::unique_ptr<Rounds> rounds_;
  QueuedRounds* queued_ = nullptr;  // the rounds, where they are in a device's lane
};

// Results go into arrays that the caller made before it began: a list made here between two inferences would take its
// memory from the heap that the model's page faults depend on.
using Seconds = py::array_t<double, py::array::c_style>;

void store(const std::vector<double>& from, Seconds& to) {
  if (to.ndim() != 1 || static_cast<std::size_t>(to.size()) != from.size()) {
    throw std::invalid_argument("an array of " + std::to_string(from.size()) + " float64 is needed, this one has " +
                                std::to_string(to.size()));
  }
  std::copy(from.begin(), from.end(), to.mutable_data());
}

double store_round(const Round& round, Seconds& seconds) {
  store(round.seconds, seconds);
  return round.control_s;
}

template <typename Function>
auto timed(Function&& function) {
  const py::gil_scoped_release release;
  const c10::InferenceMode inference;
  return function();
}

void bind_pool(py::module_& module) {
  py::class_<WarmUp>(module, "WarmUp", "The rounds that were not kept.")
      .def_readonly("rounds", &WarmUp::rounds)
      .def_readonly("seconds", &WarmUp::seconds)
      .def_readonly("plateau", &WarmUp::plateau, "False where the time ran out before rounds stopped getting faster.");
  py::class_<Pool>(module, "Pool", "Op calls that are timed together, in interleaved rounds.")
      .def(py::init<std::uint64_t, bool, const std::string&, const std::string&>(), py::arg("seed"),
           py::arg("shuffled"), py::arg("device") = "cpu", py::arg("lane") = "host",
           "A device's pool takes the time of one lane: host (handing calls over), device, or both (until it is idle).")
      .def("add", &Pool::add, py::arg("operator"), py::arg("overload"), py::arg("args"), py::arg("kwargs"),
           py::arg("group"), py::arg("written_before"), py::arg("restored"), py::arg("launches") = true,
           "Bind one op call and return its number; launches says whether it gives a device work. ValueError names an "
           "operator or argument that does not fit.")
      .def("hold_outputs", &Pool::hold_outputs, py::arg("number"), py::arg("until"),
           "Keep the outputs of one call until another one begins, instead of freeing them at once.")
      .def("feed", &Pool::feed, py::arg("number"), py::arg("argument"), py::arg("other"), py::arg("output"),
           "Hand one call, as a tensor argument, what another one returned, while that is held.")
      .def("answer", &Pool::answer, py::arg("number"), "The outputs of one call, through the path that is timed.")
      .def(
          "warm_up", [](Pool& pool, double most_s) { return timed([&] { return pool.warm_up(most_s); }); },
          py::arg("most_s"), "Rounds that are not kept, until they stop getting faster or the time is up.")
      .def(
          "begin_round",
          [](Pool& pool) {
            const c10::InferenceMode inference;  // the first call's inputs are rewritten here
            pool.begin_round();
          },
          "Begin a round that playbacks make the visits of.")
      .def_property_readonly("visits_left", [](Pool& pool) { return pool.rounds().visits_left(); })
      .def(
          "end_round",
          [](Pool& pool, Seconds seconds) {
            return store_round(timed([&]() -> const Round& { return pool.end_round(); }), seconds);
          },
          py::arg("seconds").noconvert(),
          "Make the visits that are left and keep the round: fills in seconds of one call, by number, and returns the "
          "anchor's.")
      .def(
          "back_to_back",
          [](Pool& pool, Seconds seconds) {
            return store_round(timed([&] { return pool.rounds().back_to_back(); }), seconds);
          },
          py::arg("seconds").noconvert(),
          "One round in which every call directly follows itself: fills in as end_round does.")
      .def(
          "add_earlier",
          [](Pool& pool, std::size_t group, const std::vector<double>& seconds) {
            pool.rounds().add_earlier(group, seconds);
          },
          py::arg("group"), py::arg("seconds"), "Samples of an interrupted run count towards the stopping rule.")
      .def(
          "settled", [](Pool& pool) { return pool.rounds().settled(); }, "Whether every group has been sampled enough.")
      .def(
          "reason", [](Pool& pool, std::size_t group) { return std::string(to_string(pool.rounds().reason(group))); },
          py::arg("group"), "Why the group settled: narrow or stagnant; none while it has not.")
      .def(
          "calls_per_sample", [](Pool& pool, std::size_t number) { return pool.rounds().calls_per_sample(number); },
          py::arg("number"))
      .def_property_readonly("waits", &Pool::waits, "By op call: whether the host waits in it for the device.")
      .def_property_readonly("starved", &Pool::idle_rounds, "Kept rounds in which the device waited for the host.")
      .def_property_readonly(
          "device_resolution_s", [](Pool& pool) { return timed([&] { return pool.device_resolution_s(); }); },
          "The smallest difference that intervals between marks on the device show; 0 on a cpu.")
      .def(
          "issue", [](Pool& pool) { timed([&] { pool.issue(); }); },
          "Make every call once in the order added, untimed, and do not wait for the device.")
      .def_property_readonly(
          "clock_faults", [](Pool& pool) { return pool.rounds().clock_faults(); },
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

void play(Playback& playback, const py::function& forward, Seconds host_s, Pool* company) {
  playback.begin(process_clock(), company == nullptr ? nullptr : &company->rounds());
  store(finish(playback, forward), host_s);
}

void observe(Playback& playback, const py::function& forward, Seconds kernel_s, Seconds host_s) {
  playback.begin_observing(process_clock());
  store(finish(playback, forward), host_s);
  store(playback.kernel_s(), kernel_s);
}

void bind_playback(py::module_& module) {
  py::class_<Playback>(module, "Playback", "Runs a model's Python with its kernels switched off.")
      .def(py::init([](const std::vector<std::tuple<std::string, std::string, py::tuple>>& traced) {
             std::vector<PlayedCall> calls;
             for (const auto& [name, overload, outputs] : traced) {
               const auto op = naming(name, [&] { return find_operator(name, overload); });
               const auto& returns = op.schema().returns();
               std::vector<c10::IValue> values;
               for (std::size_t i = 0; i < outputs.size() && i < returns.size(); ++i) {
                 values.push_back(torch::jit::toIValue(outputs[i], returns[i].type()));
               }
               calls.emplace_back(op, std::move(values));
             }
             return std::make_unique<Playback>(std::move(calls));
           }),
           py::arg("calls"), "From (operator, overload, recorded outputs) of every call, in order.")
      .def("run", &play, py::arg("forward"), py::arg("host_s").noconvert(), py::arg("company") = nullptr,
           "Call forward() with the kernels off: fills in the host's seconds before each call, and after the last. "
           "With a pool for company, each call makes one visit of the pool's round.")
      .def("observe", &observe, py::arg("forward"), py::arg("kernel_s").noconvert(), py::arg("host_s").noconvert(),
           "Call forward() with the kernels on, for real: fills in seconds by call, and the host's as run() does.");
}

}  // namespace

PYBIND11_MODULE(_aten, module) {
  module.doc() = "opclock's operator calls, bound to PyTorch's dispatcher.";
  bind_pool(module);
  bind_playback(module);
}
