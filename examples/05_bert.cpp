// Sentences as vectors: load a model from a folder of Hugging Face's and compare what texts mean.
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

using ldlm::Tensor;

const std::vector<std::string> sentences{
    "A man is playing a guitar.",        "Someone makes music on an instrument.",
    "The stock market fell sharply.",    "Share prices dropped on Monday.",
    "Two dogs run through a wet field.", "The animals race over the grass.",
};

// Writes a folder as one finds it on the web, with a model that has learned nothing.
void make_small_model(const std::filesystem::path& folder) {
  const auto tokenizer = ldlm::train_wordpiece(sentences, {.vocab_size = 200});
  ldlm::BertConfig config;
  config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  config.hidden_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.intermediate_size = 128;
  config.max_position_embeddings = 64;
  ldlm::Generator generator(3);
  ldlm::Bert<float>(config, generator).save_pretrained(folder);
  tokenizer.save(folder / "tokenizer.json");
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
    // Tokenizer, model, and what the folder says is to be done with the model's states.
    const auto encoder = ldlm::SentenceEncoder<float>::from_pretrained(folder);
    const auto vectors = normalize_rows(encoder.encode(sentences, {.batch_size = 4}));  // (N, D)
    const auto similarities = matmul(vectors, vectors.transpose(0, 1));
    std::cout << "cosine similarities" << (argc > 1 ? "" : " (random weights: they mean nothing)")
              << ":\n"
              << std::fixed << std::setprecision(2);
    for (std::int64_t i = 0; i < vectors.size(0); ++i) {
      for (std::int64_t j = 0; j < vectors.size(0); ++j) {
        std::cout << std::setw(6) << similarities.at({i, j});
      }
      std::cout << "   " << sentences[static_cast<std::size_t>(i)] << "\n";
    }

    // The model by itself: a batch has ids and a mask of what is no padding, which it takes.
    const ldlm::NoGrad no_graph;
    const auto batch = to_batch(encoder.tokenizer(), sentences);
    const auto states = encoder.bert()(batch).hidden;  // (B, T, C)
    std::cout << "\nthe states of a batch: " << states.shape() << "\n";

    // A sentence's vector does not depend on the company, i.e. on padding.
    const auto alone = normalize_rows(encoder.encode({sentences[0]}));
    const float difference = max(abs(alone - vectors.slice(0, 0, 1))).item();
    std::cout << "largest difference between a sentence embedded alone and in the batch: "
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
