// What a card does in a second, and what tools/cuda.sh sets beside PyTorch on the same card: the
// cases of bench_torch.py, under the same names. A JSON document a line: {"name", "unit", "rate"},
// the median of five times.
//
//   bench_cuda [--small] [the beginning of a name...]
//
// --small makes every size tiny: to see that all runs, on an emulated card too.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/devices.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/precision.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/optim/adam.hpp>

namespace {

using namespace ldlm;
using Floats = Tensor<float>;

struct Bench {
  bool small = false;
  std::vector<std::string_view> wanted;

  [[nodiscard]] std::int64_t size(std::int64_t full, std::int64_t tiny) const {
    return small ? tiny : full;
  }
  [[nodiscard]] bool wants(std::string_view name) const {
    return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [name](std::string_view w) {
             return name.starts_with(w);
           });
  }

  /// Prints how many `unit`s a second run() makes, which makes `amount` of them at a time.
  void rate(std::string_view name, std::string_view unit, double amount,
            const std::function<void()>& run) const {
    const auto seconds = [&](int times) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < times; ++i) {
        run();
      }
      synchronize(cuda);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    seconds(1);  // what is made once, such as memory
    const double once = seconds(1);
    const double enough = small ? 0.0 : 0.1;
    const int times = std::clamp(static_cast<int>(enough / once), 1, 1000);
    std::vector<double> rates;
    for (int i = 0; i < (small ? 1 : 5); ++i) {
      rates.push_back(amount * times / seconds(times));
    }
    std::sort(rates.begin(), rates.end());
    std::printf("{\"name\": \"%.*s\", \"unit\": \"%.*s\", \"rate\": %.6g}\n",
                static_cast<int>(name.size()), name.data(), static_cast<int>(unit.size()),
                unit.data(), rates[rates.size() / 2]);
    std::fflush(stdout);
  }
};

Floats drawn(const Shape& shape) {
  Generator generator(1);
  return randn(shape, generator, 0, 1, cuda);
}
Tensor<std::int64_t> ids_below(std::int64_t bound, const Shape& shape) {
  Generator generator(2);
  auto out = Tensor<std::int64_t>::empty(shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data()[i] = generator.below(bound);
  }
  return out;
}

/// One pass over memory each: bytes that must be read and written.
void memory_bound(const Bench& bench) {
  const std::int64_t rows = bench.size(32768, 8);
  const std::int64_t columns = bench.size(1024, 16);
  const Floats x = drawn({rows, columns});
  const Floats y = Floats::empty(x.shape(), cuda);
  const double bytes = 4.0 * static_cast<double>(x.numel());
  bench.rate("memory/copy", "byte", 2 * bytes, [&] { y.copy_(x); });
  bench.rate("memory/gelu", "byte", 2 * bytes, [&] { (void)gelu(x); });
  bench.rate("memory/add", "byte", 3 * bytes, [&] { (void)add(x, y); });
  bench.rate("memory/sum", "byte", bytes, [&] { (void)sum(x); });
  bench.rate("memory/softmax", "byte", 2 * bytes, [&] { (void)softmax(x); });
  const Floats ones = Floats::ones({columns}, cuda);
  bench.rate("memory/layer_norm", "byte", 2 * bytes, [&] { (void)layer_norm(x, ones, ones); });
  {
    const Variable<float> leaf(x, true);
    const Variable<float> gamma(ones, true);
    const Variable<float> beta(ones.clone(), true);
    bench.rate("memory/layer_norm_train", "byte", 5 * bytes,
               [&] { layer_norm(leaf, gamma, beta).backward({x}); });
  }
  {
    const std::int64_t vocab = bench.size(50257, 33);
    const std::int64_t texts = bench.size(4096, 4);
    const Variable<float> logits(drawn({texts, vocab}), true);
    const auto targets = ids_below(vocab, {texts});
    bench.rate("memory/cross_entropy_train", "byte", 12.0 * static_cast<double>(texts * vocab),
               [&] { cross_entropy(logits, targets).backward(); });
  }
  {
    const Variable<float> parameter(drawn({bench.size(124'000'000, 100)}), true);
    AdamW optimizer(std::vector{parameter});
    parameter.backward({parameter.value().clone()});
    bench.rate("memory/adamw", "byte", 28.0 * static_cast<double>(parameter.numel()),
               [&] { optimizer.step(); });
  }
  {
    const std::int64_t vocab = bench.size(50257, 33);
    const std::int64_t count = bench.size(8192, 8);
    const Variable<float> table(drawn({vocab, columns}), true);
    const auto ids = ids_below(vocab, {count}).to(cuda);
    bench.rate("memory/embedding_train", "byte", 16.0 * static_cast<double>(count * columns), [&] {
      table.zero_grad();
      sum(embedding(table, ids)).backward();
    });
  }
}

/// Of floats: how exactly products are computed, and what their names end with. Those that end with
/// "/bf16" are of tensors of bf16.
constexpr std::pair<MatmulPrecision, const char*> precisions[] = {
    {MatmulPrecision::highest, "/f32"}, {MatmulPrecision::high, "/tf32"}};

