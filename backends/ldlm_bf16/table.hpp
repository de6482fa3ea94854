#pragma once
// The kernels of bf16 in host memory, by those of float. `Tables` says whose:
//
//   of_float(), of_bf16()                  the tables, at least with their cast
//   parallel_for(begin, end, grain, f)     f(lo, hi) over sub-ranges
//
// What works element by element, or row by row, takes parts that stay in a cache, so that memory is
// read and written as bf16 alone.

#include <cstring>
#include <unordered_map>
#include <vector>

#include <ldlm_bf16/products.hpp>
#include <ldlm_bf16/widen.hpp>

namespace ldlm::bf16_backend {

template <class Tables>
struct Kernels {
  using In = View<const bf16>;
  using Out = View<bf16>;
  using Floats = View<float>;
  using Table = KernelTable<float>;

  /// Parts of single elements, and of rows.
  template <class F>
  static void elements(const Shape& shape, const F& f) {
    for_parts<Tables>(shape, 0, f);
  }
  template <class F>
  static void rows(const Shape& shape, const F& f) {
    for_parts<Tables>(shape, 1, f);
  }

  static void unary(UnaryOp op, In x, Out y, float a, float b) {
    elements(y.shape(), [&](const Part& part) {
      run<Tables>(&Table::unary, op, part.of(x), part.of(y), a, b);
    });
  }
  static void unary_backward(UnaryOp op, In saved, In dy, Out dx, float a, float b) {
    elements(dx.shape(), [&](const Part& part) {
      run<Tables>(&Table::unary_backward, op, part.of(saved), part.of(dy), part.of(dx), a, b);
    });
  }
  static void binary(BinaryOp op, In a, In b, Out out) {
    elements(out.shape(), [&](const Part& part) {
      run<Tables>(&Table::binary, op, part.of(a), part.of(b), part.of(out));
    });
  }
  static void compare(CompareOp op, In a, In b, View<bool> out) {
    elements(out.shape(), [&](const Part& part) {
      run<Tables>(&Table::compare, op, part.of(a), part.of(b), part.of(out));
    });
  }
  static void where(View<const bool> condition, In a, In b, Out out) {
    elements(out.shape(), [&](const Part& part) {
      run<Tables>(&Table::where, part.of(condition), part.of(a), part.of(b), part.of(out));
    });
  }
  static void axpy(float a, In x, Out y) {
    elements(y.shape(), [&](const Part& part) {
      run<Tables>(&Table::axpy, a, part.of(x), InOut{part.of(y)});
    });
  }

  static void reduce(ReduceOp op, In in, Out out) { run<Tables>(&Table::reduce, op, in, out); }
  static void arg_reduce(bool largest, In in, int axis, View<std::int64_t> out) {
    run<Tables>(&Table::arg_reduce, largest, in, axis, out);
  }
  static void top_k(In in, Out values, View<std::int64_t> indices) {
    run<Tables>(&Table::top_k, in, values, indices);
  }

