# Compute Factory. Every target that needs packages installs them first; `make help` lists what there is.
SHELL := /bin/sh
BIN := node_modules/.bin
BIOME := node_modules/@biomejs/cli-linux-x64/biome

.DEFAULT_GOAL := help
.PHONY: help demo test test-mesos check bench generate format

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

node_modules/.installed: package.json package-lock.json hack/bootstrap.sh
	@hack/bootstrap.sh npm

demo: node_modules/.installed ## Set everything up and do the main job: a local cluster, 200 cores, shown live
	@hack/bootstrap.sh machines
	@$(BIN)/node hack/demo.ts

test: node_modules/.installed check ## Set up and run every test
	@hack/bootstrap.sh tests
	@$(BIN)/node hack/test.ts

test-mesos: node_modules/.installed ## Mesos' conformance suite: the local one, or a real one with MESOS_MASTER
	@$(BIN)/node hack/test.ts mesos/conformance

check: node_modules/.installed ## Types, lint, layers, generated files
	@$(BIN)/tsc -p .
	@if [ -x $(BIOME) ]; then $(BIOME) check --error-on-warnings .; else echo "lint skipped: no biome for this processor"; fi
	@$(BIN)/node hack/check-layers.ts
	@$(BIN)/node hack/generate-types.ts --check

bench: node_modules/.installed ## Measure: one line per figure, or those of FIGURES='P4 P9-disk'
	@hack/bootstrap.sh tests
	@$(BIN)/node hack/bench/main.ts $(FIGURES)

generate: node_modules/.installed ## Print lib/api/generated from crds/
	@$(BIN)/node hack/generate-types.ts

format: node_modules/.installed ## Format everything
	@$(BIOME) check --write .
