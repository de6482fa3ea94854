// train-tokenizer, and pretrain encoder|decoder: language models of one side alone.

#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

#include "model_folder.hpp"
#include "training_stage.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

void train_tokenizer(const Common& common, const std::string& corpus, const std::string& out,
                     std::size_t vocab_size) {
  ldlm::BpeTrainerOptions options;
  options.vocab_size = vocab_size;
  options.special_tokens = {end_token, mask_token};
  options.add_prefix_space = true;
  std::error_code none;
  LDLM_CHECK(!fs::equivalent(corpus, out, none), "train-tokenizer",
             "--out is the file of --corpus: the text would be lost");
  const fs::path folder = fs::absolute(out).parent_path();
  std::optional<FolderLock> lock;  // a training that is at work there would write its own
  if (fs::exists(folder / ".ldlm-lock", none)) {
    lock.emplace(folder);
  }
  AtomicFile file(out);  // first, so that a mistake shows before the work
  ldlm::BpeTrainer trainer(options);
  for_each_training_sentence(common, corpus,
                             [&](std::string_view sentence) { trainer.add(sentence); });
  const Tokenizer tokenizer = trainer.train();
  file.write(tokenizer.to_json());
  file.commit();
  say(common, out + ": " + std::to_string(tokenizer.vocab_size()) + " pieces from " +
                  std::to_string(trainer.distinct_words()) + " different words");
}

/// Which model to pretrain: another one's weights, or new ones in a configuration's shapes.
struct HalfArguments {
  std::string from, tokenizer;
  std::string config = "tiny";
  std::int64_t layers = 0, width = 0, heads = 0;  // 0: the configuration's
  std::int64_t length = 0;                        // 0: the sequence latent's, or 40
  bool paragraphs = false;
  // Far above any model; a slip of the finger must not fill the memory.
  static constexpr std::int64_t most = 1000, widest = 65'536;

  void add_to(CLI::App& command) {
    CLI::Option* const folder =
        command.add_option("--from", from, "Begin with the model of this folder");
    command.add_option("--tokenizer", tokenizer,
                       "A tokenizer.json; by default the one in the folder of --from");
    command
        .add_option("--config", config,
                    "Shapes of new weights: tiny, tiny-slots, published, or a model's folder")
        ->excludes(folder);
    for (const auto& [name, value, what] :
         {std::tuple<const char*, std::int64_t*, const char*>{"--layers", &layers, "layers"},
          {"--width", &width, "features"},
          {"--heads", &heads, "attention heads"}}) {
      command
          .add_option(name, *value, "Number of " + std::string(what) + "; 0: the configuration's")
          ->check(CLI::Range(std::int64_t{0}, name == std::string("--width") ? widest : most))
          ->excludes(folder);
    }
    command
        .add_option(
            "--length", length,
            "Tokens of the longest texts, their end included; 0: the latent's length, or 40")
        ->check(non_negative);
    command.add_flag("--paragraphs", paragraphs,
                     "Read all of the text's paragraphs, in stretches of as many sentences as have "
                     "room, and not the sentences that --corpus says");
  }
  [[nodiscard]] LdlmConfig shapes() const { return named_config(config); }
  [[nodiscard]] std::int64_t row_length() const {
    constexpr std::int64_t usual = 40;
    if (length > 0 || !from.empty()) {
      return length > 0 ? length : usual;
    }
    const LdlmConfig c = shapes();
    return c.latent == LatentKind::pooled ? usual : c.text_length();
  }
  /// Whether the encoder is to read padding, as the encoder of a sequence latent does. Another
  /// folder's model does where its tokenizer has no token for padding.
  [[nodiscard]] PaddingTokens padding(const Tokenizer& with) const {
    const bool real = from.empty() ? shapes().latent == LatentKind::sequence
                                   : !with.special_tokens().pad.has_value();
    return real ? PaddingTokens::read : PaddingTokens::masked;
  }
  /// Throws unless the heads share the features evenly.
  void check_heads(std::int64_t features, std::int64_t count) const {
    LDLM_CHECK(features % count == 0, "pretrain", "--heads ", count, " does not divide the ",
               features, " features of --width");
  }
  [[nodiscard]] Tokenizer read_tokenizer() const {
    LDLM_CHECK(!tokenizer.empty() || !from.empty(), "pretrain", "--tokenizer or --from is needed");
    return tokenizer.empty() ? Tokenizer::from_folder(from) : Tokenizer::from_file(tokenizer);
  }
};

