#!/usr/bin/env bash
# assay-gpu-check: whether Assay works on this machine's GPU, and how fast: every test of CUDA, a sweep whose scores are to be
# those of the CPU, and merges next to a bare copy on the device. Writes gpu-check.json in the current folder.
# It uses the PyTorch that ASSAY_TORCH names (the folder 'torch' of its Python package), else that of python3.
#   --cpu    the same on the CPU in place of the GPU: whether the bundle works at all
# Exit codes: 0 every check passed or was skipped, 1 one failed, 77 there is no GPU, 78 there is no fitting PyTorch.
set -uo pipefail
limit=480 # seconds for everything; what does not fit in is skipped, and says so
root=$(cd "$(dirname "$0")" && pwd)
device=cuda
tests='[gpu]~an encoder is refused*' # the one test that needs its build folder
megabytes=1024
size=large
if [ "${1:-}" = --cpu ]; then
  device=cpu
  tests='[kernels]~[gpu]~[optional]'
  megabytes=16
  size=small
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

checks=
benchmarks=
failed=0
# check NAME passed|failed|skipped TEXT
check() {
  printf '%-10s %-28s %s\n' "$2" "$1" "$3"
  checks+="${checks:+, }{\"name\": \"$(tr -d '"\\\n' <<<"$1")\", \"state\": \"$2\", \"text\": \"$(tr -d '"\\\n' <<<"$3")\"}"
  [ "$2" != failed ] || failed=1
}
finish() {
  printf '{"exit_code": %d, "checks": [%s], "benchmarks": [%s]}\n' "$1" "$checks" "$benchmarks" >gpu-check.json
  exit "$1"
}
# time_for NAME: whether there is time left; a check that is skipped where there is none
time_for() {
  [ $SECONDS -lt $limit ] && return 0
  check "$1" skipped "the $limit s for all checks are over"
  return 1
}

torch=${ASSAY_TORCH:-$(python3 -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')" 2>/dev/null)}
if [ ! -e "$torch/lib/libtorch_cpu.so" ]; then
  check pytorch failed "no PyTorch in '$torch': install torch 2.11, or name its folder with ASSAY_TORCH"
  finish 78
fi
# Assay looks for LibTorch beside its own library, and LibTorch for CUDA's libraries beside itself.
ln -sfn "$torch" "$root/lib/assay/torch"
ln -sfn "$(dirname "$torch")/nvidia" "$root/lib/assay/nvidia"
# Assay is linked with LibTorch's half for the CPU, which finds the other one when that is loaded.
cuda=
if [ -e "$torch/lib/libtorch_cuda.so" ]; then
  cuda="$torch/lib/libtorch_cuda.so"
fi
# with_cuda COMMAND...: for Assay's programs alone, each of which takes a while to load it. Never longer than is left.
with_cuda() {
  local left=$((limit - SECONDS))
  timeout $((left > 1 ? left : 1)) env ${cuda:+LD_PRELOAD="$cuda"} "$@"
}
doctor=$(with_cuda "$root/bin/assay" doctor 2>&1)
status=$?
if [ $status != 0 ] && [ $status != 5 ]; then
  check pytorch failed "the program does not start: $(tail -n 1 <<<"$doctor")"
  finish 78
fi
line=$(grep -m1 ' LibTorch ' <<<"$doctor" | tr -s ' ')
if [[ $line == wrong* ]]; then
  check pytorch failed "$line"
  finish 78
fi
check pytorch passed "$line"
if ! grep -q 'cuda:0' <<<"$doctor"; then
  check gpu skipped "$(grep ' cuda ' <<<"$doctor" | tr -s ' ')"
  [ $device = cpu ] || finish 77
else
  check gpu passed "cuda:0"
fi

names=$(with_cuda "$root/bin/assay_tests" "$tests" --list-test-names-only) # ends with their number
if [ -z "$names" ]; then
  check tests failed "the tests do not start, or none of them is of this kind"
  finish 1
fi

# Every test case by itself: one that crashes or hangs does not hide the others.
while read -r name; do
  [ -n "$name" ] || continue
  time_for "$name" || continue
  text=$(with_cuda timeout 180 "$root/bin/assay_tests" "${name//,/\\,}" 2>&1)
  case $? in
    0) check "$name" passed "" ;;
    77) check "$name" skipped "$(grep -m1 SKIPPED <<<"$text")" ;;
    124) check "$name" failed "not finished after 180 s, or when the time for all checks was over" ;;
    *) check "$name" failed "$(grep -m1 -A2 -E 'FAILED|error' <<<"$text" | tail -n 1)" ;;
  esac
