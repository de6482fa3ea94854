#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ldlm/text/tokenizer_json.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

TEST_CASE("a trained BPE tokenizer gives every text back") {
  const std::vector<std::string> texts = {"low lower lowest", "new newer newest", "wide wider"};
  ldlm::BpeTrainerOptions options;
  options.vocab_size = 300;
  options.special_tokens = {"<|endoftext|>"};
  const ldlm::Tokenizer tokenizer = ldlm::train_bpe(texts, options);
  CHECK(tokenizer.vocab_size() <= 300);
  CHECK(tokenizer.token_to_id("<|endoftext|>") == 0);
  for (const std::string text : {"lower newest", "", " x\n\n", "h\u00e9llo \U0001F600"}) {
    CHECK(tokenizer.decode(tokenizer.encode(text).ids) == text);
  }
}
