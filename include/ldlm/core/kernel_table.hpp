#pragma once
// KernelTable: every computation of the library, as function pointers over Views and numbers.
//
// One table per device and element type. Ops (core/ops) validate and allocate, then make one call
// here; kernels trust their arguments, know no tensors and no gradients. Outputs never alias inputs
// unless a comment says so. The reference backend fills every entry; others start from a copy of it
// and replace what they do better. A null entry means that the type has no such kernel.

#include <cstdint>

#include <ldlm/core/dtype.hpp>
#include <ldlm/core/instruction_set.hpp>
#include <ldlm/core/packed_view.hpp>
#include <ldlm/core/philox.hpp>
#include <ldlm/core/view.hpp>
#include <ldlm/core/visit_op.hpp>

namespace ldlm {

inline constexpr int max_batch_rank = 4;

/// C = act(alpha * A B + beta * C + bias) + residual, over a batch.
/// A is (m, k), B is (k, n), C is (m, n). A and B have any strides (a transpose is a swap of its
/// two); C, residual and pre_activation have unit column stride.
template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  ComputeType<T> alpha{1}, beta{0};  // beta == 0: C is not read, and may hold NaN
  const T* a = nullptr;
  std::int64_t a_row = 0, a_col = 0;
  const T* b = nullptr;
  std::int64_t b_row = 0, b_col = 0;
  PackedView b_packed{};    // B transposed, (n, k), in place of b; no batch axes
  bool allow_tf32 = false;  // elements of A and B may be rounded to tf32, sums stay in T
  bool allow_bf16 = false;  // the same, to bf16
  bool allow_int8 = false;  // A may be rounded to 8 bits in groups of 32, if B is int8 or int4
  T* c = nullptr;
  std::int64_t c_row = 0;

  // Epilogue; null: absent.
  const T* bias = nullptr;  // (n)
  Activation activation = Activation::none;
  T* pre_activation =
      nullptr;  // the value before `act`, written for the backward pass; row stride c_row
  const T* residual = nullptr;  // row stride c_row; may be C itself

  // Batch axes, each with its stride (0: broadcast); the epilogue's matrices move with C.
  int batch_rank = 0;
  std::int64_t batch_shape[max_batch_rank] = {}, a_batch[max_batch_rank] = {},
               b_batch[max_batch_rank] = {}, c_batch[max_batch_rank] = {};
};

/// Scaled dot-product attention, softmax(scale * q k^T + mask) v, never storing Tq x Tk for long T.
/// q, out: (B, H, Tq, D); k, v: (B, H, Tk, D); any strides with unit stride on D.
/// A row whose every key is masked (-infinity) yields zeros.
template <class T>
struct Attention {
  View<const T> q, k, v;
  View<T> out;
  View<const T> mask;   // added to the scores, broadcast to (B, H, Tq, Tk); empty: absent
  bool causal = false;  // query i sees keys j <= i + (Tk - Tq)
  /// In the device's memory, which is not the host's: keys behind this one are not there, as if Tk
  /// were one more than it; null: all are there. Without dropout, and forward only.
  const std::int64_t* last_key = nullptr;
  ComputeType<T> scale{1};
  ComputeType<T> dropout{0};  // probability; element ((b*H + h)*Tq + i)*Tk + j of `stream` decides
  PhiloxStream stream;
  View<ComputeType<T>>
      lse;  // (B, H, Tq) log-sum-exp of each row, for the backward pass; empty: not wanted

  bool allow_tf32 = false;  // factors of its products may be rounded to tf32, which no CPU does
};

template <class T>
struct AttentionBackward {
  Attention<T> forward;            // with `out` and `lse` as the forward pass left them
  View<const T> grad_out;          // (B, H, Tq, D)
  View<T> grad_q, grad_k, grad_v;  // overwritten; any strides with unit stride on D
};

/// One step of Adam (Kingma & Ba, 2015) or AdamW (Loshchilov & Hutter, 2019).
template <class T>
struct AdamStep {
  T learning_rate, beta1, beta2, epsilon, weight_decay;
  T bias_correction1, bias_correction2;  // 1 - beta^step
  bool decoupled;                        // AdamW: the decay acts on the weight, not the gradient
  T grad_scale = T{1};                   // multiplies the gradient first (clipping)
};

