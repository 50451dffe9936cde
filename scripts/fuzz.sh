#!/usr/bin/env bash
# Runs every fuzzing program of a build folder on its corpus; ends at the first finding.
#   scripts/fuzz.sh build-fuzz RUNS [TARGET...]
# New inputs that reach more code are kept in BUILD/corpus, findings in BUILD/findings.
set -euo pipefail
build=$1 runs=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$build/findings"
[ $# -gt 0 ] || set -- safetensors index folder torch gguf jinja mergekit
for target in "$@"; do
  mkdir -p "$build/corpus/$target"
  echo "fuzz: $target, $runs inputs"
  log=$build/$target.log
  "$build/tests/fuzz/fuzz_$target" -runs="$runs" -max_len=4096 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" \
    "$build/corpus/$target" "$here/tests/fuzz/corpus/$target" >"$log" 2>&1 ||
    { tail -40 "$log"; echo "fuzz: $target: a finding, see $log" >&2; exit 1; }
  grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "$log"
done
