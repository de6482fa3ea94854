// What weights of few bits cost: the loss in nats per token of a trained GPT-2, the one that judges
// samples of weights/ldlm-tiny, on sentences of LDLM_BENCH_TEXT, or else of this project's
// documentation, less that of plain weights; ours and llama.cpp's.

#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <ldlm/nn/quantize.hpp>
#include <ldlm/text/corpus.hpp>
#include <ldlm/text/tokenizer_json.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Gpt2;
using Sequences = std::vector<std::vector<std::int64_t>>;

const std::string model_folder = LDLM_BENCH_ROOT "/weights/ldlm-tiny/judge";
constexpr std::size_t most_sentences = 400;

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
  for (const std::string_view sentence : ldlm::text::split_sentences(text)) {
    std::vector<std::int64_t> ids{end};
    for (const std::int32_t id : tokenizer.encode_ids(sentence)) {
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

/// Per token, of the sum over sequences.
double per_token(double sum, const Sequences& sequences) {
  const auto add = [](std::size_t count, const auto& ids) { return count + ids.size() - 1; };
  return sum / static_cast<double>(
                   std::accumulate(sequences.begin(), sequences.end(), std::size_t{0}, add));
}

double our_loss(const Gpt2<float>& model, const Sequences& sequences) {
  const ldlm::NoGrad scope;
  double sum = 0;
  for (const auto& ids : sequences) {
    const auto length = static_cast<std::int64_t>(ids.size());
    const auto tensor = ldlm::Tensor<std::int64_t>::from_values({1, length}, ids);
    sum += static_cast<double>(model.loss({.ids = tensor}, tensor).value().item()) *
           static_cast<double>(length - 1);
  }
  return per_token(sum, sequences);
}

/// Throws where the peer is missing.
double peer_loss(const std::string& format, const Sequences& sequences) {
  std::vector<ldlm::bench::Contender> peers;
  ldlm::bench::add_peer(
      peers, "llama.cpp", "llama_peer.py",
      {{"work", "loss"}, {"folder", model_folder}, {"format", format}, {"sequences", sequences}},
      2);
  if (peers.empty()) {
    throw std::runtime_error("llama.cpp is missing");
  }
  const std::vector<float> losses = peers.front().result();
  return per_token(std::accumulate(losses.begin(), losses.end(), 0.0), sequences);
}

void add(ldlm::QuantizedFormat format, const std::string& theirs) {
  const auto run = [=](benchmark::State& state) {
    try {
      ldlm::set_num_threads(2);
      auto model = Gpt2<float>::from_pretrained(model_folder);
      const Sequences sequences = read_sequences(model.config.n_positions);
      for ([[maybe_unused]] auto _ : state) {
        const double plain = our_loss(model, sequences);
        ldlm::nn::quantize(model, format);
        state.counters["plain"] = plain;
        state.counters["ours"] = our_loss(model, sequences) - plain;
        const double their_plain = peer_loss("f32", sequences);
        state.counters["llama.cpp_plain"] = their_plain;
        state.counters["llama.cpp"] = peer_loss(theirs, sequences) - their_plain;
      }
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
  const std::string name =
      "perplexity/" + std::string(name_of(format)) + "_" + theirs + "/threads:2";
  benchmark::RegisterBenchmark(name.c_str(), run)->Iterations(1);
}

}  // namespace

int main(int argc, char** argv) {
  add(ldlm::QuantizedFormat::bf16, "f16");
  add(ldlm::QuantizedFormat::int8, "q8_0");
  add(ldlm::QuantizedFormat::int4, "q4_0");
  return ldlm::bench::run_benchmarks(argc, argv);
}