/// The step of one parameter: contiguous arrays of n elements. It is made on `master`, of which the
/// parameter is then the rounding; there is none where both would be of one type. An element of the
/// parameter that is not the master's rounding was written by someone else, and is what is moved.
template <class T>
struct AdamItem {
  AdamStep<ComputeType<T>> step;
  T* parameter = nullptr;
  const T* grad = nullptr;
  ComputeType<T>*master = nullptr, *m = nullptr, *v = nullptr;
  std::int64_t n = 0;
};

/// Every kernel for elements of type T. N rows, C columns, V classes; "rows" means the last axis.
/// Elements of bf16 are computed with in float, and what is an element again is rounded once; of
/// attention its weights may be, too, and of a product what an activation is applied to.
template <class T>
struct KernelTable {
  using Compute = ComputeType<T>;

  const char* name = "none";  // of the backend
  InstructionSet instruction_set = InstructionSet::none;

  // Elementwise. All views of a call have the same shape (broadcast axes: stride 0).
  // `out` may be the very same view as an input.
  void (*fill)(View<T> out, T value) = nullptr;
  void (*copy)(View<const T> in, View<T> out) = nullptr;
  void (*cast)(DType from, View<const void> in, View<T> out) = nullptr;
  void (*unary)(UnaryOp op, View<const T> x, View<T> y, Compute a, Compute b) = nullptr;
  /// dx = dy * f'(x), where saved is x, or y if saves_output(op).
  void (*unary_backward)(UnaryOp op, View<const T> saved, View<const T> dy, View<T> dx, Compute a,
                         Compute b) = nullptr;
  void (*binary)(BinaryOp op, View<const T> a, View<const T> b, View<T> out) = nullptr;
  void (*compare)(CompareOp op, View<const T> a, View<const T> b, View<bool> out) = nullptr;
  void (*where)(View<const bool> condition, View<const T> a, View<const T> b,
                View<T> out) = nullptr;
  /// y += a * x
  void (*axpy)(Compute a, View<const T> x, View<T> y) = nullptr;

  // Reductions: `out` has the rank of `in`, with extent 1 on the reduced axes.
  // sum of no elements is 0; max and min are never called on none. NaN wins in max and min.
  void (*reduce)(ReduceOp op, View<const T> in, View<T> out) = nullptr;
  /// Position of the first largest (or smallest) element along `axis`; `out` lacks that axis.
  void (*arg_reduce)(bool largest, View<const T> in, int axis, View<std::int64_t> out) = nullptr;
  /// The k largest of each row, in falling order, ties by lower index. in (..., V), outs (..., k).
  void (*top_k)(View<const T> in, View<T> values, View<std::int64_t> indices) = nullptr;

  // Rows: all views (..., C) of the same shape; statistics (...). Softmax's have any strides, the
  // norms' unit stride on C.
  void (*softmax)(View<const T> x, View<T> y) = nullptr;  // y may be x
  void (*softmax_backward)(View<const T> y, View<const T> dy,
                           View<T> dx) = nullptr;  // dx may be dy
  void (*log_softmax)(View<const T> x, View<T> y) = nullptr;
  void (*log_softmax_backward)(View<const T> y, View<const T> dy, View<T> dx) = nullptr;
  /// y = (x + residual - mean) * rstd * gamma + beta. residual, sum, gamma, beta, mean, rstd may be
  /// empty; `sum`, if given, receives x + residual. gamma, beta: (C), contiguous.
  void (*layer_norm)(View<const T> x, View<const T> residual, View<const T> gamma,
                     View<const T> beta, Compute epsilon, View<T> sum, View<T> y,
                     View<Compute> mean, View<Compute> rstd) = nullptr;
  /// x is the normalised input (x + residual). dgamma and dbeta (C) may be empty; overwritten.
  void (*layer_norm_backward)(View<const T> x, View<const T> gamma, View<const Compute> mean,
                              View<const Compute> rstd, View<const T> dy, View<T> dx,
                              View<T> dgamma, View<T> dbeta) = nullptr;
  /// y = x / sqrt(mean(x^2) + epsilon) * gamma
  void (*rms_norm)(View<const T> x, View<const T> gamma, Compute epsilon, View<T> y,
                   View<Compute> rstd) = nullptr;
  void (*rms_norm_backward)(View<const T> x, View<const T> gamma, View<const Compute> rstd,
                            View<const T> dy, View<T> dx, View<T> dgamma) = nullptr;

