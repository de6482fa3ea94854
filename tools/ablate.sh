#!/usr/bin/env bash
# Which parts of the recipe earn their place: trains small models that differ from the base in one
# thing each, and prints a table:
#   bash tools/ablate.sh CORPUS_DIR [RUN_DIR]
# CORPUS_DIR is as for tools/train_tiny.sh, which must have made build/ldlm and RUN_DIR/tokenizer.json
# (runs/tiny). What is done already is not done again; VARIANTS="base no-tuning" picks some.
set -euo pipefail
if [[ $# -lt 1 || ! -d $1 ]]; then
  echo "usage: bash tools/ablate.sh CORPUS_DIR [RUN_DIR]" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run=${2:-$root/runs/tiny}
ldlm=${LDLM:-$root/build/ldlm}
for needed in "$ldlm" "$run/tokenizer.json" "$run/train.txt" "$run/valid.txt"; do
  if [[ ! -e $needed ]]; then
    echo "ablate: $needed is missing; run tools/train_tiny.sh first" >&2
    exit 1
  fi
done
out=$run/ablation
steps=${ABLATION_STEPS:-1500}
common=(--corpus "$run/train.txt" --batch-size 64 --report-every 250)

# config FOLDER: half of the shipped model's width. SCHEDULE, PREDICTION and SELF change it.
config() {
  mkdir -p "$1"/{encoder,decoder,denoiser}
  cat >"$1/ldlm.json" <<END
{"model_type": "ldlm", "latent": "sequence", "latent_length": 40, "latent_channels": 64,
 "schedule": {"kind": "${SCHEDULE:-tan_d}"}, "prediction": "${PREDICTION:-x0}",
 "num_beams": 5, "max_new_tokens": 40}
END
  cat >"$1/encoder/config.json" <<END
{"model_type": "bert", "vocab_size": 8192, "hidden_size": 128, "num_hidden_layers": 3,
 "num_attention_heads": 4, "intermediate_size": 512, "hidden_act": "gelu_new",
 "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
 "max_position_embeddings": 40, "type_vocab_size": 1}
END
  cat >"$1/decoder/config.json" <<END
{"model_type": "gpt2", "vocab_size": 8192, "n_positions": 81, "n_embd": 128, "n_layer": 3,
 "n_head": 4, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0}
END
  cat >"$1/denoiser/config.json" <<END
{"model_type": "reverse_transformer", "latent_dim": 64, "width": 160, "heads": 4,
 "feed_forward": 640, "encoder_layers": 6, "decoder_layers": 0, "length": 40, "norm_first": true,
 "activation": "gelu_new", "dropout": 0.0, "self_conditioning": ${SELF:-true},
 "time_conditioning": "log_snr"}
END
}

# autoencoder NAME: trained once, and shared by the variants of the denoiser.
autoencoder() {
  local folder=$out/autoencoder-$1 options=()
  case $1 in
    no-masking) options=(--encoder-mask-rows 0 --decoder-mask-rows 0) ;;
    no-noise) options=(--clean-rows 1 --wild-rows 0) ;;
    no-strong-noise) options=(--wild-rows 0) ;;
  esac
  [[ -e $folder/ldlm.json ]] && return
  SCHEDULE='' PREDICTION='' SELF='' config "$folder.config"
  "$ldlm" --quiet --seed 1 train autoencoder "${common[@]}" --tokenizer "$run/tokenizer.json" \
    --config "$folder.config" --out "$folder" --steps "$steps" --learning-rate 2e-3 --warmup 150 \
    "${options[@]}"
}

# variant NAME AUTOENCODER EMA TUNED: trains the denoiser and, if TUNED is yes, the decoder on it.
variant() {
  local name=$1 from=$out/autoencoder-$2 ema=$3 tuned=$4 folder=$out/$1
  [[ -z ${VARIANTS:-} || " $VARIANTS " == *" $name "* ]] || return 0
  if [[ ! -e $out/results-$name/metrics.csv ]]; then
    if [[ ! -e $folder/encoder ]]; then
      autoencoder "$2"
      cp -r "$from" "$folder.new" && config "$folder.changed"
      cp "$folder.changed/ldlm.json" "$folder.new/" && cp "$folder.changed/denoiser/config.json" \
        "$folder.new/denoiser/" && mv "$folder.new" "$folder"
    fi
    [[ -e $folder/denoiser/model.safetensors ]] || "$ldlm" --quiet --seed 2 train denoiser \
      "${common[@]}" --out "$folder" --steps "$steps" --learning-rate 1.5e-3 --warmup 150 \
      --ema "$ema"
    [[ $tuned != yes || -e $folder.tuned ]] || { "$ldlm" --quiet --seed 3 train decoder \
      "${common[@]}" --out "$folder" --steps $((steps / 4)) --learning-rate 5e-4 --warmup 50 &&
      touch "$folder.tuned"; }
    "$ldlm" --model "$folder" eval --text "$run/valid.txt" --train "$run/train.txt" --texts 300 \
      --train-texts 20000 --samples 200 --no-beam --judge "$run/judge" --out "$out/results-$name" \
      >"$out/$name.txt"
  fi
  awk -F, -v name="$name" '
    $1 == "reconstruction" && $4 == "mse" { mse[$2, $3] = $5 }
    $1 == "decoding" && $4 == "token_accuracy" { accuracy[$2] = $5 }
    $1 == "samples" && $4 == "log_likelihood" { nats[$3] = -$5 }
    END {
      printf "| %s | %.3f | %.3f | %.3f | %.3f | %.3f | %.2f |\n", name,
        mse[250, "ldlm"] / mse[250, "linear"], mse[500, "ldlm"] / mse[500, "linear"],
        mse[750, "ldlm"] / mse[750, "linear"], accuracy[-1], accuracy[500], nats["samples"]
    }' "$out/results-$name/metrics.csv"
}

mkdir -p "$out"
echo "| variant | MSE / linear, t = 250 | 500 | 750 | token accuracy, clean | t = 500 | nats a token of samples |"
echo "|---|---|---|---|---|---|---|"
variant base base 0.995 yes
variant no-tuning base 0.995 no
variant no-average base 0 yes
SELF=false variant no-self-conditioning base 0.995 yes
SCHEDULE=cosine variant cosine base 0.995 yes
SCHEDULE=scaled_linear variant scaled-linear base 0.995 yes
PREDICTION=v variant v-prediction base 0.995 yes
variant no-masking no-masking 0.995 yes
variant no-noise no-noise 0.995 yes
variant no-strong-noise no-strong-noise 0.995 yes
