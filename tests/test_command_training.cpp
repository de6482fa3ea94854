// The training stages of the ldlm command: the same result whatever the threads, runs and
// interruptions.

#include <sys/stat.h>
#include <ldlm/files/folder_lock.hpp>

#include "command_support.hpp"

using namespace command_test;

TEST_CASE("ten steps of every stage give the same bytes at 1 and 2 threads and in two runs") {
  const Workshop& w = workshop();
  const std::string wide = (w.folder / "wide-config").string();
  Workshop::write_config(wide, 128);  // wide enough for several threads to have work
  const auto train = [&](const std::string& name, const std::string& threads) {
    const std::string out = (w.folder / name).string();
    const Arguments common{"--threads", threads, "--seed", "5", "--quiet"};
    output_of(with({"train", "autoencoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer,
                    "--config", wide, "--out", out, "--steps", "10", "--batch-size", "14"},
                   common));
    output_of(with(w.stage("denoiser", out, 10), common));
    output_of(with(w.stage("joint", out, 10), common));
    output_of(with(w.stage("decoder", out, 10), common));
    output_of(with({"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer,
                    "--config", wide, "--out", out + "-bert", "--steps", "10"},
                   common));
    fs::rename(out + "-bert", out + "/bert");
    return fs::path(out);
  };
  const fs::path one = train("one", "1");
  CHECK(weights_of(one).size() == 5);
  CHECK(same_weights(one, train("two", "2")));
  CHECK(same_weights(one, train("again", "2")));

  const auto sample = [&](const std::string& threads) {
    return output_of({"sample", "--seed", "7", "--count", "4", "--steps", "20", "--threads",
                      threads, "--model", one.string(), "--temperature", "1", "--json"});
  };
  const std::string text = sample("1");
  CHECK(lines(text).size() == 4);
  CHECK(sample("2") == text);
  CHECK(sample("2") == text);
  CHECK(output_of({"sample", "--seed", "8", "--count", "4", "--steps", "20", "--model",
                   one.string(), "--temperature", "1", "--json"}) != text);
}

