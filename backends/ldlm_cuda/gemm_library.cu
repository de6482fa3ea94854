#include <ldlm_cuda/gemm_library.cuh>

#include <cublasLt.h>

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include <ldlm_cuda/gemm.cuh>
#include <ldlm_cuda/map.cuh>

namespace ldlm::cuda_backend {

namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20;
constexpr std::int64_t least_extent = 32;  // of m, n and k, from which the library is called

void check(cublasStatus_t status) {
  LDLM_CHECK_DEVICE(status == CUBLAS_STATUS_SUCCESS, "gemm",
                    "cuBLASLt: ", cublasLtGetStatusString(status), " (",
                    cublasLtGetStatusName(status), ')');
}

bool is_wanted() {
  static const bool wanted = [] {
    const char* const value = std::getenv("LDLM_CUDA_BLAS");
    const std::string_view name = value != nullptr ? value : "";
    LDLM_CHECK(name.empty() || name == "own" || name == "cublaslt", "cuda",
               "LDLM_CUDA_BLAS must be own or cublaslt, got ", name);
    return name != "own";
  }();
  return wanted;
}

/// The library's handle and its memory, once somebody needs it; never destroyed.
struct Library {
  cublasLtHandle_t handle = nullptr;
  Scratch workspace{workspace_bytes};

  Library() { check(cublasLtCreate(&handle)); }
};
Library& library() {
  static auto* const l = new Library;
  return *l;
}

/// How a matrix of this library, row-major (rows, columns), is one of cuBLASLt's, column-major: it
/// is the transpose of what lies there, or not.
struct Operand {
  bool transposed;
  std::int64_t rows, columns, pitch;  // of the column-major matrix
};
std::optional<Operand> operand_of(std::int64_t rows, std::int64_t columns, std::int64_t row_step,
                                  std::int64_t column_step) {
  if (column_step == 1 && row_step >= columns) {
    return Operand{false, columns, rows, row_step};
  }
  if (row_step == 1 && column_step >= rows) {
    return Operand{true, rows, columns, column_step};
  }
  return std::nullopt;
}

/// The one step from matrix to matrix of a batch; nothing if there are several.
std::optional<std::int64_t> batch_step(int rank, const std::int64_t* shape,
                                       const std::int64_t* steps) {
  std::int64_t step = 0;
  std::int64_t count = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    if (shape[axis] == 1) {
      continue;
    }
    if (count == 1) {
      step = steps[axis];
    } else if (steps[axis] != step * count) {
      return std::nullopt;
    }
    count *= shape[axis];
  }
  return step;
}

template <class T>
constexpr cudaDataType_t data_type = std::is_same_v<T, bf16> ? CUDA_R_16BF : CUDA_R_32F;

/// All that the choice of an algorithm depends on.
struct Problem {
  Operand a, b;  // ours
  std::int64_t c_row, batches;
  std::int64_t a_batch, b_batch, c_batch;
  cublasComputeType_t compute;
  cublasLtEpilogue_t epilogue;
  std::array<std::uint32_t, 5> alignment;  // of the library's A, B, C, D and bias

  using Key = std::array<std::int64_t, 21>;
  [[nodiscard]] Key key(std::int64_t type) const {
    return {type,         a.transposed, a.rows,      a.columns, a.pitch,      b.transposed,
            b.rows,       b.columns,    b.pitch,     c_row,     batches,      a_batch,
            b_batch,      c_batch,      compute,     epilogue,  alignment[0], alignment[1],
            alignment[2], alignment[3], alignment[4]};
  }
};

// Descriptors of the library, of a scope.
template <auto destroy>
struct Destroy {
  template <class D>
  void operator()(D* descriptor) const {
    destroy(descriptor);
  }
};
template <class Pointer, auto destroy>
using Descriptor = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy<destroy>>;
using Operation = Descriptor<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using MatrixLayout = Descriptor<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Descriptor<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <class Value>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, Value value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof value));
}
template <class Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute,
         Value value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

Operation make_operation(const Problem& problem, const void* bias) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, problem.compute, CUDA_R_32F));
  Operation operation(made);
  const auto side = [](const Operand& o) { return o.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, side(problem.b));
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, side(problem.a));
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, problem.epilogue);
  if (bias != nullptr) {
    set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  return operation;
}
MatrixLayout make_layout(cudaDataType_t type, const Operand& o, std::int64_t batches,
                         std::int64_t step) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(o.rows),
                                   static_cast<std::uint64_t>(o.columns), o.pitch));
  MatrixLayout layout(made);
  if (batches > 1) {
    const auto count = static_cast<std::int32_t>(batches);
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                           sizeof count));
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                           sizeof step));
  }
  return layout;
}

/// The largest power of two, up to 256, that the matrices of a batch all begin at.
std::uint32_t alignment_of(const void* data, std::int64_t batches, std::int64_t step_bytes) {
  std::uintptr_t bits = reinterpret_cast<std::uintptr_t>(data) | 256;
  if (batches > 1) {
    bits |= static_cast<std::uintptr_t>(step_bytes);
  }
  return static_cast<std::uint32_t>(bits & -bits);
}

