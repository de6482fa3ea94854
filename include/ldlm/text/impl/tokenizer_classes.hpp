#pragma once
// The tokenizer classes of `transformers` whose vocabulary files are read: which files, which
// special tokens where no file names them, and what is put around a text.

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ldlm::detail {

/// The keys of the named special tokens, in the order in which missing ones get ids.
inline constexpr std::array<std::string_view, 7> special_token_keys{
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

/// How a family of classes reads and wraps text.
enum class ClassFamily {
  gpt2,     ///< byte-level BPE, nothing around a text
  roberta,  ///< byte-level BPE, <s> A </s> and <s> A </s></s> B </s>
  bert,     ///< WordPiece, [CLS] A [SEP] and [CLS] A [SEP] B [SEP]
};

using NamedToken = std::pair<std::string_view, std::string_view>;

/// A family's special tokens where no file names others.
[[nodiscard]] inline std::span<const NamedToken> default_special_tokens(ClassFamily family) {
  static constexpr std::array<NamedToken, 3> gpt2{{{"bos_token", "<|endoftext|>"},
                                                   {"eos_token", "<|endoftext|>"},
                                                   {"unk_token", "<|endoftext|>"}}};
  static constexpr std::array<NamedToken, 7> roberta{{{"bos_token", "<s>"},
                                                      {"eos_token", "</s>"},
                                                      {"unk_token", "<unk>"},
                                                      {"sep_token", "</s>"},
                                                      {"pad_token", "<pad>"},
                                                      {"cls_token", "<s>"},
                                                      {"mask_token", "<mask>"}}};
  static constexpr std::array<NamedToken, 5> bert{{{"unk_token", "[UNK]"},
                                                   {"sep_token", "[SEP]"},
                                                   {"pad_token", "[PAD]"},
                                                   {"cls_token", "[CLS]"},
                                                   {"mask_token", "[MASK]"}}};
  switch (family) {
    case ClassFamily::gpt2:
      return gpt2;
    case ClassFamily::roberta:
      return roberta;
    case ClassFamily::bert:
      break;
  }
  return bert;
}

struct KnownClass {
  std::string_view name;  ///< without "Fast"
  ClassFamily family;
  bool keeps_json = false;  ///< takes all but the template from a tokenizer.json
};

inline constexpr std::array<KnownClass, 14> known_classes{{
    {"GPT2Tokenizer", ClassFamily::gpt2},
    {"RobertaTokenizer", ClassFamily::roberta},
    {"BartTokenizer", ClassFamily::roberta},
    {"LongformerTokenizer", ClassFamily::roberta},
    {"LEDTokenizer", ClassFamily::roberta},
    {"MvpTokenizer", ClassFamily::roberta},
    {"BertTokenizer", ClassFamily::bert},
    {"DistilBertTokenizer", ClassFamily::bert},
    {"ElectraTokenizer", ClassFamily::bert},
    {"MobileBertTokenizer", ClassFamily::bert},
    {"ConvBertTokenizer", ClassFamily::bert, true},
    {"LayoutLMTokenizer", ClassFamily::bert},
    {"LxmertTokenizer", ClassFamily::bert},
    {"SqueezeBertTokenizer", ClassFamily::bert},
}};

/// The class of a name, or null.
[[nodiscard]] constexpr const KnownClass* find_class(std::string_view name) {
  for (const KnownClass& known : known_classes) {
    if (known.name == name) {
      return &known;
    }
  }
  return nullptr;
}

/// The other classes of `transformers` (5.24), without "Tokenizer", that make their tokenizer anew
/// beside a tokenizer.json or read other files: what they make of the file is not known here.
inline constexpr std::string_view foreign_classes =
    " Albert Barthez Bartpho BertGeneration BertJapanese Bertweet BigBird BioGpt "
    "BlenderbotSmall Blenderbot ByT5 Camembert Canine CLIP Clvp CodeGen CodeLlama Cohere "
    "CpmAnt Cpm CTRL Deberta DebertaV2 Dia DPRContextEncoder DPRQuestionEncoder DPRReader "
    "Esmc Esm FastSpeech2Conformer Flaubert FSMT Funnel Gemma GPTNeoXJapanese GPTNeoX "
    "GPTSw3 Herbert Lasr LayoutLMv2 LayoutLMv3 LayoutXLM Luke M2M100 Marian MarkupLM "
    "MBart50 MBart Mgpstr MLuke MPNet MyT5 Nllb Nougat OpenAIGPT Pegasus Perceiver Phi3 "
    "Phobert PLBart Pop2Piano ProphetNet Qwen2 Qwen3_5 Rag Reformer RemBert RoCBert "
    "RoFormer SeamlessM4T Siglip2 Siglip Speech2Text SpeechT5 Splinter T5 Tapas Tipsv2 "
    "Udop VideoPrism Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper XGLM XLMRoberta XLM "
    "XLNet ";

[[nodiscard]] inline bool is_foreign_class(std::string_view name) {
  constexpr std::string_view last = "Tokenizer";
  return name.ends_with(last) &&
         foreign_classes.find(' ' + std::string(name.substr(0, name.size() - last.size())) + ' ') !=
             std::string_view::npos;
}

}  // namespace ldlm::detail
