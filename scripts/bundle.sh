#!/usr/bin/env bash
# bundle.sh BUILD OUT.tar.zst: packs what an installed Assay is without LibTorch, its tests, and the system's libraries
# that they need, for a machine with a GPU, glibc 2.36 or later and a Python with PyTorch. There is no compiler needed.
# The build must have CUDA kernels for the GPUs to come: 'make bundle' sees to it.
set -euo pipefail
build=$(cd "$1" && pwd)
out=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
limit=$((60 * 1024 * 1024))
die() { echo "bundle: error: $*" >&2; exit 1; }
command -v zstd >/dev/null || die "zstd is missing: apt-get install zstd"
grep -q '^ASSAY_NVCC:FILEPATH=/' "$build/CMakeCache.txt" || die "the build has no CUDA kernels: nvcc is missing"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/assay
# LibTorch comes from the other machine. What is at its place counts as installed.
torch=$(sed -n 's/^ASSAY_INSTALLED_LIBTORCH:[A-Z]*=//p' "$build/CMakeCache.txt")
[ -n "$torch" ] || die "the build uses a LibTorch of yours: make one with -DASSAY_INSTALL_LIBTORCH=ON"
mkdir -p "$root/lib/assay"
ln -s "$torch/torch" "$torch/nvidia" "$root/lib/assay"
cmake --install "$build" --prefix "$root" >/dev/null
cmake --install "$build" --prefix "$root" --component tests >/dev/null

# All libraries but those of glibc and those that come with PyTorch.
ldd "$root/bin/assay" "$root/bin/assay_tests" "$root/lib/libassay.so" | awk '$2 == "=>" { print $3 }' | sort -u |
  while read -r library; do
    case "$library" in
      "$root"/* | "$torch"/* | */libc.so.* | */libm.so.* | */libdl.so.* | */librt.so.* | */libpthread.so.* | \
        */libutil.so.* | */libresolv.so.* | */ld-linux*) ;;
      /*) cp -L "$library" "$root/lib" ;;
      *) die "a library was not found: $library" ;;
    esac
  done
rm "$root/lib/assay/torch" "$root/lib/assay/nvidia" "$root/lib/assay/installed.txt"
rm -r "$root/include" "$root/lib/cmake"
strip --strip-unneeded "$root"/bin/* "$root"/lib/*.so*
cp "$here/gpu_check.sh" "$root/assay-gpu-check"
# The sweep of the check needs no network: digits under CC BY 4.0, whose manifest names their authors.
cp "$here/gpu_check_compare.py" "$here/gpu_check_transformers.py" "$root/share/assay"
data=${ASSAY_DATA_DIR:-$here/../data}
[ -d "$data/optdigits" ] || die "the data set optdigits is missing: run '$build/assay data fetch optdigits'"
mkdir "$root/share/assay/data"
cp -RL "$data/optdigits" "$root/share/assay/data"
tar -C "$work" --sort=name --owner=0 --group=0 -c assay | zstd -q -19 -T0 -f -o "$work/bundle"
bytes=$(stat -c %s "$work/bundle")
[ "$bytes" -le $limit ] || die "$out has $bytes bytes, more than $limit"
mv "$work/bundle" "$out"
echo "$out: $bytes bytes"
