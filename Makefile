# The way in. Everything here can be run by hand; each target is a few lines.
#   make build    the program, at build/assay (installs what is missing first)
#   make install  the program, its library, headers and data below PREFIX (/usr/local); works wherever it is moved
#   make bundle   out/assay.tar.zst: program and tests for a machine with a GPU and PyTorch, where ./assay-gpu-check runs
#   make demo     a leaderboard on real data: out/quickstart.html
#   make smol     experts of SmolLM2-135M-Instruct trained, merged and scored (sweeps/smol.json): about an hour on two cores
#   make test     all tests; with ASSAY_REQUIRE_DATA=1 a test whose data are absent fails, else it is skipped
#   make conformance METHOD=ties    what every method is held to, for one of them
#   make asan     the tests that do not train, under AddressSanitizer and UBSan, in build-asan/
#   make fuzz     libFuzzer on the readers of checkpoints and merge configurations, RUNS inputs each
#   make peers    results compared with those of mergekit (docs/parity.md), transformers and lm-evaluation-harness
#   make bench    merges timed against mergekit, a bare copy and, in a sweep, memory: docs/performance.md
#   make lint     clang-format, clang-tidy, the includes between modules, headers that compile by themselves
#   make format   rewrites the sources' layout
#   make clean    removes what was built; keeps .deps/, data/ and out/
# Variables: ASSAY_PEERS_ENV (a Python environment with mergekit; made when it is not there), ASSAY_BENCH_DIR
# (15 GB for checkpoints), CMAKE_ARGS='-DCMAKE_PREFIX_PATH=/path/to/libtorch', ASSAY_CUDA=auto|on|off, JOBS=N.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
ASSAY_CUDA ?= auto
CMAKE_ARGS ?=
# A compiler takes up to 1.3 GB with LibTorch's headers, and the build is to stay below 6 GB.
JOBS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))

# Of the configuration only what was chosen is shown, and what goes wrong.
configure = cmake --preset $(1) $(2) $(CMAKE_ARGS) | grep -E '^-- (LibTorch|CUDA)'
compile = cmake --build --preset $(1) --parallel $(JOBS)
sources = git ls-files -co --exclude-standard '*.cpp' '*.h' '*.cu' '*.cuh'
# Of the text suites, tests make small data themselves.
image_data = mnist5k optdigits animal_mnist font_digits
export ASSAY_CUDA CMAKE_ARGS

ASSAY_PEERS_ENV ?= .deps/peers
ASSAY_BENCH_DIR ?= out/bench
RUNS ?= 100000
# torch's CPU build looks for a CUDA toolkit's libraries.
peers_python = LD_LIBRARY_PATH=$${LD_LIBRARY_PATH:-/usr/local/cuda/lib64} $(ASSAY_PEERS_ENV)/bin/python

.PHONY: build install bundle demo smol test conformance asan fuzz peers bench lint format clean

build:
	@scripts/bootstrap.sh build
	@$(call configure,default,-DASSAY_CUDA=$(ASSAY_CUDA))
	@$(call compile,default) --target assay

PREFIX ?= /usr/local
install: build
	cmake --install build --prefix "$(PREFIX)"

# For the GPUs of other machines, too. What is built after it is for this machine again.
bundle:
	@scripts/bootstrap.sh build
	@$(call configure,default,-DASSAY_CUDA=$(ASSAY_CUDA) '-DASSAY_CUDA_ARCHITECTURES=80;86;89;90;100;120')
	@status=0; $(call compile,default) --target assay assay_tests || status=$$?; \
	  $(call configure,default,-DASSAY_CUDA=$(ASSAY_CUDA) -UASSAY_CUDA_ARCHITECTURES) || true; exit $$status
	build/assay data fetch optdigits
	@mkdir -p out
	scripts/bundle.sh build out/assay.tar.zst

demo: build
	build/assay data fetch $(image_data)
	build/assay run sweeps/quickstart.json --db out/quickstart.sqlite --workers $(JOBS)
	build/assay report out/quickstart.sqlite -o out/quickstart.html

smol: build
	build/assay data fetch smollm2 multiple_choice gsm8k piqa truthfulqa
	build/assay run sweeps/smol.json --db out/smol.sqlite --workers $(JOBS)
	build/assay report out/smol.sqlite -o out/smol.html

test:
	@scripts/bootstrap.sh build
	@$(call configure,default,-DASSAY_CUDA=$(ASSAY_CUDA))
	@$(call compile,default)
	build/assay data fetch $(image_data)
	ctest --preset default

conformance:
	@scripts/bootstrap.sh build
	@$(call configure,default,-DASSAY_CUDA=$(ASSAY_CUDA))
	@$(call compile,default)
	ASSAY_CONFORMANCE_METHOD=$(METHOD) ctest --preset default -R '^conformance$$'

asan:
	@scripts/bootstrap.sh build
	@$(call configure,asan,-DASSAY_CUDA=off)
	@$(call compile,asan)
	ctest --preset asan

fuzz:
	@scripts/bootstrap.sh lint
	@$(call configure,fuzz)
	@$(call compile,fuzz)
	scripts/fuzz.sh build-fuzz $(RUNS)

peers: build
	@scripts/peers/install.sh $(ASSAY_PEERS_ENV)
	$(peers_python) scripts/peers/parity.py --write docs/parity.md
	scripts/peers/language.sh $(ASSAY_PEERS_ENV) build/assay

bench: build
	@scripts/peers/install.sh $(ASSAY_PEERS_ENV)
	@$(call compile,default) --target bench_merging bench_startup
	build/bench/bench_merging
	build/bench/bench_startup
	$(peers_python) scripts/bench/spectral.py --work $(ASSAY_BENCH_DIR)
	$(peers_python) scripts/bench/merges.py --work $(ASSAY_BENCH_DIR) --write docs/performance.md

lint:
	@scripts/bootstrap.sh lint
	python3 scripts/test_check_includes.py
	python3 scripts/check_includes.py
	$(sources) | xargs clang-format --dry-run -Werror
	@$(call configure,lint)
	@$(call compile,lint)

format:
	@scripts/bootstrap.sh lint
	$(sources) | xargs clang-format -i

clean:
	rm -rf build build-asan build-fuzz build-lint