TEST_CASE("a training uses as many threads as --threads says") {
  const Workshop& w = workshop();
  const std::string wide = (w.folder / "wide-config").string();
  Workshop::write_config(wide, 128);
  for (const std::size_t threads : {1U, 3U}) {
    Process process({"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer,
                     "--config", wide, "--out",
                     (w.folder / "threads").string() + "-" + std::to_string(threads), "--steps",
                     "10", "--threads", std::to_string(threads)});
    std::size_t most = 0;
    while (process.running()) {
      most = std::max(most, process.threads());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(process.wait().status == 0);
    if (most == 0) {
      MESSAGE("skipped: this system does not tell how many threads a process has");
    } else {
      CHECK(most == threads);
    }
  }
}

TEST_CASE("sentences of a corpus that are not read are counted") {
  const Workshop& w = workshop();
  const std::string corpus = (w.folder / "mixed.txt").string();
  make_file(corpus, "the river rises\nThe river rises in the north.\nno full stop at all\n");
  const std::string out = (w.folder / "mixed.json").string();
  const Result result =
      run({"train-tokenizer", "--corpus", corpus, "--out", out, "--vocab-size", "300"});
  CHECK(result.status == 0);
  CHECK_MESSAGE(result.err.find(corpus + ": 2 of 3 sentences are left out, which have not 4 to 24 "
                                         "words, from a capital letter to a full stop\n") !=
                    std::string::npos,
                result.err);
}

TEST_CASE("progress is a line on a terminal, and nothing elsewhere or with --quiet") {
  const Workshop& w = workshop();
  const auto train = [&](const std::string& name, bool terminal, const Arguments& more) {
    const Result result =
        run(with(w.autoencoder((w.folder / name).string(), 5), more), {.terminal = terminal});
    CHECK(result.status == 0);
    CHECK(result.out.empty());
    return result.err;
  };
  const Arguments every{"--report-every", "1"};
  const std::string noted = train("noted", false, every);
  CHECK(noted.find("14 of 14 sentences fit") != std::string::npos);
  CHECK(noted.find(" 5 steps\n") != std::string::npos);
  CHECK(noted.find('\r') == std::string::npos);
  CHECK(lines(noted).size() == 2);
  CHECK(train("silent", false, with(every, {"--quiet"})).empty());

  if (lacks_terminals()) {
    return;
  }
  CHECK(train("quiet", true, with(every, {"--quiet"})).empty());
  const std::string shown = train("shown", true, every);
  CAPTURE(shown);
  const std::string mark = "\r\x1b[Kstep ";
  std::size_t at = 0;
  for (const std::string step : {"1", "2", "3", "4", "5"}) {
    at = shown.find(mark + step + "/5  loss ", at);
    REQUIRE(at != std::string::npos);
    at = shown.find(" sentences/s  ", at);
    REQUIRE(at != std::string::npos);
  }
  CHECK(shown.find(mark, at) == std::string::npos);
  CHECK(shown.ends_with(" min left\r\n"));  // as the terminal writes a line's end
}

TEST_CASE("Ctrl-C ends a training with a checkpoint, from which it goes on to the same result") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "interrupted").string();
  const auto stage = [&](const std::string& folder) {
    return with(w.autoencoder(folder, 600), {"--ema", "0.9", "--report-every", "1"});
  };
  const fs::path checkpoints = out + ".checkpoints/autoencoder";
  std::size_t interruptions = 0;
  int status = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, 0}) {
    const auto reports = [&] {
      const fs::path log = checkpoints / "log.jsonl";
      return fs::exists(log) ? lines(read_file(log)).size() : 0;
    };
    const std::size_t before = reports();
    Process process(stage(out));
    if (signal != 0) {
      while (process.running() && reports() < before + 20) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      process.send(signal);
    }
    const Result result = process.wait();
    CAPTURE(result.err);
    status = result.status;
    if (signal != 0) {
      CHECK(status == 128 + signal);
      CHECK(result.out.empty());
      CHECK(result.err.find("interrupted at step") != std::string::npos);
      REQUIRE_FALSE(checkpoints_in(checkpoints).empty());
      CHECK(checkpoints_in(checkpoints).back() < "step-00000600");
      CHECK_FALSE(fs::exists(out + "/ldlm.json"));
      ++interruptions;
    }
  }
  CHECK(interruptions == 3);
  CHECK(status == 0);
  // Every report is a line of JSON, and no step is missing or repeated.
  const auto log = json_lines(read_file(checkpoints / "log.jsonl"));
  REQUIRE(log.size() == 600);
  for (std::size_t i = 0; i < log.size(); ++i) {
    CHECK(log[i].find("step")->as<std::int64_t>() == static_cast<std::int64_t>(i + 1));
  }

  const std::string undisturbed = (w.folder / "undisturbed").string();
  output_of(stage(undisturbed));
  CHECK(same_weights(out, undisturbed));
  // A stage that is done is done again at once, from its last checkpoint.
  output_of(stage(out));
  CHECK(same_weights(out, undisturbed));
}