  static void softmax(In x, Out y) {
    rows(y.shape(),
         [&](const Part& part) { run<Tables>(&Table::softmax, part.of(x), part.of(y)); });
  }
  static void softmax_backward(In y, In dy, Out dx) {
    rows(dx.shape(), [&](const Part& part) {
      run<Tables>(&Table::softmax_backward, part.of(y), part.of(dy), part.of(dx));
    });
  }
  static void log_softmax(In x, Out y) {
    rows(y.shape(),
         [&](const Part& part) { run<Tables>(&Table::log_softmax, part.of(x), part.of(y)); });
  }
  static void log_softmax_backward(In y, In dy, Out dx) {
    rows(dx.shape(), [&](const Part& part) {
      run<Tables>(&Table::log_softmax_backward, part.of(y), part.of(dy), part.of(dx));
    });
  }
  static void layer_norm(In x, In residual, In gamma, In beta, float epsilon, Out sum, Out y,
                         Floats mean, Floats rstd) {
    const Casts casts = casts_of<Tables>();
    const FloatCopy weight(casts, gamma), bias(casts, beta);
    rows(y.shape(), [&](const Part& part) {
      run<Tables>(&Table::layer_norm, part.of(x), part.of(residual), weight.get(), bias.get(),
                  epsilon, part.of(sum), part.of(y), part.of(mean), part.of(rstd));
    });
  }
  static void layer_norm_backward(In x, In gamma, View<const float> mean, View<const float> rstd,
                                  In dy, Out dx, Out dgamma, Out dbeta) {
    run<Tables>(&Table::layer_norm_backward, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
  }
  static void rms_norm(In x, In gamma, float epsilon, Out y, Floats rstd) {
    const FloatCopy weight(casts_of<Tables>(), gamma);
    rows(y.shape(), [&](const Part& part) {
      run<Tables>(&Table::rms_norm, part.of(x), weight.get(), epsilon, part.of(y), part.of(rstd));
    });
  }
  static void rms_norm_backward(In x, In gamma, View<const float> rstd, In dy, Out dx, Out dgamma) {
    run<Tables>(&Table::rms_norm_backward, x, gamma, rstd, dy, dx, dgamma);
  }

  /// Sums are rounded once, not after each row: the rows of `out` that take part are widened.
  static void scatter_add_rows(In in, View<const std::int64_t> ids, Out out) {
    const std::int64_t N = ids.size(0);
    std::unordered_map<std::int64_t, std::int64_t> places;
    std::vector<std::int64_t> rows, place(static_cast<std::size_t>(N));
    for (std::int64_t i = 0; i < N; ++i) {
      const std::int64_t row = ids.data[i * ids.stride(0)];
      const auto [at, is_new] = places.try_emplace(row, static_cast<std::int64_t>(rows.size()));
      if (is_new) {
        rows.push_back(row);
      }
      place[static_cast<std::size_t>(i)] = at->second;
    }
    if (rows.empty()) {
      return;
    }
    Shape shape = out.shape();
    shape[0] = static_cast<std::int64_t>(rows.size());
    const Storage memory =
        Storage::allocate(static_cast<std::size_t>(shape.numel()) * sizeof(float), cpu);
    const View<float> sums(static_cast<float*>(memory.data()), Layout(shape));
    const auto each_row = [&](const auto& move) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        Part from{0, {}, 0, 1}, to{0, {}, 0, 1};
        from.first = rows[i];
        to.first = static_cast<std::int64_t>(i);
        move(from.of(out), to.of(sums));
      }
    };
    each_row([](const Out& row, const Floats& sum) {
      Tables::of_float().cast(DType::bf16, View<const void>(row.data, row.layout), sum);
    });
    run<Tables>(&Table::scatter_add_rows, in,
                View<const std::int64_t>(place.data(), Layout(Shape{N})), sums);
    each_row([](const Out& row, const Floats& sum) {
      Tables::of_bf16().cast(DType::f32, View<const void>(sum.data, sum.layout), row);
    });
  }
  static void scatter_add(In in, int axis, View<const std::int64_t> index, Out out) {
    run<Tables>(&Table::scatter_add, in, axis, index, InOut{out});
  }

  static void cross_entropy(In logits, View<const std::int64_t> targets, std::int64_t ignore,
                            float smoothing, Floats loss, Floats lse) {
    rows(logits.shape(), [&](const Part& part) {
      run<Tables>(&Table::cross_entropy, part.of(logits), part.of(targets), ignore, smoothing,
                  part.of(loss), part.of(lse));
    });
  }
  static void cross_entropy_backward(In logits, View<const std::int64_t> targets,
                                     std::int64_t ignore, float smoothing, View<const float> lse,
                                     View<const float> dloss, Out dlogits) {
    rows(logits.shape(), [&](const Part& part) {
      run<Tables>(&Table::cross_entropy_backward, part.of(logits), part.of(targets), ignore,
                  smoothing, part.of(lse), part.of(dloss), part.of(dlogits));
    });
  }