/// The id of a special token: the one that the tokenizer's folder names, else the one of this
/// project's name, else the one of BERT's.
std::int64_t special_id(const Tokenizer& tokenizer, std::optional<TokenId> named, const char* ours,
                        const char* berts) {
  for (const auto& id : {named, tokenizer.token_to_id(ours), tokenizer.token_to_id(berts)}) {
    if (id) {
      return *id;
    }
  }
  detail::fail("pretrain", "the tokenizer has neither ", ours, " nor ", berts,
               ", and its folder names no other; make one with `ldlm train-tokenizer`");
}

/// The token that ends a text: BERT's separator, or what ends a text elsewhere.
std::int64_t end_of_text(const Tokenizer& tokenizer) {
  const ldlm::SpecialTokens& named = tokenizer.special_tokens();
  return special_id(tokenizer, named.sep ? named.sep : named.eos, end_token, "[SEP]");
}

/// Gives `data` the paragraphs of a corpus in stretches: as many sentences as fit. One that is
/// longer alone is left out.
void read_paragraphs(const Common& common, const std::string& corpus, const Tokenizer& tokenizer,
                     Dataset& data) {
  std::int64_t left_out = 0;
  ldlm::for_each_paragraph(corpus, [&](std::string_view paragraph) {
    std::string stretch;
    std::vector<TokenId> ids;
    const auto fits = [&](const std::string& text) {
      auto more = tokenizer.encode_ids(text);
      if (more.empty() || static_cast<std::int64_t>(more.size()) >= data.length()) {
        return false;
      }
      stretch = text;
      ids = std::move(more);
      return true;
    };
    const auto take = [&] {
      if (!stretch.empty()) {
        data.add(ids);
      }
      stretch.clear();
    };
    for (const std::string_view sentence : split_sentences(paragraph)) {
      if (!stretch.empty() && fits(stretch + ' ' + std::string(sentence))) {
        continue;
      }
      take();
      left_out += fits(std::string(sentence)) ? 0 : 1;
    }
    take();
  });
  LDLM_CHECK(data.size() > 0, "train", corpus, ": no text fits ", data.length(), " tokens");
  say(common, std::to_string(data.size()) + " stretches of up to " + std::to_string(data.length()) +
                  " tokens; " + std::to_string(left_out) + " longer sentences are left out");
}

/// Trains `model`, which takes texts of up to `longest` tokens, with loss(ids (B, T), generator) of
/// PaddedTexts or TrimmedTexts and writes it with its tokenizer.
template <class Texts, class Model, class Loss>
void pretrain(const Common& common, const TrainingArguments& arguments, const HalfArguments& shapes,
              const std::string& stage, const Tokenizer& tokenizer, Model& model,
              const JsonValue& config, std::int64_t vocab_size, std::int64_t longest,
              std::int64_t end, Loss&& loss) {
  check_tokenizer_fits(stage, tokenizer, vocab_size);
  const std::int64_t length = shapes.row_length();
  LDLM_CHECK(length <= longest, "pretrain", "--length must be at most ", longest,
             ", what the model's positions leave, got ", length);
  const FolderLock lock = prepare_output(arguments.out);
  const auto read = [&](const std::string& corpus) {
    Dataset data(length, end);
    if (shapes.paragraphs) {
      read_paragraphs(common, corpus, tokenizer, data);
    } else {
      read_sentences(common, corpus, length, [&](std::string_view sentence) {
        const auto ids = tokenizer.encode_ids(sentence);
        return static_cast<std::int64_t>(ids.size()) < length && data.add(ids);
      });
    }
    return data;
  };
  const Dataset data = read(arguments.corpus);
  std::optional<Dataset> valid;
  if (!arguments.valid.empty()) {
    valid = read(arguments.valid);
  }
  if (run_stage(common, model, arguments, stage, Texts{data},
                valid ? std::optional<Texts>(Texts{*valid}) : std::nullopt,
                JsonValue::object({{"configuration", config}}), loss)) {
    FolderUpdate update(arguments.out);
    save_pretrained(model, shapes.from.empty() ? config : config_over(shapes.from, config), update);
    tokenizer.save_pretrained(update);
    take_over(update, shapes.from, "generation_config.json");
    update.commit();
  }
}

