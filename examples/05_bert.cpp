// BERT: load a model from a folder of Hugging Face's and compare sentences by their embeddings.
//
//   05_bert FOLDER      e.g. all-MiniLM-L6-v2: config.json, model.safetensors and a tokenizer
//   05_bert             makes a small one with random weights, saves it and loads it back

#include <filesystem>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

#include <ldlm/ldlm.hpp>

using ldlm::Bert;
using ldlm::Tensor;
using ldlm::Tokenizer;

const std::vector<std::string> sentences{
    "A man is playing a guitar.",        "Someone makes music on an instrument.",
    "The stock market fell sharply.",    "Share prices dropped on Monday.",
    "Two dogs run through a wet field.", "The animals race over the grass.",
};

// Writes a folder as one finds it on the web, with a model that has learned nothing.
void make_small_model(const std::filesystem::path& folder) {
  ldlm::WordPieceTrainerOptions options;
  options.vocab_size = 200;
  const Tokenizer tokenizer = ldlm::train_wordpiece(sentences, options);
  ldlm::BertConfig config;
  config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  config.hidden_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.intermediate_size = 128;
  config.max_position_embeddings = 64;
  ldlm::Generator generator(3);
  Bert<float>(config, generator).save_pretrained(folder);
  tokenizer.save(folder / "tokenizer.json");
}

// One vector of length 1 for each text: (B, C).
Tensor<float> embed(const Bert<float>& bert, const Tokenizer& tokenizer,
                    const std::vector<std::string>& texts) {
  const ldlm::NoGrad no_graph;
  // Rows as long as the longest text; batch.mask says where a token is no padding.
  const ldlm::TokenBatch batch = to_batch(tokenizer, texts, {.pad_id = bert.config.pad_token_id});
  const auto states = bert({.ids = batch.ids, .mask = batch.mask}).hidden;  // (B, T, C)
  return normalize_rows(mean_pool(states, batch.mask)).value();
}

int main(int argc, char** argv) {
  std::filesystem::path folder;
  if (argc > 1) {
    folder = argv[1];
  } else {
    folder = std::filesystem::temp_directory_path() / ("ldlm_bert_" + std::to_string(::getpid()));
    make_small_model(folder);
  }

  try {
    const auto bert = Bert<float>::from_pretrained(folder);
    const auto tokenizer = Tokenizer::from_folder(folder);
    std::cout << "loaded " << folder.string() << ": " << bert.config.num_hidden_layers
              << " layers of width " << bert.config.hidden_size << ", "
              << ldlm::nn::num_parameters(bert) << " parameters\n\n";

    const Tensor<float> vectors = embed(bert, tokenizer, sentences);
    const Tensor<float> similarities = matmul(vectors, vectors.transpose(0, 1));
    std::cout << "cosine similarities" << (argc > 1 ? "" : " (random weights: they mean nothing)")
              << ":\n"
              << std::fixed << std::setprecision(2);
    for (std::size_t i = 0; i < sentences.size(); ++i) {
      for (std::size_t j = 0; j < sentences.size(); ++j) {
        const auto row = static_cast<std::int64_t>(i);
        std::cout << std::setw(6) << similarities.at({row, static_cast<std::int64_t>(j)});
      }
      std::cout << "   " << sentences[i] << "\n";
    }

    // A sentence's embedding does not depend on the company, i.e. on padding.
    const Tensor<float> alone = embed(bert, tokenizer, {sentences[0]});
    const float difference = max(abs(alone - vectors.slice(0, 0, 1))).item();
    std::cout << "\nlargest difference between a sentence embedded alone and in the batch: "
              << std::scientific << difference << "\n";
    if (argc == 1) {
      std::filesystem::remove_all(folder);
    }
    if (difference > 1e-4F) {
      std::cerr << "that is too much\n";
      return 1;
    }
  } catch (const ldlm::Error& error) {  // e.g. there is no such folder, or a file in it is broken
    std::cerr << error.what() << "\n";
    return 1;
  }
}