  static void uniform(PhiloxStream stream, float low, float high, Out out) {
    run<Tables>(&Table::uniform, stream, low, high, out);
    for (std::int64_t i = 0; i < out.numel() && low < high; ++i) {
      if (out.data[i] >= high) {
        out.data[i] = largest_below(high);
      }
    }
  }
  static void normal(PhiloxStream stream, float mean, float stddev, Out out) {
    run<Tables>(&Table::normal, stream, mean, stddev, out);
  }
  static void bernoulli(PhiloxStream stream, float probability, Out out) {
    run<Tables>(&Table::bernoulli, stream, probability, out);
  }
  static void dropout(PhiloxStream stream, float p, In x, Out y) {
    run<Tables>(&Table::dropout, stream, p, x, y);
  }
  static void categorical(PhiloxStream stream, In weights, View<std::int64_t> out) {
    run<Tables>(&Table::categorical, stream, weights, out);
  }

  /// Elements that are not the rounding of their master become it. (Mostly there are none.)
  static void take_over(const Out& parameter, const Floats& master) {
    const auto n = static_cast<std::size_t>(master.numel());
    std::vector<bf16> own(n);
    Tables::of_bf16().cast(DType::f32, View<const void>(master.data, master.layout),
                           Out(own.data(), master.layout));
    if (std::memcmp(own.data(), parameter.data, n * sizeof(bf16)) == 0) {
      return;
    }
    for (std::size_t i = 0; i < n; ++i) {
      master.data[i] = own[i].bits == parameter.data[i].bits ? master.data[i] : parameter.data[i];
    }
  }
  static void adam(const AdamItem<bf16>& item) {
    const auto parts_of = [&](const auto& part, auto* data) {
      return part.of(View<std::remove_pointer_t<decltype(data)>>(data, Layout(Shape{item.n})));
    };
    elements({item.n}, [&](const Part& part) {
      const FloatCopy grad(casts_of<Tables>(), parts_of(part, item.grad));
      const Floats moved = parts_of(part, item.master);
      take_over(parts_of(part, item.parameter), moved);
      const AdamItem<float> exact{item.step,
                                  moved.data,
                                  grad.get().data,
                                  nullptr,
                                  parts_of(part, item.m).data,
                                  parts_of(part, item.v).data,
                                  moved.numel()};
      Tables::of_float().adam(&exact, 1);
      Tables::of_bf16().cast(DType::f32, View<const void>(moved.data, moved.layout),
                             parts_of(part, item.parameter));
    });
  }
  static void adam(const AdamItem<bf16>* items, std::int64_t count) {
    std::for_each(items, items + count, [](const AdamItem<bf16>& item) { adam(item); });
  }
};

/// `base`, which has what needs no arithmetic, with every kernel of bf16.
template <class Tables>
constexpr KernelTable<bf16> make_table(const KernelTable<bf16>& base) {
  using K = Kernels<Tables>;
  KernelTable<bf16> t = base;
  t.unary = K::unary;
  t.unary_backward = K::unary_backward;
  t.binary = K::binary;
  t.compare = K::compare;
  t.where = K::where;
  t.axpy = K::axpy;
  t.reduce = K::reduce;
  t.arg_reduce = K::arg_reduce;
  t.top_k = K::top_k;
  t.softmax = K::softmax;
  t.softmax_backward = K::softmax_backward;
  t.log_softmax = K::log_softmax;
  t.log_softmax_backward = K::log_softmax_backward;
  t.layer_norm = K::layer_norm;
  t.layer_norm_backward = K::layer_norm_backward;
  t.rms_norm = K::rms_norm;
  t.rms_norm_backward = K::rms_norm_backward;
  t.gemm = gemm<Tables>;
  t.attention = attention<Tables>;
  t.attention_backward = attention_backward<Tables>;
  t.scatter_add_rows = K::scatter_add_rows;
  t.scatter_add = K::scatter_add;
  t.cross_entropy = K::cross_entropy;
  t.cross_entropy_backward = K::cross_entropy_backward;
  t.uniform = K::uniform;
  t.normal = K::normal;
  t.bernoulli = K::bernoulli;
  t.dropout = K::dropout;
  t.categorical = K::categorical;
  t.adam = K::adam;
  return t;
}

}  // namespace ldlm::bf16_backend