void pretrain_encoder(const Common& common, const TrainingArguments& arguments,
                      const HalfArguments& shapes) {
  const Tokenizer tokenizer = shapes.read_tokenizer();
  const SpecialIds special{
      end_of_text(tokenizer),
      special_id(tokenizer, tokenizer.special_tokens().mask, mask_token, "[MASK]")};
  const PaddingTokens padding = shapes.padding(tokenizer);
  Generator generator = common.generator();
  BertForMaskedLM<float> model = [&] {
    if (!shapes.from.empty()) {
      return BertForMaskedLM<float>::from_pretrained(shapes.from);
    }
    BertConfig config = shapes.shapes().encoder;
    config.num_hidden_layers = shapes.layers > 0 ? shapes.layers : config.num_hidden_layers;
    config.num_attention_heads = shapes.heads > 0 ? shapes.heads : config.num_attention_heads;
    if (shapes.width > 0) {
      config.hidden_size = shapes.width;
      config.intermediate_size = 4 * shapes.width;
    }
    shapes.check_heads(config.hidden_size, config.num_attention_heads);
    config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
    return BertForMaskedLM<float>(config, generator);
  }();
  pretrain<PaddedTexts>(common, arguments, shapes, "encoder", tokenizer, model,
                        model.bert.config.to_json("BertForMaskedLM"), model.bert.config.vocab_size,
                        model.bert.config.max_position_embeddings, special.end,
                        [&](const Tensor<std::int64_t>& ids, Generator& g) {
                          return masked_lm_loss(model, ids, special, padding, g);
                        });
}

void pretrain_decoder(const Common& common, const TrainingArguments& arguments,
                      const HalfArguments& shapes) {
  const Tokenizer tokenizer = shapes.read_tokenizer();
  std::int64_t end = -1;
  Generator generator = common.generator();
  Gpt2<float> model = [&] {
    if (!shapes.from.empty()) {
      auto from = Gpt2<float>::from_pretrained(shapes.from);
      end = find_end_id(tokenizer, from.config, "pretrain");
      if (end >= from.config.vocab_size) {  // the id that a config.json without one stands for
        end = end_of_text(tokenizer);
      }
      return from;
    }
    end = end_of_text(tokenizer);
    Gpt2Config config = shapes.shapes().decoder;
    config.n_layer = shapes.layers > 0 ? shapes.layers : config.n_layer;
    config.n_head = shapes.heads > 0 ? shapes.heads : config.n_head;
    config.n_embd = shapes.width > 0 ? shapes.width : config.n_embd;
    shapes.check_heads(config.n_embd, config.n_head);
    config.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
    config.bos_token_id = end;
    config.eos_token_id = {end};
    return Gpt2<float>(config, generator);
  }();
  pretrain<TrimmedTexts>(
      common, arguments, shapes, "decoder", tokenizer, model, model.config.to_json(),
      model.config.vocab_size, model.config.n_positions - 1, end,
      [&](const Tensor<std::int64_t>& ids, Generator&) { return causal_lm_loss(model, ids, end); });
}

}  // namespace

void add_pretraining_commands(CLI::App& app, Common& common) {
  {
    struct Arguments {
      std::string corpus, out;
      std::size_t vocab_size = 8192;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "train-tokenizer", "Learn a byte-level BPE tokenizer from a text.",
        "ldlm train-tokenizer --corpus wiki.train.txt --out tokenizer.json",
        [&app, &common, arguments] {
          refuse_without_effect(app, "--model", "on this command");
          refuse_without_effect(app, "--json", "on this command");
          refuse_without_effect(app, "--device", "on this command");
          train_tokenizer(common, arguments->corpus, arguments->out, arguments->vocab_size);
        });
    command->add_option("--corpus", arguments->corpus, corpus_help())->required();
    command->add_option("--out", arguments->out, "The tokenizer.json to write")->required();
    command->add_option("--vocab-size", arguments->vocab_size, "Number of pieces");
  }

  CLI::App* const parent =
      app.add_subcommand("pretrain", "Train one half of the autoencoder on its own.");
  parent->require_subcommand(1);
  parent->footer("Example:\n  ldlm pretrain encoder --help");
  parent->fallthrough();
  const std::string options = " --corpus wiki.train.txt --tokenizer tokenizer.json --out runs/";
  const auto add = [&](const std::string& name, const std::string& description, auto run) {
    const auto shapes = std::make_shared<HalfArguments>();
    CLI::App* const command =
        add_stage(*parent, name, description, "ldlm pretrain " + name + options + name,
                  [&common, shapes, run](const TrainingArguments& arguments) {
                    run(common, arguments, *shapes);
                  });
    shapes->add_to(*command);
  };
  add("encoder", "Train a BERT as a masked language model.", pretrain_encoder);
  add("decoder", "Train a GPT-2 as a causal language model.", pretrain_decoder);
}

}  // namespace ldlm::command
