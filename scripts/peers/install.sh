#!/usr/bin/env bash
# Installs mergekit, lm-evaluation-harness and what they need into a Python environment, for `make peers` and `make bench`.
#   scripts/peers/install.sh FOLDER
# Says nothing when it is there already. Only the CPU is used: of torch's GPU libraries just the three
# are fetched that its CPU build cannot start without and a CUDA toolkit does not bring.
set -euo pipefail
folder=${1:?usage: scripts/peers/install.sh FOLDER}
mergekit=0.1.5
lm_eval=0.4.13
torch=2.11.0

export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-/usr/local/cuda/lib64}
installed() {
  "$folder/bin/python" -c 'import gguf, lm_eval, mergekit, sys, torch, transformers
from importlib.metadata import version
sys.exit([version("mergekit"), version("lm-eval")] != sys.argv[1:])' "$mergekit" "$lm_eval" 2>/dev/null
}
installed && exit 0

echo "peers: installing mergekit $mergekit and lm-evaluation-harness $lm_eval with torch $torch into $folder"
[ -x "$folder/bin/pip" ] || python3 -m venv "$folder"
install() { "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"; }
cuda=()
[ -e /usr/local/cuda/lib64/libcudart.so ] || [ "$(uname -m)" != x86_64 ] || cuda=(full)
if [ ${#cuda[@]} = 0 ]; then
  install --no-deps "torch==$torch" nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5 nvidia-cufile
else
  install "torch==$torch"
fi
install numpy scipy sympy networkx jinja2 fsspec filelock typing-extensions 'setuptools<82' tqdm \
  'click<9' safetensors pydantic immutables 'transformers>=5,<6' tokenizers huggingface_hub \
  sentencepiece protobuf psutil gguf datasets evaluate jsonlines pytablewriter rouge-score sacrebleu scikit-learn \
  sqlitedict word2number more-itertools dill zstandard
install --no-deps "mergekit==$mergekit" "lm-eval==$lm_eval" accelerate peft
installed || { echo "peers: error: what was installed does not start" >&2; exit 1; }