  // Matrices.
  void (*gemm)(const Gemm<T>& args) = nullptr;
  void (*attention)(const Attention<T>& args) = nullptr;
  void (*attention_backward)(const AttentionBackward<T>& args) = nullptr;

  // Indexing. Indices are already checked against the extents.
  /// out[i, ...] = table[ids[i], ...]; ids (N) with any stride, table (V, ...), out (N, ...).
  void (*gather_rows)(View<const T> table, View<const std::int64_t> ids, View<T> out) = nullptr;
  /// out[ids[i], ...] = in[i, ...]; no id comes twice.
  void (*scatter_rows)(View<const T> in, View<const std::int64_t> ids, View<T> out) = nullptr;
  /// out[ids[i], ...] += in[i, ...], in the order of i.
  void (*scatter_add_rows)(View<const T> in, View<const std::int64_t> ids, View<T> out) = nullptr;
  /// out[.., i, ..] = in[.., index[.., i, ..], ..] along `axis`; index and out have the same shape.
  void (*gather)(View<const T> in, int axis, View<const std::int64_t> index, View<T> out) = nullptr;
  void (*scatter_add)(View<const T> in, int axis, View<const std::int64_t> index,
                      View<T> out) = nullptr;

  // Cross-entropy of logits (N, V), unit stride on V, with targets (N); rows whose target is
  // `ignore` count nothing. loss (N), lse (N): log-sum-exp of each row, for the backward pass.
  // With smoothing s the target is 1 - s on the class plus s / V on every class.
  void (*cross_entropy)(View<const T> logits, View<const std::int64_t> targets, std::int64_t ignore,
                        Compute smoothing, View<Compute> loss, View<Compute> lse) = nullptr;
  /// dlogits = dloss[row] * (softmax - target); dlogits may be logits.
  void (*cross_entropy_backward)(View<const T> logits, View<const std::int64_t> targets,
                                 std::int64_t ignore, Compute smoothing, View<const Compute> lse,
                                 View<const Compute> dloss, View<T> dlogits) = nullptr;

  // Random numbers; `out` contiguous, element i takes word i of the stream. (Rounded to bf16, a
  // number below `high` may be `high`, and then is the largest below it.)
  void (*uniform)(PhiloxStream stream, Compute low, Compute high, View<T> out) = nullptr;
  /// Box-Muller on the word pairs (0, 1) and (2, 3) of a block:
  /// r = sqrt(-2 log(1 - u0)), then r cos(2 pi u1), r sin(2 pi u1).
  void (*normal)(PhiloxStream stream, Compute mean, Compute stddev, View<T> out) = nullptr;
  void (*bernoulli)(PhiloxStream stream, Compute probability, View<T> out) = nullptr;
  /// y = x / (1 - p) where uniform >= p, else 0. Contiguous; y may be x; also its own backward.
  void (*dropout)(PhiloxStream stream, Compute p, View<const T> x, View<T> y) = nullptr;
  /// Draws a class from each row of non-negative weights (N, V), unit stride on V; out (N).
  void (*categorical)(PhiloxStream stream, View<const T> weights, View<std::int64_t> out) = nullptr;

  /// Optimiser: the steps of several parameters.
  void (*adam)(const AdamItem<T>* items, std::int64_t count) = nullptr;

  /// First position of an index outside [low, high), or -1. (Integer tables only.)
  std::int64_t (*find_outside)(View<const T> indices, T low, T high) = nullptr;
};

}  // namespace ldlm
