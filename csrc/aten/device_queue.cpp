#include "aten/device_queue.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace opclock {
namespace {

constexpr std::int64_t kHoldSide = 1024;      // of the product that holds a device: long for the little memory it reads
constexpr std::size_t kHoldRuns = 16;         // of it, to know how long it takes
constexpr std::size_t kEmptyIntervals = 128;  // to know what the smallest difference between two is
constexpr double kMillisecond_s = 1e-3;

class EventQueue final : public Queue {
 public:
  explicit EventQueue(c10::Device device)
      : device_(device), stream_(c10::impl::VirtualGuardImpl(device.type()).getStream(device)) {}

  void mark(std::size_t number) override {
    while (events_.size() <= number) events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    events_[number].record(stream_);
  }
  bool passed(std::size_t number) const override { return events_[number].query(); }
  double between_s(std::size_t from, std::size_t to) const override {
    return events_[from].elapsedTime(events_[to]) * kMillisecond_s;
  }
  void wait() override { stream_.synchronize(); }

  void hold(double seconds) override {
    if (!left_.defined()) prepare_hold();
    const auto runs = static_cast<std::size_t>(std::ceil(seconds / hold_s_));
    for (std::size_t run = 0; run < runs; ++run) at::mm_out(product_, left_, right_);
  }

  double resolution_s() override {
    if (resolution_s_ > 0.0) return resolution_s_;
    std::vector<double> intervals_s;
    for (int warm = 0; warm < 2; ++warm) {
      intervals_s.clear();
      hold(kMillisecond_s);
      for (std::size_t i = 0; i <= kEmptyIntervals; ++i) mark(i);
      wait();
      for (std::size_t i = 0; i < kEmptyIntervals; ++i) intervals_s.push_back(between_s(i, i + 1));
    }
    std::sort(intervals_s.begin(), intervals_s.end());
    // Half of the empty intervals lie within this; or the step in which they differ, where all are alike.
    resolution_s_ = intervals_s[kEmptyIntervals * 3 / 4] - intervals_s[kEmptyIntervals / 4];
    double step_s = intervals_s.back();
    for (std::size_t i = 1; i < intervals_s.size(); ++i) {
      const double difference_s = intervals_s[i] - intervals_s[i - 1];
      if (difference_s > 0.0) step_s = std::min(step_s, difference_s);
    }
    resolution_s_ = std::max(resolution_s_, step_s);
    return resolution_s_;
  }

 private:
  void prepare_hold() {
    const c10::InferenceMode inference;
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
    left_ = at::empty({kHoldSide, kHoldSide}, options).normal_();
    right_ = at::empty({kHoldSide, kHoldSide}, options).normal_();
    product_ = at::empty({kHoldSide, kHoldSide}, options);
    hold_s_ = 1.0;  // one run
    for (int warm = 0; warm < 2; ++warm) {
      hold(hold_s_);
      mark(0);
      for (std::size_t run = 0; run < kHoldRuns; ++run) hold(hold_s_);
      mark(1);
      wait();
    }
    hold_s_ = between_s(0, 1) / static_cast<double>(kHoldRuns);
  }

  c10::Device device_;
  c10::Stream stream_;
  std::vector<c10::Event> events_;
  at::Tensor left_, right_, product_;
  double hold_s_ = 0.0;
  double resolution_s_ = 0.0;
};

class SimulatedQueue final : public Queue {
 public:
  explicit SimulatedQueue(Clock& clock) : clock_(clock) {}
  void mark(std::size_t number) override {
    if (marks_.size() <= number) marks_.resize(number + 1);
    marks_[number] = clock_.start();
  }
  // A host that does the device's work itself is never late.
  bool passed(std::size_t /*number*/) const override { return false; }
  double between_s(std::size_t from, std::size_t to) const override {
    return std::max(0.0, clock_.elapsed_s(marks_[from], marks_[to]));
  }
  void wait() override {}
  void hold(double /*seconds*/) override {}
  double resolution_s() override { return clock_.resolution_s(); }

 private:
  Clock& clock_;
  std::vector<std::uint64_t> marks_;
};

}  // namespace

std::unique_ptr<Queue> open_queue(const std::string& device, Clock& clock) {
  if (device == "simulated") return std::make_unique<SimulatedQueue>(clock);
  return std::make_unique<EventQueue>(c10::Device(device));
}

}  // namespace opclock
