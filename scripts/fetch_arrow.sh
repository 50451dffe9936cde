#!/usr/bin/env bash
# Fetches Arrow C++ (55 MB, from PyPI's wheel of pyarrow) to .deps/arrow; builds then read Parquet files.
#   scripts/fetch_arrow.sh
set -euo pipefail
cd "$(dirname "$0")/.."
machine=$(uname -m)
mkdir -p .deps
new=$(mktemp -d .deps/arrow.XXXXXX)
trap 'rm -rf "$new"' EXIT
python3 -m pip download --require-hashes --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
  --platform "manylinux_2_28_$machine" --disable-pip-version-check --quiet --dest "$new" -r scripts/wheels-arrow.txt
python3 -m zipfile -e "$new"/pyarrow-*.whl "$new"
rm -f "$new"/pyarrow-*.whl
# Whole or not at all.
rm -rf .deps/arrow
mv "$new" .deps/arrow
echo "fetch_arrow: .deps/arrow is there; the next 'make' uses it"
