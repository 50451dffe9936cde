#!/usr/bin/env bash
# Installs what the build needs and is missing: Debian packages (packages.txt) and LibTorch (wheels.txt).
# Says nothing and takes a moment when all is there. Called by the Makefile:
#   scripts/bootstrap.sh build | lint
# Environment: ASSAY_CUDA=auto|on|off (CUDA libraries, as for CMake), CMAKE_ARGS (as for CMake).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "bootstrap: $*"; }
die() { echo "bootstrap: error: $*" >&2; exit 1; }

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian or Ubuntu; install the equivalents of $* by hand"
    return
  fi
  local wanted installed missing
  wanted=$(sed 's/#.*//' "$@" | xargs -n1)
  # Python counts from wherever it comes; only its pip is needed, to fetch LibTorch.
  python3 -m pip --version >/dev/null 2>&1 || wanted+=$'\n'python3-pip
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p' || true)
  missing=$(comm -23 <(sort -u <<<"$wanted") <(sort -u <<<"$installed") | xargs)
  [ -n "$missing" ] || return 0

  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      die "packages are missing and there is no sudo; as root run: apt-get install $missing"
    root=(sudo)
  fi
  mkdir -p .deps
  local log=.deps/apt.log
  say "installing packages: $missing"
  "${root[@]}" apt-get -q update >"$log" 2>&1 ||
    say "warning: 'apt-get update' failed ($log); going on with the package lists of the last one"
  # shellcheck disable=SC2086
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y --no-install-recommends install $missing >>"$log" 2>&1 ||
    die "apt-get could not install them: $(grep -m1 -E '^(E|sudo):|sudoers' "$log" || echo "see $log");" \
      "check the network, or as root run: apt-get install $missing"
}

# True when this machine's LibTorch shall run on CUDA: asked for, or there are an NVIDIA driver and nvcc,
# without which cmake/Cuda.cmake leaves CUDA out.
wants_cuda() {
  case "${ASSAY_CUDA:-auto}" in
    on) true ;;
    off) false ;;
    *) [ -e /dev/nvidiactl ] && { command -v nvcc || [ -e /usr/local/cuda/bin/nvcc ]; } >/dev/null ;;
  esac
}

fetch_libtorch() {
  local lists=(scripts/wheels.txt) kind=CPU
  # shellcheck disable=SC2086
  if cmake ${CMAKE_ARGS:-} -DIGNORE_FETCHED=ON -P cmake/LocateTorch.cmake >/dev/null 2>&1; then
    return 0  # the user's own
  fi
  if wants_cuda; then
    lists+=(scripts/wheels-cuda.txt)
    kind=CUDA
  fi
  # The stamp is written last and names what was unpacked: a part of a LibTorch never counts as one.
  local want have
  want=$(cat "${lists[@]}" | sha256sum)
  have=$(cat .deps/torch/wheels.sha256 2>/dev/null || true)
  # A fetched CUDA part is kept when it is not wanted this time.
  [ "$want" != "$have" ] || return 0
  [ "$(cat scripts/wheels.txt scripts/wheels-cuda.txt | sha256sum)" != "$have" ] || return 0

  local machine wheels=.deps/wheels log=.deps/pip.log
  machine=$(uname -m)
  case "$machine" in
    x86_64 | aarch64) ;;
    *) die "no LibTorch is pinned for $machine; install one and name it: make CMAKE_ARGS=-DCMAKE_PREFIX_PATH=/path/to/libtorch" ;;
  esac
  say "fetching LibTorch ($kind) from PyPI: $(sed -n 's/ *\\$//;/^[a-z]/p' "${lists[@]}" | xargs)"
  mkdir -p "$wheels"
  local platforms=() glibc requirements=()
  for glibc in 12 17 18 25 27 28; do platforms+=(--platform "manylinux_2_${glibc}_$machine"); done
  platforms+=(--platform "manylinux2014_$machine")
  local list
  for list in "${lists[@]}"; do requirements+=(-r "$list"); done
  python3 -m pip download --require-hashes --no-deps --only-binary=:all: --python-version 3.11 \
    --implementation cp "${platforms[@]}" --disable-pip-version-check --retries 2 \
    --dest "$wheels" "${requirements[@]}" >"$log" 2>&1 ||
    die "pip could not fetch LibTorch: $(grep -m1 '^ERROR:' "$log" || echo "see $log");" \
      "check the network, or put the wheels of scripts/wheels*.txt into a folder and set PIP_FIND_LINKS to it"
  say "unpacking LibTorch to .deps"
  python3 scripts/unpack_wheels.py "$wheels" .deps || die "LibTorch could not be unpacked to .deps (disk full?)"
  echo "$want" >.deps/torch/wheels.sha256
  rm -r "$wheels"
}

case "${1:-build}" in
  build) install_packages scripts/packages.txt ;;
  lint) install_packages scripts/packages.txt scripts/packages-lint.txt ;;
  *) die "usage: scripts/bootstrap.sh build|lint" ;;
esac
fetch_libtorch
