# Two commands: `make demo` shows what it does, `make test` what must hold. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PATH := $(HOME)/.cargo/bin:$(PATH)
# One target directory for all clones of a user, so that RocksDB and DataFusion are compiled once.
export CARGO_TARGET_DIR := $(shell scripts/target-dir.sh)
# One set of features and one profile for everything, for the same reason.
EVERYTHING := --release --workspace --all-features
HURTIG := $(CARGO_TARGET_DIR)/release/hurtig

# Where `make demo` keeps its data, `make bench` its input, and for how long it measures.
DEMO_DIR ?= demo-data
BENCH_DIR ?= $(HOME)/.cache/hurtig/bench
BENCH_SECONDS ?= 40
# `make soak`: how many readings in the lake, how many kills, how many readings over streams, how large a file into one; a seed and a campaign that have failed go the same way again.
ROUNDS ?= 200
READINGS ?= 1000000
LAKE_READINGS ?= 50000000
FILE_MB ?= 1000
SEED ?=
CAMPAIGN ?=

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## installs what the build needs, says nothing if all is there
	@scripts/setup.sh

.PHONY: build
build: setup ## builds the binary `hurtig`
	@echo "building in $(CARGO_TARGET_DIR) (the first time RocksDB and DataFusion too: that takes a while)"
	@cargo build $(EVERYTHING) --bin hurtig
	@echo "built $(HURTIG)"

.PHONY: demo
demo: build ## real meters, then a fleet of 100,000, then a query; ends by itself
	@scripts/demo.sh "$(HURTIG)" "$(DEMO_DIR)"

.PHONY: test
test: setup ## everything that must hold: format, lints, all tests, a short chaos run
	@scripts/test.sh $(EVERYTHING)

.PHONY: soak
soak: setup ## kills the running job, and the store's server, ROUNDS times (200) each and compares; READINGS (1 million) over real streams; a file of FILE_MB (1,000) into one beside live traffic; 20 million keys in 64 MiB
	@CI=1 scripts/servers.sh install
	@cargo build $(EVERYTHING) --bin hurtig --bin chaos --bin streams --bin lake --bin state_size
	@"$(CARGO_TARGET_DIR)/release/chaos" --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) $(if $(CAMPAIGN),--campaign $(CAMPAIGN))
	@"$(CARGO_TARGET_DIR)/release/streams" --readings $(READINGS) --file-megabytes $(FILE_MB) $(if $(SEED),--seed $(SEED))
	@"$(CARGO_TARGET_DIR)/release/lake" --readings $(LAKE_READINGS) --meters 20000 --rate 150000 --interval-ms 2000 --file-kib 65536 --duckdb "$$(scripts/servers.sh where readers)/bin/python3" $(if $(SEED),--seed $(SEED))
	@HURTIG_STORE_KILLS=$(ROUNDS) $(if $(SEED),HURTIG_STORE_KILLS_SEED=$(SEED)) cargo test $(EVERYTHING) --test it -- store_kills --nocapture
	@mkdir -p "$(BENCH_DIR)"
	@"$(CARGO_TARGET_DIR)/release/state_size" --data-dir "$(BENCH_DIR)/state-size"
	@rm -rf "$(BENCH_DIR)/state-size"

.PHONY: bench
bench: setup ## the peers' benchmarks: right answers, then BENCH_SECONDS (40) of steady state each
	@cargo build $(EVERYTHING) --bin bench --bin gen_peer --bin state_size
	@scripts/bench.sh "$(CARGO_TARGET_DIR)/release" "$(BENCH_DIR)" "$(BENCH_SECONDS)"

.PHONY: fmt
fmt: ## formats the code
	@cargo fmt --all

.PHONY: clean
clean: ## removes the demo's data (the build stays, it is shared)
	@scripts/demo-dir.sh remove "$(DEMO_DIR)"
