#!/usr/bin/env bash
# bundle.sh BUILD: packs a bundle and runs it in a root without the source tree, on the CPU.
# Ends with 0 when all is as it should be, with 77 where namespaces are not allowed.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
torch=$(sed -n 's/^ASSAY_INSTALLED_LIBTORCH:[A-Z]*=//p' "$build/CMakeCache.txt")
{ unshare -rm true 2>/dev/null && command -v zstd >/dev/null && [ -n "$torch" ] && [ -d "$here/../../data/optdigits" ] && grep -q '^ASSAY_NVCC:FILEPATH=/' "$build/CMakeCache.txt"; } || {
  echo "SKIPPED: needs namespaces, zstd, nvcc, the data set optdigits and a LibTorch that was fetched"
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "bundle: $*" >&2; exit 1; }
"$here/../../scripts/bundle.sh" "$build" "$work/assay.tar.zst"

# A root with the system's programs, but only glibc and Python of its libraries.
mkdir -p "$work"/root/{dev,proc,tmp,etc,torch/torch,torch/nvidia,usr,home}
zstd -qdc "$work/assay.tar.zst" | tar -C "$work/root/home" -x
cat >"$work/inside.sh" <<'END'
set -euo pipefail
cd /home
status=0
ASSAY_TORCH=/torch/torch assay/assay-gpu-check || status=$?
[ $status = 77 ] || { echo "without a GPU it ends with $status"; exit 1; }
ASSAY_TORCH=/torch/torch assay/assay-gpu-check --cpu
python3 - <<'CHECK'
import json
report = json.load(open("gpu-check.json"))
states = {check["name"]: check["state"] for check in report["checks"]}
assert len(states) > 10 and states["sweep"] == states["merges"] == "passed", states
names = [benchmark["name"] for benchmark in report["benchmarks"]]
merges = ["copy", "average", "task_arithmetic", "dare", "ties"]
beside = {"passed": ["sweep beside transformers"], "skipped": []}[states["transformers"]]
assert names == merges + beside, names
assert all(benchmark["bytes_per_s"] > 0 for benchmark in report["benchmarks"][:len(merges)]), report
CHECK
status=0
ASSAY_TORCH=/nowhere assay/assay-gpu-check || status=$?
[ $status = 78 ] || { echo "without PyTorch it ends with $status"; exit 1; }
ldd assay/bin/assay_tests assay/bin/assay assay/lib/libassay.so >libraries
if grep 'not found' libraries; then exit 1; fi
# What is not glibc's comes with the bundle or with PyTorch.
others=$(awk '$2 == "=>" { print $3 }' libraries |
  grep -vE '^/home/assay/|^/torch/|/(libc|libm|libdl|librt|libpthread|libutil|libresolv)\.so' || true)
[ -z "$others" ] || { echo "the system's libraries are used:"$'\n'"$others"; exit 1; }
END
root=$work/root unshare -rm bash -c '
  set -e
  for folder in bin sbin lib lib64; do
    if [ -L /$folder ]; then cp -d /$folder "$root/"; else mkdir "$root/$folder"; mount --rbind /$folder "$root/$folder"; fi
  done
  mount --rbind /usr "$root/usr"
  mount --rbind /etc "$root/etc"
  mount --rbind /dev "$root/dev"
  mount --rbind /proc "$root/proc"
  mount --rbind "$1/torch" "$root/torch/torch"
  mount --rbind "$1/nvidia" "$root/torch/nvidia"
  cp "$2/inside.sh" "$root/home"
  exec chroot "$root" /bin/bash /home/inside.sh' bash "$torch" "$work" || fail "it does not work without the source tree"
echo "bundle: all is as it should be"
