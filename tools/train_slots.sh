#!/usr/bin/env bash
# Trains a model with slots from scratch, of sentences that have only common words:
#   bash tools/train_slots.sh CORPUS_DIR [RUN_DIR]
# CORPUS_DIR holds enwiki.train.txt and enwiki.valid.txt, or the same with .xz. Everything goes to
# RUN_DIR (runs/slots); a run that is interrupted goes on where it stopped. WRITER_STEPS and the like
# shorten a stage for a trial, STAGES="text tokenizer writer" runs only some.
#
# The last six in a hundred lines of the training text are held out for the figures; choices are made
# on enwiki.valid.
set -euo pipefail
if [[ $# -lt 1 || ! -d $1 ]]; then
  echo "usage: bash tools/train_slots.sh CORPUS_DIR [RUN_DIR]" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
corpus=$(cd "$1" && pwd)
run=${2:-$root/runs/slots}
mkdir -p "$run"

ldlm=${LDLM:-$root/build/ldlm}
if [[ ! -x $ldlm ]]; then
  bash "$root/tools/setup.sh" demo
  cmake -S "$root" -B "$root/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLDLM_BUILD_TESTS=OFF \
    -DLDLM_BUILD_EXAMPLES=OFF -DLDLM_BUILD_BENCHMARKS=OFF
  cmake --build "$root/build" --target ldlm_command
fi

# stage NAME COMMAND...: runs a command once; it resumes from its own checkpoints until then.
stage() {
  local name=$1
  shift
  [[ -e $run/$name.done ]] && return
  [[ -z ${STAGES:-} || " $STAGES " == *" $name "* ]] || return 0
  echo "== $name"
  local begin=$SECONDS
  "$@"
  echo "$((SECONDS - begin)) seconds" >"$run/$name.done"
}

unpack() { # NAME: the corpus' text of that name on standard output
  if [[ -f $corpus/$1 ]]; then
    cat "$corpus/$1"
  elif [[ -f $corpus/$1.xz ]]; then
    xz -dc "$corpus/$1.xz"
  else
    echo "train_slots: $corpus has no $1 or $1.xz" >&2
    return 1
  fi
}
text() {
  unpack enwiki.valid.txt >"$run/all.valid.txt"
  unpack enwiki.train.txt >"$run/all.txt"
  local lines
  lines=$(wc -l <"$run/all.txt")
  head -n $((lines * 94 / 100)) "$run/all.txt" >"$run/all.train.txt"
  tail -n $((lines - lines * 94 / 100)) "$run/all.txt" >"$run/all.heldout.txt"
  rm "$run/all.txt"
  for part in train valid heldout; do
    "$ldlm" select-sentences --corpus "$run/all.$part.txt" --words-of "$run/all.train.txt" \
      --common-words "${COMMON_WORDS:-10000}" --out "$run/$part.txt"
  done
}
common=(--corpus "$run/train.txt")
tokens=("${common[@]}" --tokenizer "$run/tokenizer.json")
valid=(--valid "$run/valid.txt")

stage text text
stage tokenizer "$ldlm" train-tokenizer "${common[@]}" --out "$run/tokenizer.json"
# The decoder can write before it reads a latent.
stage writer "$ldlm" --seed 1 pretrain decoder "${tokens[@]}" "${valid[@]}" --config tiny-slots \
  --out "$run/writer" --steps "${WRITER_STEPS:-4000}" --batch-size 64 --learning-rate 1.5e-3 \
  --warmup 300
# Noise of 0.5 to 6 in most rows, so that few bits of the latent matter, and those much; but not
# before the decoder has learnt to read them.
stage autoencoder "$ldlm" --seed 2 train autoencoder "${tokens[@]}" "${valid[@]}" \
  --config tiny-slots --decoder "$run/writer" --out "$run/model" \
  --steps "${AUTOENCODER_STEPS:-6000}" --batch-size 64 --learning-rate 1e-3 --warmup 300 \
  --clean-rows 0.1 --wild-rows 0.7 --dropped-rows 0.1 --mild-noise 0.5 --strong-noise 6 \
  --noise-warmup "$((${AUTOENCODER_STEPS:-6000} * 5 / 9))"
more=("${common[@]}" "${valid[@]}" --out "$run/model" --noise-shift 0.3333)
stage denoiser "$ldlm" --seed 3 train denoiser "${more[@]}" --steps "${DENOISER_STEPS:-9000}" \
  --batch-size 256 --learning-rate 1e-3 --warmup 300 --ema 0.9995 --self-conditioning 0.9 \
  --cache-latents
stage decoder "$ldlm" --seed 4 train decoder "${more[@]}" --steps "${DECODER_STEPS:-600}" \
  --batch-size 64 --learning-rate 3e-4 --warmup 30
# The judge has another shape and reads whole paragraphs of all the text.
stage judge "$ldlm" --seed 5 pretrain decoder --corpus "$run/all.train.txt" --paragraphs \
  --tokenizer "$run/tokenizer.json" --out "$run/judge" --config published --layers 5 --width 384 \
  --heads 6 --length 128 --steps "${JUDGE_STEPS:-4000}" --batch-size 32 --learning-rate 1e-3 \
  --warmup 300
# A GPT-2 as large as the whole model, of the same sentences, until it gets no better.
stage ar "$ldlm" --seed 6 pretrain decoder "${tokens[@]}" "${valid[@]}" --out "$run/ar" \
  --layers 8 --width 376 --heads 8 --length 40 --steps "${AR_STEPS:-12000}" --batch-size 64 \
  --learning-rate 1e-3 --warmup 300 --patience 4 --keep-best