void products(const Bench& bench) {
  struct Case {
    std::int64_t m, n, k;
  };
  for (const Case& c : {Case{4096, 4096, 4096}, Case{8192, 768, 768}, Case{8192, 3072, 768},
                        Case{8192, 768, 3072}, Case{1, 3072, 768}, Case{32, 3072, 768}}) {
    const std::int64_t m = bench.size(c.m, 5);
    const std::int64_t n = bench.size(c.n, 7);
    const std::int64_t k = bench.size(c.k, 9);
    const Floats a = drawn({m, k});
    const Floats b = drawn({n, k});
    const std::string name =
        "gemm/" + std::to_string(c.m) + 'x' + std::to_string(c.n) + 'x' + std::to_string(c.k);
    for (const auto& [precision, suffix] : precisions) {
      if (precision == MatmulPrecision::highest || c.m > 32) {
        set_matmul_precision(precision);
        bench.rate(name + suffix, "FLOP", 2.0 * static_cast<double>(m * n * k),
                   [&] { (void)linear(a, b); });
      }
    }
    set_matmul_precision(MatmulPrecision::highest);
    const auto half_a = cast<bf16>(a);
    const auto half_b = cast<bf16>(b);
    bench.rate(name + "/bf16", "FLOP", 2.0 * static_cast<double>(m * n * k),
               [&] { (void)linear(half_a, half_b); });
  }
}

template <class T>
void attention_of(const Bench& bench, const std::string& suffix) {
  for (const std::int64_t length : {512, 1024, 4096}) {
    for (const std::int64_t width : {64, 128}) {
      const std::int64_t rows = bench.size(length, 6);
      const std::int64_t B = bench.size(8192 / length, 1);
      const std::int64_t H = bench.size(768 / width, 2);
      const Shape shape{B, H, rows, bench.size(width, 8)};
      const Variable<T> q(cast<T>(drawn(shape)), true);
      const Variable<T> k(cast<T>(drawn(shape)), true);
      const Variable<T> v(cast<T>(drawn(shape)), true);
      const double flops =
          2.0 * static_cast<double>(q.numel() * rows);  // causal: half of the square
      const std::string of = std::to_string(length) + "x" + std::to_string(width) + suffix;
      bench.rate("attention/forward/" + of, "FLOP", flops, [&] {
        const NoGrad scope;
        (void)scaled_dot_product_attention(q, k, v, {.causal = true});
      });
      const Tensor<T> dy = cast<T>(drawn(shape));
      bench.rate("attention/train/" + of, "FLOP", 3.5 * flops,
                 [&] { scaled_dot_product_attention(q, k, v, {.causal = true}).backward({dy}); });
    }
  }
}

void attention(const Bench& bench) {
  attention_of<float>(bench, "/f32");
  attention_of<bf16>(bench, "/bf16");
}

Gpt2Config gpt2_config(const Bench& bench) {
  Gpt2Config config;
  config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0;
  if (bench.small) {
    config.vocab_size = 50;
    config.n_positions = 32;
    config.n_embd = 16;
    config.n_layer = 1;
    config.n_head = 2;
    config.bos_token_id = 0;
    config.eos_token_id = {0};
  }
  return config;
}

template <class T>
void training_of(const Bench& bench, const std::string& name) {
  Generator generator(1);
  Gpt2<T> model(gpt2_config(bench), generator);
  to(model, cuda);
  AdamW optimizer(named_parameters(model), {.learning_rate = 1e-4});
  const std::int64_t B = bench.size(8, 2);
  const std::int64_t length = bench.size(1024, 16);
  const auto ids = ids_below(model.config.vocab_size, {B, length});
  bench.rate(name, "token", static_cast<double>(B * length), [&] {
    optimizer.zero_grad();
    const Variable<float> loss = model.loss({.ids = ids}, ids);
    loss.backward();
    optimizer.step();
    (void)loss.item();
  });
}
void training(const Bench& bench) {
  for (const auto& [precision, suffix] : precisions) {
    set_matmul_precision(precision);
    training_of<float>(bench, std::string("train/gpt2") + suffix);
  }
  set_matmul_precision(MatmulPrecision::highest);
  training_of<bf16>(bench, "train/gpt2/bf16");
}

template <class T>
void decoding_of(const Bench& bench, const std::string& suffix) {
  Generator generator(1);
  Gpt2<T> model(gpt2_config(bench), generator);
  to(model, cuda);
  const std::int64_t tokens = bench.size(64, 3);
  for (const std::int64_t batch : {1, 32}) {
    const std::int64_t B = bench.size(batch, 2);
    const auto prompts = ids_below(model.config.vocab_size, {B, bench.size(16, 2)});
    bench.rate("decode/gpt2/" + std::to_string(batch) + suffix, "token",
               static_cast<double>(B * tokens), [&] {
                 Gpt2Session<T> session(model);
                 (void)greedy(session, prompts, {.max_new_tokens = tokens});
               });
  }
}
void decoding(const Bench& bench) {
  decoding_of<float>(bench, "/f32");
  decoding_of<bf16>(bench, "/bf16");
}

void sampling(const Bench& bench) {
  if (bench.small) {
    return;  // minutes on an emulated card
  }
  auto model = Ldlm<float>::load(LDLM_BENCH_ROOT "/weights/ldlm-tiny");
  model.to(cuda);
  constexpr std::int64_t count = 256;
  bench.rate("sample/ldlm-tiny/256", "text", count, [&] {
    Generator generator(7);
    (void)model.decode(model.sample(count, {}, generator), {.num_beams = 1});
  });
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--small") {
      bench.small = true;
    } else {
      bench.wanted.emplace_back(argv[i]);
    }
  }
  try {
    std::printf("{\"device\": \"%s\"}\n", device_info(cuda).name.c_str());
    const std::pair<std::string_view, void (*)(const Bench&)> groups[] = {
        {"memory", memory_bound}, {"gemm", products},   {"attention", attention},
        {"train", training},      {"decode", decoding}, {"sample", sampling}};
    for (const auto& [name, run] : groups) {
      if (bench.wants(name)) {
        run(bench);
      }
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_cuda: %s\n", error.what());
    return 1;
  }
}