TEST_CASE("Ctrl-C before a training has begun ends at once, also where the corpus is a pipe") {
  const Workshop& w = workshop();
  const fs::path corpus = w.folder / "long.txt";
  std::string text;
  while (text.size() < 30'000'000) {
    for (const std::string& sentence : sentences()) {
      text += sentence + '\n';
    }
  }
  make_file(corpus, text);
  const fs::path out = w.folder / "interrupted-early";
  Process process({"pretrain", "decoder", "--corpus", corpus.string(), "--tokenizer", w.tokenizer,
                   "--config", w.config, "--out", out.string()});
  while (process.running() && !fs::exists(out / ".ldlm-lock")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.send(SIGINT);
  const Result result = process.wait();
  CHECK(result.status == 128 + SIGINT);
  CHECK_FALSE(fs::exists(out / "config.json"));
  CHECK_FALSE(fs::exists(out.string() + ".checkpoints"));

  const fs::path pipe = w.folder / "unwritten";  // that nobody writes to
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const fs::path other = w.folder / "interrupted-pipe";
  Process waiting({"pretrain", "decoder", "--corpus", pipe.string(), "--tokenizer", w.tokenizer,
                   "--config", w.config, "--out", other.string()});
  while (waiting.running() && !fs::exists(other / ".ldlm-lock")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  waiting.send(SIGTERM);
  CHECK(waiting.wait().status == 128 + SIGTERM);
}

TEST_CASE("a second signal ends a training at once and leaves everything whole") {
  const Workshop& w = workshop();
  const auto stage = [&](const fs::path& out) {
    return with(w.autoencoder(out.string(), 400),
                {"--report-every", "1", "--checkpoint-every", "20"});
  };
  const fs::path out = w.folder / "twice";
  const fs::path checkpoints = out.string() + ".checkpoints/autoencoder";
  Process process(stage(out));
  while (process.running() && checkpoints_in(checkpoints).empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.send(SIGTERM);
  std::this_thread::sleep_for(std::chrono::microseconds(500));
  process.send(SIGTERM);
  CHECK(process.wait().status == 128 + SIGTERM);
  CHECK_FALSE(fs::exists(out / "ldlm.json"));
  REQUIRE_FALSE(checkpoints_in(checkpoints).empty());

  output_of(stage(out));
  const fs::path undisturbed = w.folder / "not-twice";
  output_of(stage(undisturbed));
  CHECK(same_weights(out, undisturbed));
  CHECK(same_weights(checkpoints, undisturbed.string() + ".checkpoints/autoencoder"));
  for (const fs::path& folder : {out, checkpoints}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      CHECK_FALSE(entry.path().filename().native().starts_with('.'));
    }
  }
}

TEST_CASE("a hang-up that is ignored, as nohup has it, ends nothing") {
  const Workshop& w = workshop();
  const fs::path out = w.folder / "nohup";
  const auto before = std::signal(SIGHUP, SIG_IGN);  // the child inherits it
  Process process(with(w.autoencoder(out.string(), 100), {"--report-every", "1"}));
  std::signal(SIGHUP, before);
  const fs::path log = out.string() + ".checkpoints/autoencoder/log.jsonl";
  while (process.running() && (!fs::exists(log) || fs::file_size(log) == 0)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.send(SIGHUP);
  CHECK(process.wait().status == 0);
  CHECK(fs::exists(out / "ldlm.json"));
}

TEST_CASE("of two trainings in one folder one does its work, the other names it") {
  const Workshop& w = workshop();
  const std::string alone = (w.folder / "alone").string();
  output_of(w.autoencoder(alone, 40));
  for (const bool same_checkpoints : {false, true}) {
    const fs::path out = w.folder / (same_checkpoints ? "pair-a" : "pair-b");
    // With --checkpoints two folders of results share one of checkpoints.
    const fs::path other = same_checkpoints ? fs::path(out.string() + "-2") : out;
    const Arguments shared{"--checkpoints", out.string() + "-checkpoints"};
    const auto arguments = [&](const fs::path& folder) {
      return with(w.autoencoder(folder.string(), 40), same_checkpoints ? shared : Arguments{});
    };
    Process first(arguments(out));
    const fs::path lock = (same_checkpoints ? fs::path(shared[1]) : out) / ".ldlm-lock";
    while (first.running() && (!fs::exists(lock) || fs::file_size(lock) == 0)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::string locked = lock.parent_path().string();
    first.send(SIGSTOP);  // so that it is not done before the other begins
    check_error(arguments(other), {locked + ": is in use by process ", lock.string()});
    first.send(SIGCONT);
    CHECK(first.wait().status == 0);
    CHECK(same_weights(out, alone));
    CHECK_FALSE(fs::exists(lock));
  }
}

TEST_CASE("a tokenizer is not written into a folder that a training holds") {
  const Workshop& w = workshop();
  const fs::path folder = w.folder / "held";
  fs::create_directory(folder);
  const Arguments command{"train-tokenizer", "--corpus", w.corpus, "--out",
                          (folder / "tokenizer.json").string()};
  {
    const ldlm::FolderLock lock(folder);
    check_error(command, {folder.string() + ": is in use by process "});
    CHECK_FALSE(fs::exists(folder / "tokenizer.json"));
  }
  output_of(command);
  CHECK(fs::exists(folder / "tokenizer.json"));
}

TEST_CASE("a log goes on behind a line that was cut short, and no link is followed") {
  const Workshop& w = workshop();
  const fs::path out = w.folder / "logged";
  const fs::path log = out.string() + ".checkpoints/autoencoder/log.jsonl";
  const Arguments every{"--report-every", "1"};
  output_of(with(w.autoencoder(out.string(), 3), every));
  const std::string first = read_file(log);
  // As a kill leaves it: a step beyond the checkpoint, and half a line.
  make_file(log, first + R"({"step":4,"loss":1})" + "\n" + R"({"step":5,"lo)");
  output_of(with(w.autoencoder(out.string(), 6), every));
  const std::string text = read_file(log);
  CHECK(text.starts_with(first));
  const auto entries = json_lines(text);
  REQUIRE(entries.size() == 6);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CHECK(entries[i].find("step")->as<std::size_t>() == i + 1);
  }

  const fs::path victim = w.folder / "victim";
  make_file(victim, "precious");
  fs::remove(log);
  fs::create_symlink(victim, log);
  check_error(with(w.autoencoder(out.string(), 7), every), {log.string() + ": is a symbolic link"});
  CHECK(read_file(victim) == "precious");
  // Nor one under the name of an earlier version's temporary file.
  fs::create_symlink(victim, out / ".ldlm-can-write");
  fs::remove(log);
  output_of(with(w.autoencoder(out.string(), 7), every));
  CHECK(read_file(victim) == "precious");
  CHECK(fs::is_symlink(out / ".ldlm-can-write"));
}

TEST_CASE(
    "a checkpoint of another corpus or latents is refused, more steps and another rate said") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "changed").string();
  output_of(w.autoencoder(out, 5));
  output_of(w.stage("denoiser", out, 5));
  const std::string other = (w.folder / "other.txt").string();
  make_file(other, read_file(w.corpus) + "The sun sat on the hill.\n");
  Arguments arguments = w.autoencoder(out, 5);
  *(std::find(arguments.begin(), arguments.end(), w.corpus)) = other;
  check_error(arguments, {"another context: data is \"14 rows of 14 tokens", "15 rows"});
  check_error(with(w.autoencoder(out, 5), {"--clean-rows", "0.5"}), {"clean_rows is 0.25 there"});

  Arguments longer = w.autoencoder(out, 8);
  *(std::find(longer.begin(), longer.end(), "0.01")) = "0.02";
  const Result more = run(longer);
  CHECK(more.status == 0);
  CHECK(more.err.find("going on from step 5: steps is 8 now, was 5\n") != std::string::npos);
  CHECK(more.err.find("going on from step 5: learning_rate is 0.02 now, was 0.01\n") !=
        std::string::npos);
  // The denoiser was one of other latents: it does not stay beside the new autoencoder, and its
  // checkpoint is not taken up.
  CHECK(more.err.find("trained on other latents and is removed") != std::string::npos);
  CHECK_FALSE(fs::exists(out + "/denoiser/model.safetensors"));
  check_error(w.stage("denoiser", out, 5), {"another context: latents is"});
  fs::remove_all(out + ".checkpoints/denoiser");
  output_of(w.stage("denoiser", out, 5));
  // An autoencoder that comes out the same leaves the denoiser where it is.
  output_of(longer);
  CHECK(fs::exists(out + "/denoiser/model.safetensors"));
}

TEST_CASE("a checkpoint of other options or of another model is refused") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "refused").string();
  output_of(w.autoencoder(out, 5));
  check_error(w.autoencoder(out, 4), {"step-00000005: is of step 5, beyond the last one, 4"});
  check_error(with(w.autoencoder(out, 5), {"--seed", "9"}),
              {"other options", "seed is 0 there and 9 here"});
  const std::string wide = (w.folder / "wider").string();
  Workshop::write_config(wide, 32);
  check_error({"train", "autoencoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
               wide, "--out", out, "--steps", "5", "--batch-size", "8", "--warmup", "5",
               "--learning-rate", "0.01"},
              {"does not fit the model"});
}

