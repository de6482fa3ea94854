// GPT-2: train a tiny one from scratch, or load a published one, and let it write. On a card, if
// there is one and the program has the CUDA backend (-DLDLM_CUDA=ON, or link ldlm::cuda), else on
// the CPU.
//
//   06_gpt2                    trains on the sentences below
//   06_gpt2 FOLDER [PROMPT]    e.g. distilgpt2: config.json, model.safetensors and a tokenizer

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/ldlm.hpp>

using ldlm::Gpt2;
using ldlm::Tokenizer;

const std::vector<std::string> sentences{
    "The fox lived in the forest.",
    "The crow lived in the old tree.",
    "The crow flew over the forest and looked for food.",
    "The fox asked the crow what she had seen.",
    "The crow saw a man with a cart full of bread.",
    "The man saw the fox and stopped the cart.",
    "The fox lay down in the road.",
    "The man put the fox on the cart.",
    "The fox threw the bread from the cart.",
    "The crow carried the bread to the old tree.",
    "The man came home with an empty cart.",
    "The fox and the crow ate the bread in the forest.",
};
const std::string end_token = "<|endoftext|>";

Tokenizer learn_tokenizer() {
  ldlm::BpeTrainerOptions options;
  options.vocab_size = 300;
  options.special_tokens = {end_token};
  options.add_prefix_space = true;  // the first word is spelt as the others are
  return ldlm::train_bpe(sentences, options);
}

Gpt2<float> train(const Tokenizer& tokenizer, ldlm::Device device) {
  ldlm::Gpt2Config config;
  config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  config.bos_token_id = tokenizer.token_to_id(end_token).value();
  config.eos_token_id = {*config.bos_token_id};
  config.n_positions = 48;
  config.n_embd = 64;
  config.n_layer = 2;
  config.n_head = 4;
  config.embd_pdrop = config.resid_pdrop = config.attn_pdrop = 0;
  ldlm::Generator generator(11);
  Gpt2<float> model(config, generator);
  ldlm::to(model, device);  // before the optimiser is made

  ldlm::Dataset data(32, tokenizer.token_to_id(end_token).value());  // rows of 32 tokens
  for (const std::string& sentence : sentences) {
    data.add(tokenizer.encode_ids(sentence));
  }
  std::cout << "training " << ldlm::num_parameters(model) << " parameters\n";

  // With warm-up, cosine decay and clipping. Example 10 has checkpoints and evaluation as well.
  ldlm::Trainer trainer(model,
                        ldlm::AdamW(ldlm::trainable_parameters(model), {.learning_rate = 5e-3}),
                        {.steps = 150, .batch_size = 12, .warmup = 20, .report_every = 30});
  trainer.run(data.size(),
              [&](const ldlm::Tensor<std::int64_t>& rows) {
                // Each token is predicted from those before it, the first one from an end token.
                return causal_lm_loss(model, data.rows(rows), config.eos_token_id.front());
              },
              {.report = [](const ldlm::TrainProgress& p) {
                std::cout << "step " << p.step << "  loss " << p.loss << "\n";
              }});
  return model;
}

int main(int argc, char** argv) {
  const bool loading = argc > 1;
  const std::string prompt = argc > 2 ? argv[2] : loading ? "Once upon a time" : "The";
  try {
    const Tokenizer tokenizer = loading ? Tokenizer::from_folder(argv[1]) : learn_tokenizer();
    const ldlm::Device device = ldlm::devices().back().device;
    Gpt2<float> model = loading ? Gpt2<float>::from_pretrained(argv[1]) : train(tokenizer, device);
    ldlm::to(model, device);
    const bool from_end = !loading;  // the tiny model has learned its texts behind an end token

    std::cout << "\n-- Greedy, shown as it comes: the likeliest token, again and again.\n"
              << prompt;
    const std::string likeliest =
        generate(model, tokenizer, {prompt},
                 {.max_new_tokens = 40,
                  .add_bos = from_end,
                  .on_text = [](std::size_t,
                                std::string_view text) { std::cout << text << std::flush; }})
            .front();

    std::cout << "\n\n-- Drawn from the likeliest tokens with a probability of 0.9 together.\n";
    ldlm::Generator generator(5);
    const std::vector<std::string> prompts(4, prompt);
    for (const std::string& text :
         generate(model, tokenizer, prompts,
                  {.max_new_tokens = 40, .add_bos = from_end, .top_p = 0.9}, generator)) {
      std::cout << prompt << text << "\n";
    }

    std::cout << "\n-- Beam search: the likeliest text as a whole.\n";
    std::cout << prompt
              << generate(model, tokenizer, {prompt},
                          {.max_new_tokens = 40, .add_bos = from_end, .num_beams = 3})
                     .front()
              << "\n";

    // The tiny model should know its sentences by heart.
    const std::string text = prompt + likeliest;
    if (!loading && std::find(sentences.begin(), sentences.end(), text) == sentences.end()) {
      std::cerr << "it has not learned \"" << text << "\"\n";
      return 1;
    }
  } catch (const ldlm::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
