// Tokenizers: learn one from a text, or load a published one; encode, find the offsets, decode.
//
//   04_tokenizers                  learns a byte-level BPE from the text below
//   04_tokenizers FOLDER           loads GPT-2's or BERT's from a folder of Hugging Face's

#include <filesystem>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

#include <ldlm/ldlm.hpp>

using ldlm::Tokenizer;

const std::vector<std::string> texts{
    "The river rises in the mountains, where the snow melts late in the spring.",
    "It flows north through a narrow valley and then through the old town.",
    "In the town the river is crossed by three bridges; the oldest was built of stone.",
    "Below the town the valley widens, and the river flows slowly through the meadows.",
    "The mountains are seen from the bridges of the town when the air is clear.",
    "In late spring the meadows are flooded, and the old stone bridge is closed.",
};

Tokenizer learn() {
  ldlm::BpeTrainerOptions options;
  options.vocab_size = 340;  // the 256 bytes, one special token and 83 merges
  options.special_tokens = {"<|endoftext|>"};
  return ldlm::train_bpe(texts, options);
}

// Every token beside the bytes of the text that it stands for.
void show(const Tokenizer& tokenizer, const std::string& text) {
  const ldlm::Encoding encoding = tokenizer.encode(text);
  std::cout << '"' << text << "\" has " << encoding.size() << " tokens:\n";
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    const auto [begin, end] = encoding.byte_offsets[i];
    std::cout << std::setw(7) << encoding.ids[i] << "  " << std::setw(3) << begin << ".."
              << std::left << std::setw(3) << end << std::right << "  " << encoding.tokens[i]
              << "  <- \"" << text.substr(begin, end - begin) << "\"\n";
  }
  std::cout << "decoded: " << tokenizer.decode(encoding.ids) << "\n\n";
}

int main(int argc, char** argv) {
  const bool loading = argc > 1;
  Tokenizer tokenizer = loading ? Tokenizer::from_folder(argv[1]) : learn();
  std::cout << (loading ? "loaded " : "learned ") << tokenizer.vocab_size() << " tokens\n\n";

  show(tokenizer, "The old bridges rise in the air.");
  show(tokenizer, "Zürich 東京 🙂");  // unknown words fall apart into bytes, or become [UNK]

  std::cout << "-- Batches of one length: padding and truncation.\n";
  ldlm::Padding padding;
  padding.pad_token = loading ? tokenizer.id_to_token(0) : "<|endoftext|>";
  tokenizer.set_padding(padding);
  ldlm::Truncation truncation;
  truncation.max_length = 12;
  tokenizer.set_truncation(truncation);
  const std::vector<std::string> batch{"The river", texts.front()};
  for (const ldlm::Encoding& encoding : tokenizer.encode_batch(batch)) {
    for (std::size_t i = 0; i < encoding.size(); ++i) {
      std::cout << std::setw(6) << encoding.ids[i] << (encoding.attention_mask[i] != 0 ? ' ' : '*');
    }
    std::cout << "\n";
  }
  std::cout << "(* marks padding, which the attention mask hides from a model)\n\n";
  tokenizer.set_padding(std::nullopt);
  tokenizer.set_truncation(std::nullopt);

  std::cout << "-- As it is generated, text comes token by token; characters are kept whole.\n";
  ldlm::DecodeStream stream(tokenizer);
  for (const auto id : tokenizer.encode_ids("Its name is Øyånd.")) {
    std::cout << '[' << stream.push(id) << ']';
  }
  std::cout << stream.finish() << "\n\n";

  std::cout << "-- A tokenizer.json, which Hugging Face's library reads as well.\n";
  const auto name = "ldlm_tokenizer_" + std::to_string(::getpid()) + ".json";
  const auto file = std::filesystem::temp_directory_path() / name;
  tokenizer.save(file);
  const Tokenizer again = Tokenizer::from_file(file);
  std::cout << std::filesystem::file_size(file) << " bytes\n";
  std::filesystem::remove(file);

  // Bytes never get lost in byte-level BPE, whatever they are.
  for (const std::string text : {"The river rises.", "Zürich 東京 🙂", " \t\n two  spaces "}) {
    const auto ids = tokenizer.encode_ids(text);
    if (again.encode_ids(text) != ids || (!loading && again.decode(ids) != text)) {
      std::cerr << "\"" << text << "\" did not come back\n";
      return 1;
    }
  }
}