TEST_CASE("a new decoder's configuration names the end token that it was trained with") {
  const Workshop& w = workshop();
  const auto ids_of = [](const std::string& folder) {
    const ldlm::JsonValue json =
        ldlm::parse_json(read_file(folder + "/config.json"), "config.json");
    return std::pair(json.find("bos_token_id")->as<int>(), json.find("eos_token_id")->as<int>());
  };
  CHECK(ids_of(w.model + "/decoder") == std::pair(0, 0));
  const std::string out = (w.folder / "language-model").string();
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", out, "--steps", "1"});
  CHECK(ids_of(out) == std::pair(0, 0));
}

TEST_CASE("a training measures another text on its way, and stops where it gets worse") {
  const Workshop& w = workshop();
  const std::string valid = (w.folder / "valid.txt").string();
  // Of what the corpus never says: the better it is learned, the worse this becomes.
  make_file(valid, "Mats sat cat the on the.\nPark the in ran dog the.\n");
  const std::string out = (w.folder / "valid-decoder").string();
  const Arguments decoder{
      "pretrain",        "decoder", "--corpus",         w.corpus,    "--config",     w.config,
      "--out",           out,       "--steps",          "200",       "--warmup",     "5",
      "--valid",         valid,     "--tokenizer",      w.tokenizer, "--batch-size", "8",
      "--learning-rate", "0.02",    "--evaluate-every", "10"};
  const auto valid_losses = [&] {
    std::vector<double> losses;
    for (const auto& line : json_lines(read_file(out + ".checkpoints/decoder/log.jsonl"))) {
      if (const auto* loss = line.find("valid_loss")) {
        losses.push_back(loss->as<double>());
      }
    }
    return losses;
  };
  Result result = run(with(decoder, {"--patience", "3", "--keep-best"}));
  CHECK(result.status == 0);
  CHECK(result.err.find("step 10: loss of " + valid) != std::string::npos);
  CHECK(result.err.find("3 measurements of " + valid + " in a row were no better") !=
        std::string::npos);
  const auto losses = valid_losses();
  REQUIRE(losses.size() >= 4);
  REQUIRE(losses.size() < 20);
  const auto best = std::min_element(losses.begin(), losses.end());
  CHECK(losses.end() - best == 4);
  CHECK(result.err.find("the weights are those of step " +
                        std::to_string(10 * (best - losses.begin() + 1))) != std::string::npos);
  // The same command has nothing left to do; the weights are those of the best step.
  const std::string weights = read_file(out + "/model.safetensors");
  output_of(with(decoder, {"--patience", "3", "--keep-best"}));
  CHECK(read_file(out + "/model.safetensors") == weights);
  CHECK(valid_losses() == losses);
  fs::remove_all(out + ".checkpoints");
  output_of(decoder);
  CHECK(valid_losses().size() == 20);
  CHECK(std::equal(losses.begin(), losses.end(), valid_losses().begin()));
  CHECK(read_file(out + "/model.safetensors") != weights);

  const std::string model = (w.folder / "valid-model").string();
  fs::copy(w.model, model, fs::copy_options::recursive);
  for (const std::string stage : {"denoiser", "decoder", "joint"}) {
    result = run(with(w.stage(stage, model, 4), {"--valid", w.corpus, "--evaluate-every", "2"}));
    CHECK(result.status == 0);
    CHECK(result.err.find("step 4: loss of " + w.corpus) != std::string::npos);
  }
  fs::remove_all(model + ".checkpoints/denoiser");
  result = run(with(w.stage("denoiser", model, 2), {"--valid", w.corpus, "--cache-latents"}));
  CHECK(result.err.find("step 2: loss of " + w.corpus) != std::string::npos);
  for (const Arguments& option :
       {Arguments{"--patience", "3"}, {"--keep-best"}, {"--evaluate-every", "5"}}) {
    check_usage(with(w.stage("denoiser", model, 2), option), {option[0], "without --valid"});
  }
  check_error(with(w.stage("denoiser", model, 2), {"--valid", "/nowhere"}), {"/nowhere"});
}

