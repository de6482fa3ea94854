#pragma once
// Which tokenizer class of `transformers` (5.24) goes with a model's `model_type`.

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace ldlm::detail {

/// Classes, without "Tokenizer", and the model types that they go with. Model types that are not
/// here take a tokenizer.json as it is.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 75> model_classes{{
    {"GPT2",
     " blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj hyperclovax_vision_v2 instructblip "
     "instructblipvideo jais2 opt phi starcoder2 "},
    {"Roberta",
     " bart bridgetower clap data2vec-text florence2 ibert led lilt longformer mra mvp roberta "
     "roberta-prelayernorm "},
    {"Bert",
     " align bark bert blip bros chinese_clip convbert distilbert electra ernie flava git "
     "grounding-dino layoutlm lxmert megatron-bert mm-grounding-dino mobilebert nomic_bert "
     "squeezebert tvp vilt visual_bert "},
    {"Albert", " albert yoso "},
    {"BertGeneration", " bert-generation "},
    {"BigBird", " big_bird "},
    {"BioGpt", " biogpt "},
    {"Blenderbot", " blenderbot "},
    {"BlenderbotSmall", " blenderbot-small "},
    {"CLIP",
     " aimv2 clip clipseg groupvit omdet-turbo oneformer owlv2 owlvit sam3 sam3_video xclip "},
    {"CTRL", " ctrl "},
    {"Camembert", " camembert "},
    {"Canine", " canine "},
    {"Clvp", " clvp "},
    {"Cohere", " aya_vision cohere cohere2 "},
    {"CpmAnt", " cpmant "},
    {"DPRQuestionEncoder", " dpr "},
    {"Deberta", " deberta "},
    {"DebertaV2", " deberta-v2 "},
    {"Dia", " dia "},
    {"Esm", " esm "},
    {"Esmc", " esmc esmfold2 "},
    {"FNet", " fnet "},
    {"FSMT", " fsmt "},
    {"FastSpeech2Conformer", " fastspeech2_conformer "},
    {"Flaubert", " flaubert "},
    {"Funnel", " funnel "},
    {"GPTSw3", " gpt-sw3 "},
    {"GPTNeoX", " falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm "},
    {"GPTNeoXJapanese", " gpt_neox_japanese "},
    {"Gemma",
     " diffusion_gemma gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma "
     "shieldgemma2 t5gemma zaya "},
    {"Lasr", " lasr_ctc lasr_encoder "},
    {"LayoutLMv2", " layoutlmv2 "},
    {"LayoutLMv3", " layoutlmv3 "},
    {"LayoutXLM", " layoutxlm "},
    {"Llama", " idefics idefics2 "},
    {"Luke", " luke "},
    {"M2M100", " m2m_100 "},
    {"MBart", " mbart "},
    {"MPNet", " mpnet "},
    {"Marian", " marian "},
    {"MarkupLM", " markuplm "},
    {"Mgpstr", " mgp-str "},
    {"Nllb", " nllb-moe "},
    {"Nougat", " pp_formulanet "},
    {"OpenAIGPT", " openai-gpt "},
    {"PLBart", " plbart "},
    {"Pegasus", " pegasus "},
    {"Perceiver", " perceiver "},
    {"ProphetNet", " prophetnet "},
    {"Qwen2",
     " audioflamingo3 colqwen2 cosmos3_omni dots3_note fun_asr_nano hunyuan_vl internvl "
     "lighton_ocr moss_transcribe_diarize ovis2 qianfan_ocr qwen2 qwen2_5_omni qwen2_5_vl "
     "qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl "
     "qwen3_vl_moe vibevoice "},
    {"Qwen3_5", " qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen4_exp "},
    {"Rag", " rag "},
    {"Reformer", " reformer "},
    {"RemBert", " rembert "},
    {"RoCBert", " roc_bert "},
    {"RoFormer", " roformer "},
    {"SeamlessM4T", " seamless_m4t seamless_m4t_v2 "},
    {"Siglip", " siglip "},
    {"Siglip2", " siglip2 "},
    {"Speech2Text", " speech_to_text "},
    {"SpeechT5", " speecht5 "},
    {"Splinter", " splinter "},
    {"T5", " mt5 musicgen musicgen_melody switch_transformers t5 "},
    {"Tapas", " tapas "},
    {"Tipsv2", " tipsv2 "},
    {"Udop", " udop "},
    {"VideoPrism", " videoprism "},
    {"Vits", " vits "},
    {"Wav2Vec2CTC",
     " data2vec-audio hubert unispeech unispeech-sat wav2vec2 wav2vec2-bert wav2vec2-conformer "},
    {"Whisper", " whisper "},
    {"XGLM", " xglm "},
    {"XLM", " xlm "},
    {"XLMRoberta", " gte jina_embeddings_v3 metaclip_2 trocr xlm-roberta xmod "},
    {"XLNet", " xlnet "},
}};

/// The class that a `model_type` stands for where no file names one, or "".
[[nodiscard]] inline std::string class_of_model(const std::string& model_type) {
  if (model_type.find(' ') == std::string::npos) {
    for (const auto& [name, types] : model_classes) {
      if (types.find(' ' + model_type + ' ') != std::string_view::npos) {
        return std::string(name) + "Tokenizer";
      }
    }
  }
  return {};
}

}  // namespace ldlm::detail