done <<<"$names"

# The same sweep on the CPU and on the device, from the same checkpoints, which the first run trains. The CPU's own second run
# has one thread.
export ASSAY_MODELS_DIR=$work/models ASSAY_STATISTICS_DIR=$work/statistics ASSAY_DATA_DIR=$root/share/assay/data
sweep() {
  with_cuda "$root/bin/assay" -q run sweeps/gpu-check.json --device "$1" --db "$work/$2.sqlite" --workers 0 &&
    with_cuda "$root/bin/assay" report "$work/$2.sqlite" --format json -o "$work/$2.json"
}
if time_for sweep; then
  if text=$( (cd "$work" && sweep cpu first && OMP_NUM_THREADS=1 sweep $device second) 2>&1); then
    if text=$(python3 "$root/share/assay/gpu_check_compare.py" "$work/first.json" "$work/second.json" 2>&1); then
      check sweep passed "$text"
    else
      check sweep failed "$(tail -n 1 <<<"$text")"
    fi
  else
    check sweep failed "$(tail -n 1 <<<"$text")"
  fi
fi

# Lines of JSON: a copy on the device, then merges there.
if time_for merges; then
  if lines=$(with_cuda "$root/bin/bench_device" --device $device --megabytes $megabytes 2>"$work/errors"); then
    benchmarks=$(paste -sd, <<<"$lines")
    check merges passed "$(sed -nE 's/.*"bytes_per_s":([0-9.e+]+).*"name":"([a-z_]+)".*"of_copy":(null|[0-9.]+).*/\2 \1 B\/s (of a copy \3)/p' <<<"$lines" | paste -sd';' | sed 's/;/; /g')"
  else
    check merges failed "$(tail -n 1 "$work/errors")"
  fi
fi

# Merges and evaluations per second of a sweep of language models, next to those of transformers.
beside() {
  local peer="$root/share/assay/gpu_check_transformers.py" folder=$work/beside
  mkdir "$folder" && python3 "$peer" make "$folder" $size >/dev/null &&
    (cd "$folder" && ASSAY_TASKS_DIR=tasks with_cuda "$root/bin/assay" -q run sweep.json --device $device --db r.sqlite --workers 0 >/dev/null &&
      with_cuda "$root/bin/assay" report r.sqlite --format json -o report.json >/dev/null) &&
    timeout $((limit > SECONDS ? limit - SECONDS : 1)) python3 "$peer" compare "$folder" $device
}
if ! python3 -c 'import tokenizers, torch, transformers' 2>/dev/null; then
  check transformers skipped "python3 has no torch, transformers and tokenizers"
elif time_for transformers; then
  if line=$(beside 2>"$work/errors"); then
    benchmarks+="${benchmarks:+,}$line"
    check transformers passed "$(sed -E 's/.*"assay_per_s": ([^,]+), "transformers_per_s": ([^,]+), "times": ([^,]+), "largest_difference": ([^}]+)}/\1 merges with evaluation per s, transformers \2: \3 times as many; perplexities differ by \4 at most/' <<<"$line")"
  else
    check transformers failed "${line:-$(tail -n 1 "$work/errors")}"
  fi
fi
[ $failed = 0 ] && finish 0
finish 1