TEST_CASE("a decoder reads paragraphs in stretches of whole sentences") {
  const Workshop& w = workshop();
  const std::string corpus = (w.folder / "paragraphs.txt").string();
  // Sentences that no training of a latent would take, and one too long for any row.
  std::string text = "a cat. The cat sat on the mat. The dog ran in the park.\nno.\n";
  for (int i = 0; i < 60; ++i) {
    text += "The cat sat on the mat ";
  }
  make_file(corpus, text + "again.\n");
  const std::string out = (w.folder / "paragraphs").string();
  const auto pretrain = [&](const std::string& length) {
    fs::remove_all(out + ".checkpoints");
    const Result result =
        run({"pretrain", "decoder",   "--corpus",     corpus, "--tokenizer", w.tokenizer,
             "--config", "published", "--layers",     "1",    "--width",     "16",
             "--heads",  "2",         "--length",     length, "--out",       out,
             "--steps",  "1",         "--batch-size", "2",    "--paragraphs"});
    CHECK(result.status == 0);
    return result.err;
  };
  CHECK(pretrain("40").find("2 stretches of up to 40 tokens; 1 longer") != std::string::npos);
  CHECK(pretrain("14").find("3 stretches of up to 14 tokens; 1 longer") != std::string::npos);
  CHECK(pretrain("500").find("3 stretches of up to 500 tokens; 0 longer") != std::string::npos);
  check_error({"pretrain", "decoder", "--corpus", corpus, "--tokenizer", w.tokenizer, "--config",
               w.config, "--length", "1", "--out", out, "--paragraphs"},
              {"no text fits 1 tokens"});
}

