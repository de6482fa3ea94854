#pragma once
// DeviceGraph: work of a device that is recorded once, and then asked for in one call, as often as
// wanted. Where each kernel takes a few microseconds, asking for them one by one takes longer.
//
//   if (DeviceGraph::is_supported(device)) {
//     const auto graph = DeviceGraph::record(device, [&] { y = matmul(a, x) + b; });
//     x.copy_(next);
//     graph.run();  // y is of the new x
//   }

#include <memory>
#include <type_traits>
#include <utility>

#include <ldlm/core/device_memory.hpp>

namespace ldlm {

class DeviceGraph {
 public:
  /// Null: there is nothing to run.
  DeviceGraph() = default;

  /// Whether the device can record work: the host cannot.
  [[nodiscard]] static bool is_supported(Device device) {
    return detail::recorder(device) != nullptr;
  }

  /// Calls work(), whose work for the device is recorded, and not done. It may neither read
  /// elements nor bring any from the host, and other work must not be recorded within it; Errors of
  /// that, and what else work() throws, end the recording. Tensors that are made within keep their
  /// memory for the graph; what comes from outside must outlive it. Indices that are on the device
  /// are not checked: their elements are not known (cross-entropy checks its targets on the host,
  /// and var() reads an element: neither can be recorded). Numbers of the host are those of the
  /// recording each time: seeds of rand and dropout, an optimiser's count of steps.
  template <class Work>
  [[nodiscard]] static DeviceGraph record(Device device, Work&& work) {
    static_assert(std::is_invocable_v<Work>,
                  "what DeviceGraph::record records is called without arguments: work()");
    LDLM_CHECK_DEVICE(is_supported(device), "record", to_string(device), " cannot record work");
    const DeviceRecorder& recorder = *detail::recorder(device);
    recorder.begin(device);
    try {
      if constexpr (std::is_invocable_v<Work>) {  // else the message above is all there is
        std::forward<Work>(work)();
      }
    } catch (...) {
      try {
        recorder.forget(device, recorder.end(device));
      } catch (const Error&) {  // the first error says more
      }
      throw;
    }
    DeviceGraph graph;
    graph.recorded_ = std::shared_ptr<void>(
        recorder.end(device), [&recorder, device](void* r) { recorder.forget(device, r); });
    graph.device_ = device;
    return graph;
  }

  /// Asks the device to do it, after all work before and before all work to come.
  void run() const {
    LDLM_CHECK_STATE(recorded_ != nullptr, "run", "nothing was recorded");
    detail::recorder(device_)->run(device_, recorded_.get());
  }

  explicit operator bool() const noexcept { return recorded_ != nullptr; }

 private:
  std::shared_ptr<void> recorded_;
  Device device_{};
};

}  // namespace ldlm