/// act(x), or act(x) + residual, of what a product left.
template <class T>
struct Activate {
  Activation activation;
  __device__ T operator()(T x) const { return rounded<T>(activate(activation, widened(x))); }
  __device__ T operator()(T x, T residual) const {
    return rounded<T>(activate(activation, widened(x)) + widened(residual));
  }
};
template <class T>
void finish(const Gemm<T>& args, const T* x) {
  Layout layout;
  const auto add_axis = [&](std::int64_t extent, std::int64_t stride) {
    layout.strides[static_cast<std::size_t>(layout.rank())] = stride;
    layout.shape.push_back(extent);
  };
  for (int axis = 0; axis < args.batch_rank; ++axis) {
    add_axis(args.batch_shape[axis], args.c_batch[axis]);
  }
  add_axis(args.m, args.c_row);
  add_axis(args.n, 1);
  const View<const T> product(x, layout);
  const View<T> out(args.c, layout);
  if (args.residual != nullptr) {
    run_map("gemm", Activate<T>{args.activation}, out, product,
            View<const T>(args.residual, layout));
  } else {
    run_map("gemm", Activate<T>{args.activation}, out, product);
  }
}

/// The library's choice for a problem; nothing if it has none.
using Choice = std::optional<cublasLtMatmulAlgo_t>;
struct Choices {
  std::mutex mutex;
  std::map<Problem::Key, Choice> of;
};
Choices& choices() {
  static auto* const c = new Choices;
  return *c;
}

}  // namespace

template <class T>
bool multiply_by_library(const Gemm<T>& args) {
  if (!is_wanted() || args.b_packed.data != nullptr ||
      std::min({args.m, args.n, args.k}) < least_extent) {
    return false;
  }
  const auto a = operand_of(args.m, args.k, args.a_row, args.a_col);
  const auto b = operand_of(args.k, args.n, args.b_row, args.b_col);
  const auto a_batch = batch_step(args.batch_rank, args.batch_shape, args.a_batch);
  const auto b_batch = batch_step(args.batch_rank, args.batch_shape, args.b_batch);
  const auto c_batch = batch_step(args.batch_rank, args.batch_shape, args.c_batch);
  std::int64_t batches = 1;
  for (int axis = 0; axis < args.batch_rank; ++axis) {
    batches *= args.batch_shape[axis];
  }
  if (!a || !b || !a_batch || !b_batch || !c_batch || batches > INT32_MAX) {
    return false;
  }
  // A residual is the library's C, if nothing comes between, and C has not that place. Activations
  // are a pass of their own: its GELU is one of two, and what its ReLU makes of NaN is not said.
  const bool finishes = args.activation != Activation::none || args.pre_activation != nullptr;
  const bool adds_residual = args.residual != nullptr && !finishes;
  if (adds_residual && args.beta != 0) {
    return false;
  }
  T* const d = args.pre_activation != nullptr ? args.pre_activation : args.c;
  if (finishes && (args.residual == d || (args.beta != 0 && d != args.c))) {
    return false;  // the product would overwrite what is still to be read
  }
  const T* const c = adds_residual ? args.residual : args.c;
  const float alpha = args.alpha;
  const float beta = adds_residual ? 1.0F : args.beta;

  constexpr std::int64_t size = sizeof(T);
  const Problem problem{
      *a,
      *b,
      args.c_row,
      batches,
      *a_batch,
      *b_batch,
      *c_batch,
      std::is_same_v<T, bf16> ? CUBLAS_COMPUTE_32F
      : args.allow_bf16       ? CUBLAS_COMPUTE_32F_FAST_16BF
      : args.allow_tf32       ? CUBLAS_COMPUTE_32F_FAST_TF32
                              : CUBLAS_COMPUTE_32F,
      args.bias != nullptr ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT,
      {alignment_of(args.b, batches, *b_batch * size),
       alignment_of(args.a, batches, *a_batch * size), alignment_of(c, batches, *c_batch * size),
       alignment_of(d, batches, *c_batch * size), alignment_of(args.bias, 1, 0)}};

  Library& lt = library();
  // C = A B, row-major, is C' = B' A', column-major.
  const Operation operation = make_operation(problem, args.bias);
  const MatrixLayout first = make_layout(data_type<T>, *b, batches, *b_batch);
  const MatrixLayout second = make_layout(data_type<T>, *a, batches, *a_batch);
  const MatrixLayout result =
      make_layout(data_type<T>, {false, args.n, args.m, args.c_row}, batches, *c_batch);
  Choice choice;
  {
    const std::lock_guard lock(choices().mutex);
    const auto [at, is_new] = choices().of.try_emplace(problem.key(data_type<T>));
    if (is_new) {
      cublasLtMatmulPreference_t made = nullptr;
      check(cublasLtMatmulPreferenceCreate(&made));
      const Preference preference(made);
      set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
      set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem.alignment[0]);
      set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem.alignment[1]);
      set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, problem.alignment[2]);
      set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, problem.alignment[3]);
      cublasLtMatmulHeuristicResult_t found{};
      int count = 0;
      const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
          lt.handle, operation.get(), first.get(), second.get(), result.get(), result.get(),
          preference.get(), 1, &found, &count);
      if (status != CUBLAS_STATUS_NOT_SUPPORTED) {
        check(status);
      }
      if (status == CUBLAS_STATUS_SUCCESS && count > 0 && found.state == CUBLAS_STATUS_SUCCESS) {
        at->second = found.algo;
      }
    }
    choice = at->second;
  }
  if (!choice) {
    return false;
  }
  check(cublasLtMatmul(lt.handle, operation.get(), &alpha, args.b, first.get(), args.a,
                       second.get(), &beta, c, result.get(), d, result.get(), &*choice,
                       lt.workspace.template as<void>(), workspace_bytes, stream()));
  check_launch("gemm");
  if (finishes) {
    finish(args, static_cast<const T*>(d));
  }
  return true;
}

template bool multiply_by_library(const Gemm<float>&);
template bool multiply_by_library(const Gemm<bf16>&);

}  // namespace ldlm::cuda_backend