TEST_CASE("a denoiser and a decoder train at other noise than the schedule's") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "shifted").string();
  fs::copy(w.model, out, fs::copy_options::recursive);
  output_of(with(w.stage("denoiser", out, 3), {"--noise-shift", "0.3"}));
  CHECK(read_file(out + "/denoiser/model.safetensors") !=
        read_file(w.model + "/denoiser/model.safetensors"));
  const std::string shifted = read_file(out + "/denoiser/model.safetensors");
  fs::remove_all(out + ".checkpoints");
  output_of(w.stage("denoiser", out, 3));
  CHECK(read_file(out + "/denoiser/model.safetensors") != shifted);
  CHECK(read_file(out + "/ldlm.json") == read_file(w.model + "/ldlm.json"));

  // One that is told steps of the schedule would take another noise's step for the schedule's.
  ldlm::JsonValue json = ldlm::parse_json(read_file(out + "/denoiser/config.json"), "config.json");
  json.set("time_conditioning", "concat");
  make_file(out + "/denoiser/config.json", ldlm::to_string(json));
  fs::remove_all(out + ".checkpoints");
  check_error(with(w.stage("denoiser", out, 3), {"--noise-shift", "0.3"}), {"--noise-shift"});
}

TEST_CASE("a stage that lacks what it needs says so before it trains") {
  const Workshop& w = workshop();
  const fs::path empty = w.folder / "empty.txt";
  make_file(empty, "");
  const fs::path unfit = w.folder / "unfit.txt";
  make_file(unfit, "no capital letter here\nToo short.\n");
  const std::string out = (w.folder / "lacking").string();
  const auto train = [&](const std::string& corpus, const std::string& tokenizer,
                         const std::string& config) {
    return Arguments{"train",   "autoencoder", "--corpus",    corpus,    "--out",    out,
                     "--steps", "2",           "--tokenizer", tokenizer, "--config", config};
  };
  const auto corpus = [&](const std::string& path) { return train(path, w.tokenizer, w.config); };
  check_error(corpus("/no/such/corpus"), {"/no/such/corpus"});
  check_error(corpus(empty.string()), {empty.string(), "no sentence has 4 to 24 words"});
  check_error(corpus(unfit.string()), {unfit.string(), "no sentence has 4 to 24 words"});
  CHECK_FALSE(fs::exists(out));
  check_error(corpus(w.folder.path().string()), {w.folder.path().string()});
  check_error({"train-tokenizer", "--corpus", empty.string(), "--out", out + ".json"},
              {empty.string()});
  check_error(
      {"train-tokenizer", "--corpus", w.corpus, "--out", out + ".json", "--vocab-size", "10"},
      {"vocab_size 10"});
  check_error(w.stage("denoiser", (w.folder / "no-model").string(), 2), {"ldlm.json"});
  check_error(w.stage("joint", (w.folder / "no-model").string(), 2), {"ldlm.json"});
  check_error(train(w.corpus, "/no/such/tokenizer.json", w.config), {"/no/such/tokenizer.json"});
  check_error(train(w.corpus, w.tokenizer, "huge"), {"huge"});

  // A tokenizer with more pieces than the model has embeddings.
  const std::string larger = (w.folder / "larger.json").string();
  output_of({"train-tokenizer", "--corpus", w.corpus, "--out", larger, "--vocab-size", "310"});
  check_error(train(w.corpus, larger, w.config),
              {"encoder: the tokenizer has ids up to", "300 rows"});
  check_error({"pretrain", "decoder", "--from", w.model + "/decoder", "--corpus", w.corpus,
               "--tokenizer", larger, "--out", out + "-gpt2"},
              {"decoder: the tokenizer has ids up to", "300 rows"});
  // Rows that are longer than the model's positions.
  const auto longer = [&](const std::string& half, const std::string& length) {
    check_error({"pretrain", half, "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
                 w.config, "--out", out + "-long", "--length", length},
                {"--length must be at most"});
  };
  longer("encoder", "5000");
  longer("decoder", "5000");
  CHECK_FALSE(fs::exists(out + "-long"));
  CHECK_FALSE(fs::exists(out + "/ldlm.json"));
}
