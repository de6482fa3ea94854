// Indexing. Indices are already checked against the extents. Sums into one place are in the order
// of the index.

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/math.cuh>
#include <ldlm_cuda/sort.cuh>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

namespace {

/// Layout of the rows, positions of the first axis.
Layout row_of(const Layout& layout) {
  Layout row;
  for (int i = 1; i < layout.rank(); ++i) {
    row.strides[static_cast<std::size_t>(row.rank())] = layout.stride(i);
    row.shape.push_back(layout.shape[i]);
  }
  return row;
}

/// Rows of two operands, one of which is chosen by id. Axes of a row are the walk's.
struct RowWalk {
  Walk<2> row;
  std::int64_t step[2];  // between rows
  const std::int64_t* ids;
  std::int64_t id_step, count;
};
template <class A, class B>
RowWalk make_row_walk(const View<A>& a, const View<B>& b, const View<const std::int64_t>& ids) {
  return {make_walk(View<A>(a.data, row_of(a.layout)), View<B>(b.data, row_of(b.layout))),
          {a.stride(0), b.stride(0)},
          ids.data,
          ids.stride(0),
          ids.size(0)};
}

/// Row i of `out` is the row of `in` that id i names, or with `scatters` the row of `out` that id i
/// names is row i of `in`.
template <class T>
__global__ void move_rows_kernel(const __grid_constant__ RowWalk walk, bool scatters, const T* in,
                                 T* out) {
  const std::int64_t count = walk.count * walk.row.count;
  for (std::int64_t i = first_index(); i < count; i += index_step()) {
    const std::int64_t row = i / walk.row.count;
    std::int64_t at[2];
    locate(walk.row, i - row * walk.row.count, at);
    const std::int64_t id = walk.ids[row * walk.id_step];
    out[(scatters ? id : row) * walk.step[1] + at[1]] =
        in[(scatters ? row : id) * walk.step[0] + at[0]];
  }
}

/// A block an id, over the rows that have it, in their order; `numbers` as sort_numbers makes them.
template <class T>
__global__ void scatter_add_rows_kernel(const __grid_constant__ RowWalk walk, const int* numbers,
                                        const T* in, T* out) {
  const auto id_of = [&](std::int64_t place) { return walk.ids[numbers[place] * walk.id_step]; };
  for (std::int64_t first = blockIdx.x; first < walk.count; first += gridDim.x) {
    const std::int64_t id = id_of(first);
    if (first > 0 && id_of(first - 1) == id) {
      continue;
    }
    for (std::int64_t c = threadIdx.x; c < walk.row.count; c += blockDim.x) {
      std::int64_t at[2];
      locate(walk.row, c, at);
      T* const to = out + id * walk.step[1] + at[1];
      ComputeType<T> total = widened(*to);
      for (std::int64_t i = first; i < walk.count && id_of(i) == id; ++i) {
        total = plus(total, widened(in[numbers[i] * walk.step[0] + at[0]]));
      }
      *to = rounded<T>(total);
    }
  }
}

template <class T>
struct GatherElement {
  const T* in;
  std::int64_t step;
  const std::int64_t* index;
  T* out;
  __device__ void operator()(const std::int64_t (&at)[3]) const {
    out[at[2]] = in[at[0] + index[at[1]] * step];
  }
};

/// A thread a line along the axis.
template <class T>
struct ScatterAddLine {
  std::int64_t extent;
  const T* in;
  std::int64_t in_step;
  const std::int64_t* index;
  std::int64_t index_step;
  ComputeType<T>* out;
  std::int64_t out_step;
  __device__ void operator()(const std::int64_t (&at)[3]) const {
    for (std::int64_t i = 0; i < extent; ++i) {
      ComputeType<T>& o = out[at[2] + index[at[1] + i * index_step] * out_step];
      o = plus(o, widened(in[at[0] + i * in_step]));
    }
  }
};

/// The view without movement along `axis`, or without that axis.
template <class T>
View<T> pinned(View<T> view, int axis) {
  view.layout.strides[static_cast<std::size_t>(axis)] = 0;
  return view;
}
template <class T>
View<T> line_starts(View<T> view, int axis) {
  view.layout.strides[static_cast<std::size_t>(axis)] = 0;
  view.layout.shape[axis] = 1;
  return view;
}

}  // namespace

template <class T>
void gather_rows(View<const T> table, View<const std::int64_t> ids, View<T> out) {
  const RowWalk walk = make_row_walk(table, out, ids);
  if (out.numel() > 0) {
    launch("gather_rows", move_rows_kernel<T>, grid_over(out.numel()), walk, false, table.data,
           out.data);
  }
}
template <class T>
void scatter_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  const RowWalk walk = make_row_walk(in, out, ids);
  if (in.numel() > 0) {
    launch("scatter_rows", move_rows_kernel<T>, grid_over(in.numel()), walk, true, in.data,
           out.data);
  }
}
template <class T>
void scatter_add_rows(View<const T> in, View<const std::int64_t> ids, View<T> out) {
  const RowWalk walk = make_row_walk(in, out, ids);
  if (in.numel() > 0) {
    const auto bytes = static_cast<std::size_t>(walk.count) * sizeof(int);
    const Scratch numbers(bytes);
    const Scratch spare(bytes);
    sort_numbers(walk.ids, walk.id_step, walk.count, out.size(0), numbers.as<int>(),
                 spare.as<int>());
    const std::int64_t blocks =
        std::min<std::int64_t>(walk.count, std::int64_t{64} * multiprocessors());
    launch("scatter_add_rows", scatter_add_rows_kernel<T>,
           Grid{dim3(static_cast<unsigned>(blocks)), dim3(usual_threads)}, walk, numbers.as<int>(),
           in.data, out.data);
  }
}
template <class T>
void gather(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) {
  run_walk("gather", GatherElement<T>{in.data, in.stride(axis), index.data, out.data},
           pinned(in, axis), index, out);
}
template <class T>
void scatter_add(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) {
  const auto add = [&](const View<ComputeType<T>>& sums) {
    run_walk("scatter_add",
             ScatterAddLine<T>{in.size(axis), in.data, in.stride(axis), index.data,
                               index.stride(axis), sums.data, sums.stride(axis)},
             line_starts(in, axis), line_starts(index, axis), line_starts(sums, axis));
  };
  if constexpr (std::is_same_v<T, bf16>) {  // sums of floats, which are rounded once
    const Scratch memory(static_cast<std::size_t>(out.numel()) * sizeof(float));
    const View<float> sums(memory.as<float>(), Layout(out.shape()));
    cast<float>(DType::bf16, View<const void>(out.data, out.layout), sums);
    add(sums);
    cast<bf16>(DType::f32, View<const void>(sums.data, sums.layout), out);
  } else {
    add(out);
  }
}

#define LDLM_INSTANTIATE(T)                                                    \
  template void gather_rows(View<const T>, View<const std::int64_t>, View<T>); \
  template void scatter_rows(View<const T>, View<const std::int64_t>, View<T>);
LDLM_ALL_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T)                                                         \
  template void scatter_add_rows(View<const T>, View<const std::int64_t>, View<T>); \
  template void gather(View<const T>, int, View<const std::int64_t>, View<T>);      \
  template void scatter_add(View<const T>, int, View<const std::int64_t>, View<T>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
