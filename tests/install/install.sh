#!/usr/bin/env bash
# install.sh BUILD: installs to a folder, moves it, and uses what was installed from outside of the source tree.
# Ends with 0 when all is as it should be.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

# LibTorch is not copied for a test: what is at its place already counts as installed.
torch=$(sed -n 's/^ASSAY_INSTALLED_LIBTORCH:[A-Z]*=//p' "$build/CMakeCache.txt")
if [ -n "$torch" ]; then
  mkdir -p "$work/first/lib/assay"
  ln -s "$torch/torch" "$torch/nvidia" "$work/first/lib/assay"
fi
cmake --install "$build" --prefix "$work/first" >"$work/log" || { tail "$work/log"; fail "cmake --install failed"; }

# What an older version left goes, what is the user's stays.
touch "$work/first/include/assay/old.h" "$work/first/share/assay/tasks/mine.json"
echo include/assay/old.h >>"$work/first/lib/assay/installed.txt"
# A link leads to files of somebody else.
mkdir "$work/other"
touch "$work/other/file"
ln -s "$work/other" "$work/first/lib/assay/linked"
echo lib/assay/linked/file >>"$work/first/lib/assay/installed.txt"
cmake --install "$build" --prefix "$work/first" >"$work/log" || fail "the second installation failed"
[ ! -e "$work/first/include/assay/old.h" ] || fail "a file of an older version is left"
[ -e "$work/first/share/assay/tasks/mine.json" ] || fail "a file that was not installed is gone"
rm "$work/first/share/assay/tasks/mine.json"
[ -e "$work/other/file" ] || fail "a file was removed that a link leads to"
rm "$work/first/lib/assay/linked"
if [ -n "$torch" ]; then
  mkdir -p "$work/linked/lib/assay"
  ln -s "$work/other" "$work/linked/lib/assay/torch"
  ! cmake --install "$build" --prefix "$work/linked" >"$work/log" 2>&1 || fail "LibTorch is installed through a link"
  grep -q 'remove the link' "$work/log" || fail "the link is not named: $(tail "$work/log")"
  [ "$(ls "$work/other")" = file ] || fail "files were installed through a link"
fi

mv "$work/first" "$work/moved"
cd "$work"
assay=$work/moved/bin/assay
unset ASSAY_HOME ASSAY_DATA_DIR
export HOME=$work XDG_CACHE_HOME=
! ldd "$assay" "$work/moved/lib/libassay.so" | grep 'not found' || fail "libraries are missing"
ldd "$assay" | grep -q "$work/moved/.*libassay.so" || fail "the library of the build folder is used"
"$assay" list methods >methods
grep -q '^average' methods || fail "there are no methods"
"$assay" list tasks >tasks
grep -q '^digits/' tasks || fail "there are no tasks"
"$assay" doctor --json >doctor || fail "doctor: $(cat doctor)"
grep -q "$work/moved/share/assay" doctor || fail "the data files are not those that were installed"
grep -q "$work/.cache/assay/data" doctor || fail "data would be kept in the installed tree"
mkdir broken
status=0
ASSAY_HOME=$work/broken "$assay" doctor >doctor 2>&1 || status=$?
[ $status = 5 ] || fail "doctor ends with $status where the tasks are missing: $(cat doctor)"
grep -q 'wrong.*home.*lacks tasks/' doctor || fail "doctor does not say what is missing: $(cat doctor)"

# The merge of (1, 2) and (3, 6) is (2, 4).
python3 - <<'END'
import json, os, struct
for name, values in ("a", (1, 2)), ("b", (3, 6)):
    os.makedirs(name)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    with open(f"{name}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + struct.pack("<2f", *values))
json.dump({"method": "average", "experts": ["a", "b"]}, open("merge.json", "w"))
END
"$assay" -q merge merge.json -o merged
python3 - <<'END' || fail "the merge is wrong"
import struct
assert struct.unpack("<2f", open("merged/model.safetensors", "rb").read()[-8:]) == (2, 4)
END

# Completion: commands, options, names of methods.
for shell in bash zsh fish; do
  if command -v $shell >/dev/null; then
    file=$(find "$work/moved/share" -name _assay -o -name assay.fish -o -name assay -type f | grep "$shell")
    $shell -n "$file" || fail "the completion for $shell has errors"
  fi
done
cat >complete.bash <<'END'
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_assay
echo "${COMPREPLY[*]}"
END
complete() { bash complete.bash "$work/moved/share/bash-completion/completions/assay" "$assay" "$@"; }
[ "$(complete tok)" = tokenize ] || fail "completion of 'tok': $(complete tok)"
[ "$(complete run --wor)" = --workers ] || fail "completion of 'run --wor': $(complete run --wor)"
[[ "$(complete show method task_ar)" == "task_arithmetic "* ]] || fail "completion: $(complete show method task_ar)"
[ "$(complete run --db '')" = "" ] || fail "the value of an option is no command"
grep -q '^\.SS assay list methods' "$work/moved/share/man/man1/assay.1" || fail "the manual lacks a command"

# A library of an author: headers that compile without the source tree, and the flags that numbers depend on.
cmake -S "$here/plugin" -B plugin -G Ninja -DCMAKE_PREFIX_PATH="$work/moved" >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "find_package(assay) failed"; }
cmake --build plugin >"$work/log" 2>&1 || { cat "$work/log"; fail "the plugin does not compile"; }
grep -q 'ffp-contract=off' plugin/build.ninja || fail "the plugin may contract products and sums"
! grep -q "$(dirname "$(dirname "$here")")/harness" plugin/.ninja_deps || fail "the source tree was used"
"$assay" --plugin plugin/example.so list methods | grep -A1 '^installed_example' >listed || fail "the plugin is not loaded"
sed -i 's/average/installed_example/' merge.json
"$assay" -q --plugin plugin/example.so merge merge.json -o doubled
python3 - <<'END' || fail "the merge by the plugin is wrong"
import struct
assert struct.unpack("<2f", open("doubled/model.safetensors", "rb").read()[-8:]) == (4, 8)
END
"$assay" new method mine >"$work/log" 2>&1 || { cat "$work/log"; fail "'assay new' finds no templates"; }
echo "install: all is as it should be"
