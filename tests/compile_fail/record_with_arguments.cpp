// What a graph records is called without arguments.
// expect: what DeviceGraph::record records is called without arguments

#include <ldlm/core/device_graph.hpp>

ldlm::DeviceGraph recorded(ldlm::Device device) {
#ifdef LDLM_MUST_FAIL
  return ldlm::DeviceGraph::record(device, [](int) {});
#else
  return ldlm::DeviceGraph::record(device, [] {});
#endif
}
