// weights/ldlm-tiny from end to end: token ids are encoded, noised to t = 500, denoised (twice, as
// it reads its own estimate) and decoded with five beams, for one sentence and for sixteen, against
// PyTorch with the same weights and noise. The texts are compared. Rates are in sentences per
// second.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/latent_diffusion/pipeline.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Tensor;

constexpr std::int64_t t = 500;
const std::string model_folder = LDLM_BENCH_ROOT "/weights/ldlm-tiny";

const std::vector<std::string> sentences{
    "The river rises in the mountains and flows through the old town to the sea.",
    "The station was opened in 1894 and closed to passengers in 1962.",
    "He was born in London and studied law at the University of Edinburgh.",
    "The village is located in the north of the district, near the border.",
    "The album was released in the United Kingdom in the following year.",
    "She played for the national team at the World Championships in Paris.",
    "The species is found in the forests of South America and in Mexico.",
    "The church was built in the twelfth century by the monks of the abbey.",
    "The company moved its office to New York after the war.",
    "In 1978 he became the director of the museum of modern art.",
    "The film tells the story of a young man who leaves his home.",
    "The bridge over the canal was destroyed by a flood in 1921.",
    "The party won the election and formed a new government.",
    "The lake is the largest in the country and a popular place for fishing.",
    "Most of the people who live on the island speak two languages.",
    "The second season began in October and ended in March of the next year."};

void add(std::int64_t count) {
  const auto make = [=](int threads) {
    const auto model =
        std::make_shared<const ldlm::Ldlm<float>>(ldlm::Ldlm<float>::load(model_folder));
    const auto& config = model->config();
    const std::int64_t length = config.latent_length, channels = config.latent_channels;
    auto ids = Tensor<std::int64_t>::full({count, length}, model->end_id());
    for (std::int64_t row = 0; row < count; ++row) {
      const auto text = model->tokenize(sentences[static_cast<std::size_t>(row)]);
      std::copy(text.begin(), text.end(), ids.data() + row * length);
    }
    const auto values = std::make_shared<std::vector<float>>(
        ldlm::bench::random_values(count * length * channels, 2));
    const auto folder = std::make_shared<const ldlm::bench::TemporaryFolder>();
    const std::string noise_file = folder->path / "noise.f32";
    ldlm::bench::write_values(noise_file, *values);
    const auto noise = Tensor<float>::from_blob(values->data(), {count, length, channels});
    const double alpha_bar = model->levels().alpha_bar(t);

    const auto run = [model, ids, values, noise, count, alpha_bar] {
      const std::vector<double> level(static_cast<std::size_t>(count), alpha_bar);
      const Tensor<float> zt = ldlm::add_noise(model->encode_ids(ids), noise, level);
      return model->decode_ids(model->denoise(zt, t), {.t = t});
    };
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", [=] { return ldlm::bench::time_runs(run, threads, 0.05); },
         [=] {
           std::vector<float> all;
           for (const auto& text : run()) {
             all.insert(all.end(), text.begin(), text.end());
           }
           return all;
         }}};
    std::vector<std::int64_t> flat(ids.data(), ids.data() + ids.numel());
    ldlm::bench::add_peer(contenders, "pytorch", "ldlm_peer.py",
                          {{"folder", model_folder},
                           {"rows", count},
                           {"ids", flat},
                           {"noise", noise_file},
                           {"alpha_bar", alpha_bar},
                           {"log_snr", ldlm::bounded_log_snr(alpha_bar)}},
                          threads);
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(count);
    how.unit = "sentences/s";
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark("ldlm/" + std::to_string(count), make, 5);
}

}  // namespace

int main(int argc, char** argv) {
  add(1);
  add(static_cast<std::int64_t>(sentences.size()));
  return ldlm::bench::run_benchmarks(argc, argv);
}
