// CUDA graphs. at::cuda::CUDAGraph needs CUDA's own headers: without them, and with a libtorch without CUDA,
// the same functions say that there are no graphs. CMake tries out which of the two this build is
// (LONGFORMER_CUDA_GRAPHS).
#include "internal.h"

#if LONGFORMER_CUDA_GRAPHS
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <memory>
#include <mutex>

namespace lf_shim {
namespace {

struct Graph {
  c10::DeviceIndex device;
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  std::unique_ptr<c10::cuda::CUDAStream> callers;  // the caller's stream, while the thread is away from it
  explicit Graph(c10::DeviceIndex d) : device(d), graph(std::make_unique<at::cuda::CUDAGraph>()) {}
};

Graph& checked(lf_shim_graph graph) {
  return *reinterpret_cast<Graph*>(required(graph, "graph"));
}

c10::Device cuda(c10::DeviceIndex index) {
  return {c10::DeviceType::CUDA, index};
}

// The default stream cannot be recorded. One other for each device, so that cuBLAS takes one workspace more
// and no further.
c10::cuda::CUDAStream recording_stream(c10::DeviceIndex device) {
  static std::mutex mutex;
  static auto& streams = *new std::map<c10::DeviceIndex, c10::cuda::CUDAStream>();
  std::lock_guard<std::mutex> lock(mutex);
  const auto found = streams.find(device);
  if (found != streams.end()) return found->second;
  return streams.emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device))
      .first->second;
}

}  // namespace
}  // namespace lf_shim

using namespace lf_shim;

lf_shim_status lf_shim_graph_support(const char** reason) {
  return guarded([&] {
    *required(reason, "reason") = device_count(static_cast<int64_t>(c10::DeviceType::CUDA)) > 0
                                      ? nullptr
                                      : "there is no CUDA device on this machine";
  });
}

lf_shim_status lf_shim_graph_create(int32_t device_index, lf_shim_graph* graph) {
  return guarded([&] {
    required(graph, "graph");
    const c10::Device device =
        checked_device(static_cast<int64_t>(c10::DeviceType::CUDA), device_index < 0 ? 0 : device_index);
    const c10::DeviceGuard guard(device);
    *graph = reinterpret_cast<lf_shim_graph>(new Graph(device.index()));
  });
}

lf_shim_status lf_shim_graph_enter(lf_shim_graph graph) {
  return guarded([&] {
    Graph& g = checked(graph);
    if (g.callers) throw Error(LF_SHIM_ARGUMENT, "the thread is on the recording stream already");
    const c10::cuda::CUDAStream callers = c10::cuda::getCurrentCUDAStream(g.device);
    callers.synchronize();
    g.callers = std::make_unique<c10::cuda::CUDAStream>(callers);
    c10::cuda::setCurrentCUDAStream(recording_stream(g.device));
  });
}

lf_shim_status lf_shim_graph_leave(lf_shim_graph graph) {
  return guarded([&] {
    Graph& g = checked(graph);
    if (!g.callers) throw Error(LF_SHIM_ARGUMENT, "the thread is not on the recording stream");
    // Back whatever the recording stream has to say.
    c10::cuda::setCurrentCUDAStream(*g.callers);
    g.callers.reset();
    recording_stream(g.device).synchronize();
  });
}

lf_shim_status lf_shim_graph_begin(lf_shim_graph graph) {
  return guarded([&] {
    Graph& g = checked(graph);
    if (!g.callers) throw Error(LF_SHIM_ARGUMENT, "a graph is recorded between enter and leave");
    const c10::DeviceGuard guard(cuda(g.device));
    // Other threads may use the device meanwhile.
    g.graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  });
}

lf_shim_status lf_shim_graph_end(lf_shim_graph graph) {
  return guarded([&] {
    Graph& g = checked(graph);
    const c10::DeviceGuard guard(cuda(g.device));
    g.graph->capture_end();
  });
}

lf_shim_status lf_shim_graph_replay(lf_shim_graph graph) {
  return guarded([&] {
    Graph& g = checked(graph);
    const c10::DeviceGuard guard(cuda(g.device));
    g.graph->replay();
  });
}

lf_shim_status lf_shim_graph_free(lf_shim_graph graph) {
  return guarded([&] { delete reinterpret_cast<Graph*>(graph); });
}

#else

using namespace lf_shim;

namespace {

constexpr const char* why_not =
    "the native libraries were built without CUDA graphs: they need a libtorch with CUDA and CUDA's headers";

lf_shim_status not_available() {
  return guarded([] { throw Error(LF_SHIM_DEVICE, why_not); });
}

}  // namespace

lf_shim_status lf_shim_graph_support(const char** reason) {
  return guarded([&] { *required(reason, "reason") = why_not; });
}

lf_shim_status lf_shim_graph_create(int32_t, lf_shim_graph*) {
  return not_available();
}
lf_shim_status lf_shim_graph_enter(lf_shim_graph) {
  return not_available();
}
lf_shim_status lf_shim_graph_leave(lf_shim_graph) {
  return not_available();
}
lf_shim_status lf_shim_graph_begin(lf_shim_graph) {
  return not_available();
}
lf_shim_status lf_shim_graph_end(lf_shim_graph) {
  return not_available();
}
lf_shim_status lf_shim_graph_replay(lf_shim_graph) {
  return not_available();
}
lf_shim_status lf_shim_graph_free(lf_shim_graph) {
  return LF_SHIM_OK;
}

#endif
