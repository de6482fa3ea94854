#include <ldlm/core/kernel_table.hpp>

#include "kernel_harness.hpp"

// Attention of every device against the reference: shapes, masks, causality, dropout, strides.

using namespace ldlm;
using namespace ldlm::test;

namespace {

enum class Mask {
  none,
  keys,        // (B, 1, 1, Tk): the same for all queries, as padding gives it
  all,         // (B, H, Tq, Tk)
  all_hidden,  // some queries see no key
  half_hidden  // the first half of the keys
};

struct AttentionCase {
  std::int64_t B, H, Tq, Tk, D;
  bool causal = false;
  Mask mask = Mask::none;
  double dropout = 0;
};

const std::vector<AttentionCase> attention_cases = {
    {1, 1, 1, 1, 8},
    {2, 3, 5, 5, 16},
    {2, 2, 40, 40, 32},
    {1, 2, 17, 33, 24},
    {1, 2, 33, 17, 20},
    {1, 1, 7, 9, 3},
    {1, 2, 130, 130, 64},
    {1, 2, 130, 130, 64, true},
    {1, 1, 65, 200, 40, true},
    {2, 2, 1, 70, 64, true},
    {2, 1, 3, 300, 80},
    {1, 1, 20, 20, 256},
    {1, 1, 20, 20, 100, true},
    {2, 2, 40, 40, 32, false, Mask::keys},
    {2, 2, 70, 40, 32, false, Mask::all},
    {1, 2, 70, 140, 16, true, Mask::all},
    {2, 2, 40, 70, 32, false, Mask::all_hidden},
    {1, 1, 6, 6, 8, true, Mask::all_hidden},
    {2, 2, 40, 40, 32, false, Mask::none, 0.2},
    {1, 3, 67, 131, 32, true, Mask::keys, 0.5},
    {2, 2, 10, 0, 8},
    {2, 2, 0, 10, 8},
    {0, 2, 10, 10, 8},
    {1, 1, 40, 1100, 16},
    {1, 2, 300, 300, 16, true, Mask::none, 0.1},
};

std::string name_of(const AttentionCase& c) {
  return "attention " + to_string({c.B, c.H, c.Tq, c.Tk, c.D}) + (c.causal ? " causal" : "") +
         " mask " + std::to_string(static_cast<int>(c.mask)) + (c.dropout > 0 ? " dropout" : "");
}

template <class T>
View<const T> make_mask(const AttentionCase& c, Context<T>& t) {
  const Shape shape{c.B, c.H, c.Tq, c.Tk};
  if (c.mask == Mask::none) {
    return {};
  }
  if (c.mask == Mask::keys) {
    View<const T> mask = t.plain({c.B, 1, 1, c.Tk}, {-2, 2});
    mask.layout = broadcast_to(mask.layout, shape, "mask");
    return mask;
  }
  return t.made(shape, {-3, 3}, [&](std::int64_t i, T value) {
    const std::int64_t row = i / c.Tk;
    const std::int64_t j = i % c.Tk;
    const bool hide = c.mask == Mask::half_hidden  ? j < c.Tk / 2
                      : c.mask == Mask::all_hidden ? row % 3 == 1 || j < 3
                                                   : (row + j) % 4 == 0;
    return hide ? convert<T>(-std::numeric_limits<float>::infinity()) : value;
  });
}

template <class T>
Attention<T> make_attention(const AttentionCase& c, Context<T>& t) {
  Attention<T> args;
  args.q = t.rows({c.B, c.H, c.Tq, c.D});
  args.k = t.rows({c.B, c.H, c.Tk, c.D});
  args.v = t.rows({c.B, c.H, c.Tk, c.D});
  args.mask = make_mask(c, t);
  args.causal = c.causal;
  args.scale = static_cast<ComputeType<T>>(0.7 / std::sqrt(static_cast<double>(c.D)));
  args.dropout = static_cast<ComputeType<T>>(c.dropout);
  args.stream = {99, 0xfffffffdU};
  return args;
}

template <class T>
void attention_case(const AttentionCase& c, bool allow_tf32, const KernelTable<T>& k,
                    Context<T>& t) {
  Attention<T> args = make_attention(c, t);
  args.allow_tf32 = allow_tf32;
  args.out = t.rows_out({c.B, c.H, c.Tq, c.D});
  args.lse = t.template out_of<ComputeType<T>>({c.B, c.H, c.Tq});
  k.attention(args);
}

template <class T>
void backward_case(const AttentionCase& c, bool allow_tf32, const KernelTable<T>& k,
                   Context<T>& t) {
  AttentionBackward<T> args;
  args.forward = make_attention(c, t);
  args.forward.allow_tf32 = allow_tf32;
  args.grad_out = t.rows({c.B, c.H, c.Tq, c.D});
  args.forward.out = t.rows_out({c.B, c.H, c.Tq, c.D});
  args.forward.lse = t.template out_of<ComputeType<T>>({c.B, c.H, c.Tq});
  // What the forward pass leaves, so that only one kernel is tested.
  t.trusted_kernels().attention(args.forward);
  args.grad_q = t.rows_out({c.B, c.H, c.Tq, c.D});
  args.grad_k = t.rows_out({c.B, c.H, c.Tk, c.D});
  args.grad_v = t.rows_out({c.B, c.H, c.Tk, c.D});
  k.attention_backward(args);
}

TEST_CASE("attention kernels") {
  for (const AttentionCase& c : attention_cases) {
    check_kernel(
        name_of(c), {4e-6, 4e-6, 0, 5e-3},
        [&]<class T>(const KernelTable<T>& k, Context<T>& t) { attention_case(c, false, k, t); });
  }
}

// ---- Few queries, whose keys a card splits over several blocks. ----

const std::vector<AttentionCase> few_cases = {
    {1, 2, 1, 1, 3},
    {2, 2, 1, 1, 64},
    {1, 1, 1, 63, 24},
    {1, 2, 1, 64, 64, false, Mask::keys},
    {2, 2, 2, 65, 80, true},
    {1, 1, 7, 65, 128, false, Mask::all_hidden},
    {2, 1, 7, 300, 64, true, Mask::all},
    {1, 1, 1, 300, 128, false, Mask::half_hidden},
    {1, 2, 2, 300, 3, true},
    {1, 1, 1, 1100, 64},
    {1, 1, 2, 1100, 24, false, Mask::all_hidden},
    {1, 1, 2, 1100, 80, true, Mask::keys},
    {1, 1, 7, 1100, 128, true, Mask::half_hidden},
    {20, 2, 7, 5, 8},  // more queries than blocks
    {2, 2, 3, 0, 8},
    {2, 2, 0, 70, 8},
    // In other ways: dropout, many channels.
    {1, 2, 3, 300, 64, false, Mask::none, 0.2},
    {1, 1, 2, 300, 136},
};

TEST_CASE("attention kernels of few queries") {
  for (const AttentionCase& c : few_cases) {
    check_kernel(
        name_of(c) + " of few queries", {4e-6, 4e-6, 0, 5e-3},
        [&]<class T>(const KernelTable<T>& k, Context<T>& t) { attention_case(c, false, k, t); });
  }
}

template <class T>
View<T> laid(View<T> memory, std::int64_t offset, const Shape& shape,
             const std::vector<std::int64_t>& strides) {
  memory.data += offset;
  memory.layout = Layout(shape);
  std::copy(strides.begin(), strides.end(), memory.layout.strides.begin());
  return memory;
}

TEST_CASE("attention kernels of few queries that lie in what a layer or a cache has") {
  constexpr std::int64_t B = 2, H = 2, Tq = 2, Tk = 130, D = 64, capacity = 150;
  enum class Where { packed, cache, unaligned_cache };
  for (const Where where : {Where::packed, Where::cache, Where::unaligned_cache}) {
    check_kernel("attention in place " + std::to_string(static_cast<int>(where)),
                 {4e-6, 4e-6, 0, 5e-3}, [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   Attention<T> args;
                   if (where == Where::packed) {  // (B, T, 3 H D)
                     constexpr std::int64_t C = H * D;
                     const View<const T> qkv = t.plain({B, Tk, 3 * C});
                     const std::vector<std::int64_t> strides{Tk * 3 * C, D, 3 * C, 1};
                     args.q = laid(qkv, (Tk - Tq) * 3 * C, {B, H, Tq, D}, strides);
                     args.k = laid(qkv, C, {B, H, Tk, D}, strides);
                     args.v = laid(qkv, 2 * C, {B, H, Tk, D}, strides);
                   } else {
                     const std::int64_t offset = where == Where::cache ? 0 : 1;
                     const std::vector<std::int64_t> strides{H * capacity * D, capacity * D, D, 1};
                     args.q = t.plain({B, H, Tq, D});
                     args.k = laid(t.plain({B, H, capacity, D}), offset, {B, H, Tk, D}, strides);
                     args.v = laid(t.plain({B, H, capacity, D}), offset, {B, H, Tk, D}, strides);
                   }
                   args.mask = laid(t.plain({B, Tk, Tq}), 0, {B, H, Tq, Tk}, {Tk * Tq, 0, 1, Tq});
                   args.causal = true;
                   args.scale = static_cast<ComputeType<T>>(0.1);
                   args.out = t.rows_out({B, H, Tq, D});
                   k.attention(args);
                 });
  }
}

TEST_CASE("attention kernels without lse, and of large scores") {
  const AttentionCase c{1, 2, 70, 140, 32};
  check_kernel("attention of large scores", {1e-4, 1e-4, 0, 0.01},
               [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                 Attention<T> args = make_attention(c, t);
                 args.scale = 30;
                 args.out = t.rows_out({c.B, c.H, c.Tq, c.D});
                 k.attention(args);
               });
}

TEST_CASE("attention_backward kernels") {
  for (const AttentionCase& c : attention_cases) {
    check_kernel(
        name_of(c) + " backward", {2e-5, 2e-5, 0, 0.02},
        [&]<class T>(const KernelTable<T>& k, Context<T>& t) { backward_case(c, false, k, t); });
  }
}

// ---- Floats that may be rounded to tf32, which a card does. ----

const std::vector<AttentionCase> tf32_cases = {
    {1, 2, 130, 130, 64, true},
    {2, 1, 67, 131, 24, false, Mask::keys, 0.3},
    {1, 2, 33, 70, 96, true, Mask::all, 0.2},
    {1, 1, 70, 41, 128},
    {1, 1, 65, 200, 128, true, Mask::none, 0.1},
    {1, 2, 40, 70, 128, false, Mask::all_hidden},
    {2, 2, 40, 70, 64, false, Mask::all_hidden},
    {1, 1, 20, 37, 3},
    {1, 1, 9, 17, 98, true},
    {2, 1, 10, 0, 8},
    {2, 1, 0, 10, 8},
    // In float throughout: few queries, many channels.
    {2, 2, 7, 30, 64},
    {1, 1, 20, 20, 256},
};

/// Runs body(allow_tf32, kernels, context) in float beside the reference in double: `most` is a few
/// units of tf32, of which bf16 would be eight. Results are those of float where, and only where,
/// nothing is to be rounded.
template <class Body>
void check_tf32(const AttentionCase& c, double most, const Body& body) {
  const Device device = device_under_test();
  const bool rounds = !is_host_memory(device) && c.Tq >= 8 && c.Tk > 0 && c.D <= 128;
  for (int variation = 0; variation < variations; variation += takes_sample() ? 3 : 1) {
    const std::string what = name_of(c) + " in tf32, variation " + std::to_string(variation);
    const auto run = [&]<class T>(bool allow_tf32, Device where, std::type_identity<T>) {
      return run_case<T>([&](const KernelTable<T>& k, Context<T>& t) { body(allow_tf32, k, t); },
                         1234 + static_cast<unsigned>(variation), variation, where);
    };
    const Outputs expected = run(true, reference_cpu, std::type_identity<double>{});
    const Outputs exact = run(false, device, std::type_identity<float>{});
    const Outputs rounded = run(true, device, std::type_identity<float>{});
    check_close(rounded, expected, {most, most}, what);
    CHECK_MESSAGE(same_bits(rounded, exact) == !rounds, what);
    CHECK_MESSAGE(same_bits(rounded, run(true, device, std::type_identity<float>{})), what);
  }
}

TEST_CASE("attention kernels in tf32") {
  for (const AttentionCase& c : tf32_cases) {
    check_tf32(c, 1.5e-3, [&]<class T>(bool allow_tf32, const KernelTable<T>& k, Context<T>& t) {
      attention_case(c, allow_tf32, k, t);
    });
  }
}

TEST_CASE("attention_backward kernels in tf32") {
  for (const AttentionCase& c : tf32_cases) {
    check_tf32(c, 2e-3, [&]<class T>(bool allow_tf32, const KernelTable<T>& k, Context<T>& t) {
      backward_case(c, allow_tf32, k, t);
    });
  }
}

}  // namespace
