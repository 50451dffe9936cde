#!/usr/bin/env bash
# assay-gpu-check: runs Assay's tests of CUDA on this machine's GPU, and writes gpu-check.json in the current folder.
# It uses the PyTorch that ASSAY_TORCH names (the folder 'torch' of its Python package), else that of python3.
#   --cpu    runs the tests of the kernels on the CPU in place of those on the GPU: whether the bundle works at all
# Exit codes: 0 every check passed or was skipped, 1 one failed, 77 there is no GPU, 78 there is no fitting PyTorch.
set -uo pipefail
root=$(cd "$(dirname "$0")" && pwd)
tests='[gpu]~an encoder is refused*' # the one test that needs its build folder
[ "${1:-}" = --cpu ] && tests='[kernels]~[gpu]~[optional]'

checks=
failed=0
# check NAME passed|failed|skipped TEXT
check() {
  printf '%-10s %-28s %s\n' "$2" "$1" "$3"
  checks+="${checks:+, }{\"name\": \"$(tr -d '"\\\n' <<<"$1")\", \"state\": \"$2\", \"text\": \"$(tr -d '"\\\n' <<<"$3")\"}"
  [ "$2" != failed ] || failed=1
}
finish() {
  printf '{"exit_code": %d, "checks": [%s]}\n' "$1" "$checks" >gpu-check.json
  exit "$1"
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
# with_cuda COMMAND...: for Assay's programs alone, each of which takes a while to load it.
with_cuda() { env ${cuda:+LD_PRELOAD="$cuda"} "$@"; }
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
  [ "${1:-}" = --cpu ] || finish 77
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
  text=$(with_cuda timeout 180 "$root/bin/assay_tests" "${name//,/\\,}" 2>&1)
  case $? in
    0) check "$name" passed "" ;;
    77) check "$name" skipped "$(grep -m1 SKIPPED <<<"$text")" ;;
    124) check "$name" failed "not finished after 180 s" ;;
    *) check "$name" failed "$(grep -m1 -A2 -E 'FAILED|error' <<<"$text" | tail -n 1)" ;;
  esac
done <<<"$names"
[ $failed = 0 ] && finish 0
finish 1
