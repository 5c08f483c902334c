#include "aten/event_queue.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "device/simulated_queue.hpp"

namespace opclock {
namespace {

constexpr std::int64_t kBlockSide = 1024;     // of the blocking matrix product: much time for little memory
constexpr std::size_t kBlockRuns = 16;        // of it, to measure how long one takes
constexpr std::size_t kEmptyIntervals = 128;  // between events, to measure the resolution
constexpr double kMillisecond_s = 1e-3;
constexpr double kMinProduct_s = 1e-6;  // no device is faster; events that read 0 must not divide by it

// Every call into the backend is made with the queue's own device as the current one: the process may use another.
class EventQueue final : public Queue {
 public:
  explicit EventQueue(c10::Device device)
      : device_(device), stream_(c10::impl::VirtualGuardImpl(device.type()).getStream(device)) {}

  void record(std::size_t event) override {
    const c10::DeviceGuard current(device_);
    while (events_.size() <= event) events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    events_[event].record(stream_);
  }
  bool reached(std::size_t event) const override {
    const c10::DeviceGuard current(device_);
    return events_.at(event).query();
  }
  double between_s(std::size_t from, std::size_t to) const override {
    const c10::DeviceGuard current(device_);
    return events_.at(from).elapsedTime(events_.at(to)) * kMillisecond_s;
  }
  void wait() override {
    const c10::DeviceGuard current(device_);
    stream_.synchronize();
  }

  void block(double seconds) override {
    const c10::DeviceGuard current(device_);
    if (!left_.defined()) prepare_block();
    const auto runs = static_cast<std::size_t>(std::ceil(seconds / block_s_));
    for (std::size_t run = 0; run < runs; ++run) at::mm_out(product_, left_, right_);
  }

  double resolution_s() override {
    if (resolution_s_ == 0.0) resolution_s_ = measure_resolution_s();
    return resolution_s_;
  }

 private:
  double measure_resolution_s() {
    std::vector<double> intervals_s;
    for (int warm = 0; warm < 2; ++warm) {
      intervals_s.clear();
      block(kMillisecond_s);
      for (std::size_t i = 0; i <= kEmptyIntervals; ++i) record(i);
      wait();
      for (std::size_t i = 0; i < kEmptyIntervals; ++i) intervals_s.push_back(between_s(i, i + 1));
    }
    std::sort(intervals_s.begin(), intervals_s.end());
    // The interquartile range; or the smallest step between intervals, where most of them are equal.
    const double range_s = intervals_s[kEmptyIntervals * 3 / 4] - intervals_s[kEmptyIntervals / 4];
    double step_s = intervals_s.back();
    for (std::size_t i = 1; i < intervals_s.size(); ++i) {
      const double difference_s = intervals_s[i] - intervals_s[i - 1];
      if (difference_s > 0.0) step_s = std::min(step_s, difference_s);
    }
    return std::max(range_s, step_s);
  }

  void prepare_block() {
    const c10::InferenceMode inference;
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
    left_ = at::empty({kBlockSide, kBlockSide}, options).normal_();
    right_ = at::empty({kBlockSide, kBlockSide}, options).normal_();
    product_ = at::empty({kBlockSide, kBlockSide}, options);
    block_s_ = 1.0;  // until it is measured: block(1.0) is then one run
    for (int warm = 0; warm < 2; ++warm) {
      block(block_s_);
      record(0);
      for (std::size_t run = 0; run < kBlockRuns; ++run) block(block_s_);
      record(1);
      wait();
    }
    block_s_ = std::max(kMinProduct_s, between_s(0, 1) / static_cast<double>(kBlockRuns));
  }

  c10::Device device_;
  c10::Stream stream_;
  std::vector<c10::Event> events_;
  at::Tensor left_, right_, product_;
  double block_s_ = 0.0;
  double resolution_s_ = 0.0;
};

}  // namespace

std::unique_ptr<Queue> open_queue(const std::string& device, Clock& clock) {
  if (device == "simulated") return std::make_unique<SimulatedQueue>(clock);
  return std::make_unique<EventQueue>(c10::Device(device));
}

}  // namespace opclock
