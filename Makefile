# Every target works from a clean clone on Linux with Go 1.26, g++, pip and make, sets up what it needs, and ends with one line
# that says the result.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.PHONY: help setup demo test check bench-sft bench-dpo bench-rm bench-generate interop

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Packages that build without cgo and libtorch (internal/arrows holds them to it).
PURE := ./cmd/libtorch/... ./data/... ./internal/golden/... ./internal/gotest/... ./internal/libtorch/... ./internal/logistic/... ./internal/safetensors/... \
	./internal/table/... ./internal/testdata ./mixer/... ./model/arch/... ./plan/... ./tokenizer/... ./train/observe/... ./train/schedule/...

# Go's ./... leaves out folders named testdata.
ALL := ./... ./internal/testdata

# Packages whose tests are repeated with -tags torchcheck, which finds double free, use after free and leaks of tensors.
TORCHCHECK := ./internal/torch ./model ./lora ./train ./sft ./dpo ./rm ./ppo ./grpo

# The flags that link libtorch, for the commands that follow in the same recipe.
FLAGS = flags="$$(go run ./cmd/libtorch env)"; eval "$$flags"

help:
	@echo "make setup                  find libtorch or download it (544 MB), and compile gotch, once"
	echo "make demo                   train a small model and fine-tune it with LoRA; BASE=dir takes your checkpoint"
	echo "make test                   every check and every test"
	echo "make check                  gofmt, go vet, staticcheck, the build without cgo, the direction of imports"
	echo "make bench-sft PEERS_PYTHON=python   speed and memory beside TRL (also bench-dpo, bench-rm, bench-generate); that Python has torch, transformers, peft and trl"
	echo "make interop PEERS_PYTHON=python     what we save, loaded by transformers and PEFT: the logits must be ours"

setup:
	@command -v go >/dev/null || { echo "setup: there is no go command; install Go 1.26 or later from https://go.dev/dl" >&2; exit 1; }
	go run ./cmd/libtorch install $(if $(CUDA),--cuda) $(if $(PERSIST),--persist)
	echo "setup: ready; libtorch is in $$(go run ./cmd/libtorch path)"

demo: setup
	@$(FLAGS)
	go run ./examples/demo $(if $(BASE),-base "$(BASE)")

check: setup
	@$(FLAGS)
	echo "check: gofmt"
	wrong="$$(gofmt -l .)"
	[ -z "$$wrong" ] || { printf 'not as gofmt writes it: %s\n' $$wrong >&2; exit 1; }
	echo "check: go vet (compiles the C++ kernels, some two minutes, when they are new)"
	go vet $(ALL)
	echo "check: go vet without cgo"
	CGO_ENABLED=0 go vet $(PURE)
	echo "check: staticcheck"
	go run $(STATICCHECK) $(ALL)
	echo "check: imports"
	go test -count=1 ./internal/arrows
	echo "check: gofmt, go vet with and without cgo, staticcheck and the direction of imports are clean"

test: check
	@$(FLAGS)
	go run ./internal/gotest "-timeout 20m ./..." "-timeout 20m -tags torchcheck $(TORCHCHECK)"

bench-sft bench-dpo bench-rm bench-generate: bench-%: setup
	@[ -n "$(PEERS_PYTHON)" ] || { echo "$@: PEERS_PYTHON names no Python; it needs torch, transformers, peft and trl" >&2; exit 2; }
	$(FLAGS)
	go run ./bench/compare -python "$(PEERS_PYTHON)" $*

interop: setup
	@[ -n "$(PEERS_PYTHON)" ] || { echo "interop: PEERS_PYTHON names no Python; it needs torch, transformers and peft" >&2; exit 2; }
	$(FLAGS)
	go run ./bench/interop -python "$(PEERS_PYTHON)"
