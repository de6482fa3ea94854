// What weights of few bits cost: the loss in nats per token of a trained GPT-2, the one that judges
// samples of weights/ldlm-tiny, on sentences of LDLM_BENCH_TEXT, or else of this project's
// documentation, less that of plain weights; ours and llama.cpp's. `excess` is ours less theirs,
// and `error` its standard error, over sentences.

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/nn/pack.hpp>
#include <ldlm/text/corpus.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;
using Sequences = std::vector<std::vector<std::int64_t>>;

const std::string model_folder = LDLM_BENCH_ROOT "/weights/ldlm-tiny/judge";
constexpr std::size_t most_sentences = 2000;

/// Sentences as token ids, each after an end token and with one at its end.
Sequences read_sequences(std::int64_t most_tokens) {
  const auto tokenizer =
      ldlm::Tokenizer::from_file(LDLM_BENCH_ROOT "/weights/ldlm-tiny/tokenizer.json");
  const std::int64_t end = tokenizer.token_to_id("<|endoftext|>").value();
  const char* const file = std::getenv("LDLM_BENCH_TEXT");
  std::string text;
  if (file != nullptr) {
    std::ifstream in(file, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  } else {
    for (const std::int64_t byte : ldlm::bench::documentation_bytes()) {
      text += static_cast<char>(byte);
    }
  }
  Sequences sequences;
  for (const std::string_view sentence : ldlm::split_sentences(text)) {
    std::vector<std::int64_t> ids{end};
    for (const auto id : tokenizer.encode_ids(sentence)) {
      ids.push_back(id);
    }
    ids.push_back(end);
    if (ids.size() > 4 && static_cast<std::int64_t>(ids.size()) <= most_tokens) {
      sequences.push_back(std::move(ids));
    }
    if (sequences.size() == most_sentences) {
      break;
    }
  }
  return sequences;
}

/// -log p of every sequence, read token by token, as text is generated.
std::vector<double> our_losses(const Gpt2<float>& model, const Sequences& sequences) {
  std::vector<double> losses;
  for (const auto& ids : sequences) {
    ldlm::Gpt2Session<float> session(model);
    double loss = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto logits = session.step(ldlm::Tensor<std::int64_t>::full({1, 1}, ids[i]));
      loss -= static_cast<double>(ldlm::log_softmax(logits, -1).at({0, ids[i + 1]}));
    }
    losses.push_back(loss);
  }
  return losses;
}

/// Throws where the peer is missing.
std::vector<double> peer_losses(const std::string& format, const Sequences& sequences) {
  std::vector<ldlm::bench::Contender> peers;
  ldlm::bench::add_peer(peers, "llama.cpp", "llama_peer.py",
                        {{"work", "loss"},
                         {"folder", model_folder},
                         {"format", format},
                         {"repacks", false},
                         {"sequences", sequences}},
                        1);
  if (peers.empty()) {
    throw std::runtime_error("llama.cpp is missing");
  }
  const std::vector<float> losses = peers.front().result();
  return {losses.begin(), losses.end()};
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

void add(ldlm::WeightFormat format, const std::string& theirs) {
  const auto run = [=](benchmark::State& state) {
    try {
      ldlm::set_num_threads(1);
      auto model = Gpt2<float>::from_pretrained(model_folder);
      const Sequences sequences = read_sequences(model.config.n_positions);
      double tokens = 0;
      for (const auto& ids : sequences) {
        tokens += static_cast<double>(ids.size() - 1);
      }
      for ([[maybe_unused]] auto _ : state) {
        static const auto plain = our_losses(model, sequences);
        static const auto their_plain = peer_losses("f32", sequences);
        ldlm::pack(model, format);
        const auto ours = our_losses(model, sequences);
        const auto theirs_few = peer_losses(theirs, sequences);
        state.counters["plain"] = sum(plain) / tokens;
        state.counters["llama.cpp_plain"] = sum(their_plain) / tokens;
        state.counters["ours"] = (sum(ours) - sum(plain)) / tokens;
        state.counters["llama.cpp"] = (sum(theirs_few) - sum(their_plain)) / tokens;
        double squares = 0;
        const double excess = sum(ours) - sum(plain) - sum(theirs_few) + sum(their_plain);
        const double count = static_cast<double>(sequences.size());
        for (std::size_t i = 0; i < sequences.size(); ++i) {
          const double one = ours[i] - plain[i] - theirs_few[i] + their_plain[i] - excess / count;
          squares += one * one;
        }
        state.counters["excess"] = excess / tokens;
        state.counters["error"] = std::sqrt(squares) / tokens;
      }
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
  const std::string name =
      "perplexity/" + std::string(name_of(format)) + "_" + theirs + "/threads:1";
  benchmark::RegisterBenchmark(name.c_str(), run)->Iterations(1);
}

}  // namespace

int main(int argc, char** argv) {
  add(ldlm::WeightFormat::bf16, "f16");
  add(ldlm::WeightFormat::int8, "q8_0");
  add(ldlm::WeightFormat::int4, "q4_0");
  return ldlm::bench::run_benchmarks(argc, argv);
}
