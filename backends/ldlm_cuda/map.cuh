#pragma once
// map: out = f(inputs...), element by element, of views of one shape. Where all are contiguous, or
// one element for all, a thread reads and writes up to 16 bytes of each at once.

#include <cstdint>
#include <type_traits>
#include <utility>

#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T of[N];
};
/// Elements of the widest of these types in 16 bytes.
template <class... T>
inline constexpr int vector_width = 16 / static_cast<int>(std::max({sizeof(T)...}));

template <class F, class Out, class... In>
struct Map {
  static constexpr int inputs = sizeof...(In);
  static constexpr int width = vector_width<Out, In...>;

  Walk<inputs + 1> walk;  // inputs, then the output
  F f;
  const void* in[inputs > 0 ? inputs : 1];
  bool moves[inputs > 0 ? inputs : 1];  // of a vector's inputs those that are not one element
  Out* out;
  bool takes_vectors;

  template <std::size_t... I>
  __device__ void run(std::index_sequence<I...>) const {
    const auto one = [&](const std::int64_t(&at)[inputs + 1]) {
      out[at[inputs]] = f(static_cast<const In*>(in[I])[at[I]]...);
    };
    if (!takes_vectors) {
      for (std::int64_t i = first_index(); i < walk.count; i += index_step()) {
        std::int64_t at[inputs + 1];
        locate(walk, i, at);
        one(at);
      }
      return;
    }
    const auto whole = [&](std::int64_t i, const Vector<In, width>&... x) {
      Vector<Out, width> y;
      LDLM_UNROLL
      for (int e = 0; e < width; ++e) {
        y.of[e] = f(x.of[e]...);
      }
      reinterpret_cast<Vector<Out, width>*>(out)[i] = y;
    };
    const std::int64_t vectors = walk.count / width;
    for (std::int64_t i = first_index(); i < vectors; i += index_step()) {
      whole(i, read<In>(in[I], i, moves[I])...);
    }
    const std::int64_t i = vectors * width + first_index();
    if (i < walk.count) {
      const std::int64_t at[inputs + 1] = {(moves[I] ? i : 0)..., i};
      one(at);
    }
  }

  template <class T>
  __device__ static Vector<T, width> read(const void* data, std::int64_t i, bool moves) {
    if (moves) {
      return static_cast<const Vector<T, width>*>(data)[i];
    }
    Vector<T, width> x;
    for (int e = 0; e < width; ++e) {
      x.of[e] = *static_cast<const T*>(data);
    }
    return x;
  }
};

template <class F, class Out, class... In>
__global__ void map_kernel(const __grid_constant__ Map<F, Out, In...> map) {
  map.run(std::index_sequence_for<In...>{});
}

template <class F, class Out, class... In>
void run_map(const char* op, const F& f, const View<Out>& out, const View<const In>&... in) {
  Map<F, Out, In...> map{make_walk(in..., out), f, {in.data...}, {}, out.data, true};
  const Walk<sizeof...(In) + 1>& walk = map.walk;
  if (walk.count == 0) {
    return;
  }
  constexpr int width = decltype(map)::width;
  const auto aligned = [](const void* data, std::size_t bytes) {
    return reinterpret_cast<std::uintptr_t>(data) % bytes == 0;
  };
  bool fits = walk.rank == 1 && walk.stride[sizeof...(In)][0] == 1 &&
              aligned(out.data, sizeof(Out) * width);
  int k = 0;
  [[maybe_unused]] const auto look = [&](const void* data, std::size_t bytes) {
    const std::int64_t stride = walk.rank == 1 ? walk.stride[k][0] : 0;
    map.moves[k++] = stride == 1;
    fits = fits && (stride == 0 || (stride == 1 && aligned(data, bytes)));
  };
  (look(in.data, sizeof(In) * width), ...);
  map.takes_vectors = fits;
  launch(op, map_kernel<F, Out, In...>,
         grid_over(fits ? (walk.count + width - 1) / width : walk.count), map);
}

}  // namespace ldlm::cuda_backend
