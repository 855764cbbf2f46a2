# `make` alone says what there is. Build products go to target/, or to $CARGO_TARGET_DIR.

CARGO ?= cargo
DEMO := deploy/demo.sh
# For `make fuzz`: which targets, seconds for each, and most megabytes that one allocation, and all of a target, may take.
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard tests/fuzz/fuzz_targets/*.rs)))
FUZZ_SECONDS ?= 60
FUZZ_MALLOC_MB ?= 64
FUZZ_RSS_MB ?= 2048
# For `make faults` and `make torture`: pairs to draw, what they are drawn by, and cases at a time.
FAULT_PAIRS ?= 300
FAULT_SEED ?= 1
FAULT_JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help deps build test demo check fmt clippy doc links deny bench bench-deps fuzz faults torture corpus clean-demo

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do \
		printf '  make %-11s %s\n' "$$target" "$$what"; done

deps: ## Install the Debian packages that are missing; asks for root only then
	@.ci/deps

build: deps ## Build everything
	$(CARGO) build --locked --workspace

test: build ## Run every test, documentation's too
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run --locked --workspace --no-fail-fast && $(CARGO) test --locked --workspace --doc; \
	else \
		set -x; $(CARGO) test --locked --workspace --no-fail-fast; \
	fi

demo: build ## From C source to offline proof, each claim checked; leaves nothing running
	@$(DEMO) run

check: fmt clippy test doc links deny ## All that a change must pass, but demo and faults

fmt:
	$(CARGO) fmt --all --check

clippy: deps
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc: deps
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

links:
	@.ci/links

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		set -x; $(CARGO) deny --locked check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: licences, bans and sources were not checked"; \
	fi

bench: deps ## Measure on a million names; print ratios to limits and peers, and whether bounds are kept
	$(CARGO) build --locked --workspace --bins
	$(CARGO) run --locked --bin pds-bench

bench-deps: deps ## Install and build the peers that benchmarks are held against: nginx, akd, rs_merkle
	@CARGO="$(CARGO)" .ci/bench-deps

fuzz: deps ## Fuzz each target for FUZZ_SECONDS=60 with the address sanitizer; FUZZ_TARGETS="evidence answer"
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	@CARGO="$(CARGO)" SECONDS_EACH=$(FUZZ_SECONDS) MALLOC_MB=$(FUZZ_MALLOC_MB) RSS_MB=$(FUZZ_RSS_MB) tests/fuzz/run $(FUZZ_TARGETS)

faults: deps ## Inject every fault into file operations, FAULT_PAIRS=300 pairs of them, and flip bits; FAULT_SEED=1, FAULT_JOBS=2
	$(CARGO) build --locked --bin pds-faults
	$(CARGO) run --locked --quiet --bin pds-faults -- matrix --pairs $(FAULT_PAIRS) --seed $(FAULT_SEED) --jobs $(FAULT_JOBS)
	$(CARGO) run --locked --quiet --bin pds-faults -- flips --seed $(FAULT_SEED)

torture: deps ## As faults, with every pair: hours
	$(CARGO) build --locked --bin pds-faults
	$(CARGO) run --locked --quiet --bin pds-faults -- matrix --seed $(FAULT_SEED) --jobs $(FAULT_JOBS)

corpus: deps ## Build and check PQUIC's own plugins: PDS_PLUGIN_CORPUS=<checkout of p-quic/pquic>
	@test -d "$(PDS_PLUGIN_CORPUS)" || { echo "set PDS_PLUGIN_CORPUS to a checkout of p-quic/pquic" >&2; exit 2; }
	PDS_PLUGIN_CORPUS="$(abspath $(PDS_PLUGIN_CORPUS))" \
		$(CARGO) test --locked -p pds-validator --test corpus -- --ignored --nocapture

clean-demo: ## End the demo network, and remove what demos made
	@$(DEMO) down
	rm -rf target/demo
