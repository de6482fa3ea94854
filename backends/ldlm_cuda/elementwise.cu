// Elementwise kernels: fill, copy, cast, functions of one and two numbers, comparisons, where.

#include <cstring>

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/map.cuh>
#include <ldlm_cuda/math.cuh>
#include <ldlm_cuda/walk.cuh>

namespace ldlm::cuda_backend {

namespace {

// ---- What only moves elements is a matter of their size, and compiled for that alone. ----

template <std::size_t Size>
struct WordOf;
// clang-format off
template <> struct WordOf<1> { using type = std::uint8_t; };
template <> struct WordOf<2> { using type = std::uint16_t; };
template <> struct WordOf<4> { using type = std::uint32_t; };
template <> struct WordOf<8> { using type = std::uint64_t; };
// clang-format on
/// What an element of T is moved as.
template <class T>
using Word = typename WordOf<sizeof(T)>::type;
template <class T>
View<Word<T>> as_words(const View<T>& view) {
  return {reinterpret_cast<Word<T>*>(view.data), view.layout};
}
template <class T>
View<const Word<T>> as_words(const View<const T>& view) {
  return {reinterpret_cast<const Word<T>*>(view.data), view.layout};
}

template <class W>
struct Fill {
  W value;
  __device__ W operator()() const { return value; }
};
template <class W>
struct Same {
  __device__ W operator()(W x) const { return x; }
};
template <class W>
struct Where {
  __device__ W operator()(bool condition, W a, W b) const { return condition ? a : b; }
};

// ---- Casts go through the widest type of their kind: one kernel for each result type. ----

template <class T>
__device__ T load(const void* data, std::int64_t i) {
  return static_cast<const T*>(data)[i];
}
template <class To>
struct Cast {
  DType from;
  const void* in;
  To* out;
  __device__ void operator()(const std::int64_t (&at)[2]) const { out[at[1]] = element(at[0]); }
  __device__ To element(std::int64_t i) const {
    switch (from) {
      case DType::f64:
        return convert<To>(load<double>(in, i));
      case DType::f32:
        return convert<To>(static_cast<double>(load<float>(in, i)));
      case DType::f16:
        return convert<To>(static_cast<double>(float{load<f16>(in, i)}));
      case DType::bf16:
        return convert<To>(static_cast<double>(float{load<bf16>(in, i)}));
      case DType::i64:
        return convert<To>(load<std::int64_t>(in, i));
      case DType::i32:
        return convert<To>(std::int64_t{load<std::int32_t>(in, i)});
      case DType::i16:
        return convert<To>(std::int64_t{load<std::int16_t>(in, i)});
      case DType::i8:
        return convert<To>(std::int64_t{load<std::int8_t>(in, i)});
      case DType::u64:
        return convert<To>(load<std::uint64_t>(in, i));
      case DType::u32:
        return convert<To>(std::uint64_t{load<std::uint32_t>(in, i)});
      case DType::u16:
        return convert<To>(std::uint64_t{load<std::uint16_t>(in, i)});
      case DType::u8:
        return convert<To>(std::uint64_t{load<std::uint8_t>(in, i)});
      case DType::boolean:
        return convert<To>(std::uint64_t{load<bool>(in, i)});
    }
    return To{};
  }
};

// ---- Functions. ----

template <class T>
struct Unary {
  UnaryOp op;
  ComputeType<T> a, b;
  __device__ T operator()(T x) const { return rounded<T>(unary_value(op, widened(x), a, b)); }
};
template <class T>
struct UnaryBackward {
  UnaryOp op;
  ComputeType<T> a, b;
  __device__ T operator()(T saved, T dy) const {
    return rounded<T>(unary_gradient(op, widened(saved), widened(dy), a, b));
  }
};
template <class T>
struct Binary {
  BinaryOp op;
  __device__ T operator()(T a, T b) const {
    return rounded<T>(binary_value(op, widened(a), widened(b)));
  }
};
template <class T>
struct Compare {
  CompareOp op;
  __device__ bool operator()(T a, T b) const { return compare_value(op, widened(a), widened(b)); }
};
template <class T>
struct Axpy {
  ComputeType<T> a;
  __device__ T operator()(T x, T y) const {
    return rounded<T>(plus(widened(y), times(a, widened(x))));
  }
};
/// Of the pairs that trainings of bf16 cast all the time.
template <class To, class From>
struct Convert {
  __device__ To operator()(From x) const { return rounded<To>(widened(x)); }
};

// ---- What integers cannot do. Kernels do not throw: operands are looked at before. ----

/// Sets `found` where an element is 0, or where it is negative.
template <class T>
struct Find {
  bool negative;
  const T* x;
  int* found;
  __device__ void operator()(const std::int64_t (&at)[1]) const {
    const T value = x[at[0]];
    if (negative ? is_negative(value) : value == T{0}) {
      atomicMin(found, 0);
    }
  }
};
template <class T>
bool any_of(bool negative, View<const T> x, const char* op) {
  const Scratch scratch(sizeof(int));
  int found = 1;
  write_to(scratch.as<int>(), &found, sizeof found, op);
  run_walk(op, Find<T>{negative, x.data, scratch.as<int>()}, x);
  read_back(&found, scratch.as<int>(), sizeof found, op);
  return found == 0;
}

/// Throws for an op that elements of T do not have.
template <class T>
void check_unary(UnaryOp op, ComputeType<T> a) {
  visit_op(op, [](auto) {});
  if constexpr (std::is_integral_v<T>) {
    switch (op) {
      case UnaryOp::neg:
      case UnaryOp::abs:
      case UnaryOp::square:
      case UnaryOp::relu:
      case UnaryOp::add_scalar:
      case UnaryOp::mul_scalar:
      case UnaryOp::clamp:
        return;
      case UnaryOp::pow_scalar:
        if constexpr (std::is_signed_v<T>) {
          LDLM_CHECK(a >= 0, "pow", "an integer to the negative power ", std::int64_t{a});
        }
        return;
      default:
        detail::fail_as(ErrorCode::dtype, name_of(op),
                        "this function needs float, double or bf16 elements, got ",
                        name_of(dtype_of<T>));
    }
  }
}
template <class T>
void check_binary(BinaryOp op, View<const T> b) {
  visit_op(op, [](auto) {});
  if constexpr (std::is_same_v<T, bool>) {
    LDLM_CHECK_AS(dtype, op != BinaryOp::sub && op != BinaryOp::div && op != BinaryOp::pow,
                  name_of(op), "sub, div and pow are not defined for bool");
  } else if constexpr (std::is_integral_v<T>) {
    LDLM_CHECK(op != BinaryOp::div || !any_of(false, b, "div"), "div", "integer division by zero");
    if constexpr (std::is_signed_v<T>) {
      LDLM_CHECK(op != BinaryOp::pow || !any_of(true, b, "pow"), "pow",
                 "an integer to a negative power");
    }
  }
}

}  // namespace

template <class T>
void fill(View<T> out, T value) {
  Word<T> word;
  std::memcpy(&word, &value, sizeof word);
  run_map("fill", Fill<Word<T>>{word}, as_words(out));
}
template <class T>
void copy(View<const T> in, View<T> out) {
  run_map("copy", Same<Word<T>>{}, as_words(out), as_words(in));
}
template <class T>
void where(View<const bool> condition, View<const T> a, View<const T> b, View<T> out) {
  run_map("where", Where<Word<T>>{}, as_words(out), condition, as_words(a), as_words(b));
}
template <class T>
void cast(DType from, View<const void> in, View<T> out) {
  if constexpr (std::is_same_v<ComputeType<T>, float> && !std::is_same_v<T, f16>) {
    using From = std::conditional_t<std::is_same_v<T, float>, bf16, float>;
    if (from == dtype_of<From>) {
      run_map("cast", Convert<T, From>{}, out,
              View<const From>(static_cast<const From*>(in.data), in.layout));
      return;
    }
  }
  run_walk("cast", Cast<T>{from, in.data, out.data}, in, out);
}
template <class T>
void unary(UnaryOp op, View<const T> x, View<T> y, ComputeType<T> a, ComputeType<T> b) {
  check_unary<T>(op, a);
  run_map(name_of(op).data(), Unary<T>{op, a, b}, y, x);
}
template <class T>
void unary_backward(UnaryOp op, View<const T> saved, View<const T> dy, View<T> dx, ComputeType<T> a,
                    ComputeType<T> b) {
  visit_op(op, [](auto) {});
  run_map("unary_backward", UnaryBackward<T>{op, a, b}, dx, saved, dy);
}
template <class T>
void binary(BinaryOp op, View<const T> a, View<const T> b, View<T> out) {
  check_binary(op, b);
  run_map(name_of(op).data(), Binary<T>{op}, out, a, b);
}
template <class T>
void compare(CompareOp op, View<const T> a, View<const T> b, View<bool> out) {
  visit_op(op, [](auto) {});
  run_map(name_of(op).data(), Compare<T>{op}, out, a, b);
}
template <class T>
void axpy(ComputeType<T> a, View<const T> x, View<T> y) {
  run_map("axpy", Axpy<T>{a}, y, x, View<const T>(y));
}

#define LDLM_INSTANTIATE(T)                   \
  template void fill(View<T>, T);             \
  template void copy(View<const T>, View<T>); \
  template void cast(DType, View<const void>, View<T>);
LDLM_ALL_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T)                                                             \
  template void where(View<const bool>, View<const T>, View<const T>, View<T>);         \
  template void unary(UnaryOp, View<const T>, View<T>, ComputeType<T>, ComputeType<T>); \
  template void binary(BinaryOp, View<const T>, View<const T>, View<T>);                \
  template void compare(CompareOp, View<const T>, View<const T>, View<bool>);           \
  template void axpy(ComputeType<T>, View<const T>, View<T>);
LDLM_COMPUTING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE
#define LDLM_INSTANTIATE(T)                                                                    \
  template void unary_backward(UnaryOp, View<const T>, View<const T>, View<T>, ComputeType<T>, \
                               ComputeType<T>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
