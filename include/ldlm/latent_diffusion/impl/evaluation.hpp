#pragma once
// Bodies of latent_diffusion/evaluation.hpp.

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/latent_diffusion/linear_denoiser.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/train/metrics.hpp>

namespace ldlm::detail {

LDLM_BODY void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY double PerplexityMeter::value() const {
  LDLM_CHECK(tokens_ > 0, "perplexity", "there is no text");
  const double value = std::exp(-total_ / tokens_);
  LDLM_CHECK(std::isfinite(value), "perplexity", "is ", value,
             ": the model's weights lead to values that are no numbers");
  return value;
}

LDLM_BODY std::vector<std::string> shuffle_words(const std::vector<std::string>& texts,
                                                 Generator& generator) {
  std::vector<std::string> out;
  for (const std::string& text : texts) {
    std::vector<std::string> words;
    std::istringstream stream(text);
    for (std::string word; stream >> word;) {
      words.push_back(word);
    }
    shuffle(words, generator);
    std::string joined;
    for (const std::string& word : words) {
      joined += (joined.empty() ? "" : " ") + word;
    }
    out.push_back(std::move(joined));
  }
  return out;
}

}  // namespace ldlm
