#!/usr/bin/env bash
# Trains weights/ldlm-tiny from scratch, on a laptop in hours:
#   bash tools/train_tiny.sh CORPUS_DIR [RUN_DIR]
# CORPUS_DIR holds enwiki.train.txt and enwiki.valid.txt, or the same with .xz. Everything goes to
# RUN_DIR (runs/tiny); a run that is interrupted goes on where it stopped. AUTOENCODER_STEPS and the
# like shorten a stage for a trial.
set -euo pipefail
if [[ $# -lt 1 || ! -d $1 ]]; then
  echo "usage: bash tools/train_tiny.sh CORPUS_DIR [RUN_DIR]" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
corpus=$(cd "$1" && pwd)
run=${2:-$root/runs/tiny}
mkdir -p "$run"

ldlm=$root/build/ldlm
if [[ ! -x $ldlm ]]; then
  bash "$root/tools/setup.sh" demo
  cmake -S "$root" -B "$root/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLDLM_BUILD_TESTS=OFF \
    -DLDLM_BUILD_EXAMPLES=OFF -DLDLM_BUILD_BENCHMARKS=OFF
  cmake --build "$root/build" --target ldlm_command
fi

for part in train valid; do
  if [[ ! -f $run/$part.txt ]]; then
    if [[ -f $corpus/enwiki.$part.txt ]]; then
      cp "$corpus/enwiki.$part.txt" "$run/$part.partial"
    elif [[ -f $corpus/enwiki.$part.txt.xz ]]; then
      xz -dc "$corpus/enwiki.$part.txt.xz" >"$run/$part.partial"
    else
      echo "train_tiny: $corpus has no enwiki.$part.txt or enwiki.$part.txt.xz" >&2
      exit 1
    fi
    mv "$run/$part.partial" "$run/$part.txt"
  fi
done

# stage NAME COMMAND...: runs a command once; it resumes from its own checkpoints until then.
stage() {
  local name=$1
  shift
  [[ -e $run/$name.done ]] && return
  echo "== $name"
  local begin=$SECONDS
  "$@"
  echo "$((SECONDS - begin)) seconds" >"$run/$name.done"
}
common=(--corpus "$run/train.txt")
tokens=("${common[@]}" --tokenizer "$run/tokenizer.json")

stage tokenizer "$ldlm" train-tokenizer "${common[@]}" --out "$run/tokenizer.json"
stage autoencoder "$ldlm" --seed 1 train autoencoder "${tokens[@]}" --out "$run/model" \
  --steps "${AUTOENCODER_STEPS:-3600}" --batch-size 64 --learning-rate 1.5e-3 --warmup 300
# Levels with a third of the schedule's noise: the others teach it little.
shift=(--noise-shift 0.3333)
stage denoiser "$ldlm" --seed 2 train denoiser "${common[@]}" --out "$run/model" "${shift[@]}" \
  --steps "${DENOISER_STEPS:-5000}" --batch-size 64 --learning-rate 1e-3 --warmup 300 --ema 0.999
# All parts together, until the latents are ones that the denoiser can tell apart; then the denoiser
# catches up with them, and the decoder with the denoiser.
stage joint "$ldlm" --seed 3 train joint "${common[@]}" --out "$run/model" "${shift[@]}" \
  --steps "${JOINT_STEPS:-900}" --batch-size 64 --learning-rate 6e-4 --warmup 100 --ema 0.997
stage denoiser-again "$ldlm" --seed 4 train denoiser "${common[@]}" --out "$run/model" \
  "${shift[@]}" --from "$run/model/denoiser" --checkpoints "$run/model.checkpoints/denoiser-again" \
  --steps "${DENOISER_AGAIN_STEPS:-1500}" --batch-size 64 --learning-rate 6e-4 --warmup 50 \
  --ema 0.998
stage decoder "$ldlm" --seed 5 train decoder "${common[@]}" --out "$run/model" "${shift[@]}" \
  --steps "${DECODER_STEPS:-240}" --batch-size 64 --learning-rate 3e-4 --warmup 30
# A small language model of the same text, for the perplexities of samples.
stage judge "$ldlm" --seed 6 pretrain decoder "${tokens[@]}" --out "$run/judge" \
  --layers 3 --width 160 --heads 5 \
  --steps "${JUDGE_STEPS:-1200}" --batch-size 64 --learning-rate 2e-3 --warmup 100
stage export "$ldlm" --model "$run/model" export --judge "$run/judge" --out "$run/ldlm-tiny"
stage eval "$ldlm" --model "$run/ldlm-tiny" eval --text "$run/valid.txt" --train "$run/train.txt" \
  --judge "$run/ldlm-tiny/judge" --out "$run/results"
