#!/usr/bin/env bash
# Trains the published configuration in the small: one latent a text, the mean of the hidden states
# of a sentence encoder that stays as it is, a Reverse Transformer of 4 + 6 layers over T = 1000, and
# a GPT-2 that reads the latent as a prefix of one; then compares what the two make of noisy latents:
#   bash tools/train_published.sh CORPUS_DIR ENCODER_DIR [RUN_DIR]
# CORPUS_DIR is as for tools/train_slots.sh; ENCODER_DIR holds a BERT of 384 channels with its
# tokenizer, such as tools/setup_minilm.py makes. Everything goes to RUN_DIR (runs/published), whose
# results/ has the figures in the end. A run that is interrupted goes on where it stopped;
# WRITER_STEPS and the like shorten a stage for a trial.
set -euo pipefail
if [[ $# -lt 2 || ! -d $1 || ! -f $2/config.json ]]; then
  echo "usage: bash tools/train_published.sh CORPUS_DIR ENCODER_DIR [RUN_DIR]" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
encoder=$(cd "$2" && pwd)
run=${3:-$root/runs/published}
mkdir -p "$run"
run=$(cd "$run" && pwd)
# The text and the decoder's tokenizer are those of the model with slots.
STAGES="text tokenizer" bash "$root/tools/train_slots.sh" "$1" "$run"
ldlm=${LDLM:-$root/build/ldlm}

stage() { # NAME COMMAND...: runs a command once; it resumes from its own checkpoints until then
  local name=$1
  shift
  [[ -e $run/$name.done ]] && return
  echo "== $name"
  local begin=$SECONDS
  "$@"
  echo "$((SECONDS - begin)) seconds" >"$run/$name.done"
}

mkdir -p "$run"/config/{encoder,decoder,denoiser}
cp "$encoder/config.json" "$run/config/encoder/"
cat >"$run/config/ldlm.json" <<'END'
{"model_type": "ldlm", "latent": "pooled", "latent_length": 1, "latent_channels": 384,
 "schedule": {"kind": "scaled_linear", "steps": 1000}, "prediction": "x0", "num_beams": 5,
 "max_new_tokens": 50}
END
cat >"$run/config/decoder/config.json" <<'END'
{"model_type": "gpt2", "vocab_size": 8192, "n_positions": 64, "n_embd": 384, "n_layer": 4, "n_head": 6}
END
cat >"$run/config/denoiser/config.json" <<'END'
{"model_type": "reverse_transformer", "latent_dim": 384, "width": 384, "heads": 8,
 "feed_forward": 1024, "encoder_layers": 4, "decoder_layers": 6}
END

data=(--corpus "$run/train.txt" --valid "$run/valid.txt")
stage writer "$ldlm" --seed 1 pretrain decoder "${data[@]}" --tokenizer "$run/tokenizer.json" \
  --config "$run/config" --length 50 --out "$run/writer" --steps "${WRITER_STEPS:-2000}" \
  --batch-size 64 --learning-rate 1e-3 --warmup 200
# The encoder stays as it is: this is the decoder's stage.
stage decoder "$ldlm" --seed 2 train autoencoder "${data[@]}" --config "$run/config" \
  --encoder "$encoder" --decoder "$run/writer" --out "$run/model" --steps "${DECODER_STEPS:-1500}" \
  --batch-size 64 --learning-rate 5e-4 --warmup 100
stage denoiser "$ldlm" --seed 3 train denoiser "${data[@]}" --out "$run/model" \
  --steps "${DENOISER_STEPS:-8000}" --batch-size 64 --learning-rate 1e-4 --warmup 200 --cache-latents
stage results "$ldlm" --model "$run/model" eval --text "$run/heldout.txt" --train "$run/train.txt" \
  --texts "${TEXTS:-2000}" --t 50 100 200 300 400 500 600 700 800 900 --samples 0 --no-beam \
  --out "$run/results"
awk -F, 'BEGIN { print "| t | denoiser | GPT-2 | linear | noisy |\n|---|---|---|---|---|" }
  $1 == "reconstruction" && $4 == "cosine" { value[$2, $3] = sprintf("%.3f ± %.3f", $5, $6); t[$2] }
  END { for (l in t) printf "| %d | %s | %s | %s | %s |\n", l, value[l, "ldlm"], value[l, "gpt2"],
          value[l, "linear"], value[l, "noisy"] | "sort -t\"|\" -k2n" }' "$run/results/metrics.csv"
