# Strongroom. `make` lists what can be made; `make demo` and `make test` are
# the two that a newcomer wants. Nothing here needs to be installed first but
# Go, make and git; `make test` says what it installs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

GO ?= go
BUILD := CGO_ENABLED=0 $(GO) build -trimpath
FUZZ_TIME ?= 15s
TOOLS := .cache/bin/versitygw .cache/bin/rclone .cache/bin/kubernetes

.PHONY: help build demo test fuzz soak bench bench-go bench-login bench-backup bench-island load bench-scale check tools clean go

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

build: go ## bin/strongroom (for a person) and bin/strongroomd (for an operator)
	@mkdir -p bin
	for program in strongroom strongroomd; do
		$(BUILD) -o bin/$$program ./cmd/$$program
	done

demo: build ## the main job, start to end; on your own folder with DATA=/path
	@bin/strongroom demo $(if $(DATA),--data "$(DATA)")

test: ## everything, as continuous integration runs it (installs gcc and softhsm2 by apt if missing)
	@./.ci/test

fuzz: go ## every fuzz target, FUZZ_TIME each (15s)
	@GO="$(GO)" ./.ci/fuzz "$(FUZZ_TIME)"

soak: go tools ## the long sizes of all tests, 1.5 million executions of each fuzz target: about an hour, report in docs/soak (ONLY=regexp: a part)
	@./.ci/tpm
	./.ci/hsm
	./.ci/network
	$(GO) run ./test/soak/run -only "$(ONLY)" $(SOAK_FLAGS)

bench: bench-go bench-login ## all benchmarks; the last table: what a login costs the vault, and what each HSM call

bench-go: go ## Go's benchmarks of every package: MB/s of backup and restore, each step of OPAQUE
	@$(GO) test -run '^$$' -bench . -benchmem ./...
	./.ci/hsm
	CGO_ENABLED=1 $(GO) test -tags pkcs11 -run '^$$' -bench . -cpu 1,2 ./hsm/pkcs11

bench-login: build ## a vault under 64 clients, with each kind of HSM (SMALL=1: a quick look; LOAD_FLAGS: sizes)
	@./.ci/hsm
	./.ci/tpm
	CGO_ENABLED=1 $(GO) build -trimpath -tags pkcs11 -o .cache/bin/strongroomd-pkcs11 ./cmd/strongroomd
	CGO_ENABLED=1 $(GO) build -trimpath -tags pkcs11 -o .cache/bin/load ./cmd/internal/load
	.cache/bin/load -strongroomd-pkcs11 .cache/bin/strongroomd-pkcs11 $(if $(SMALL),-logins 40 -rounds 1) $(LOAD_FLAGS)

bench-island: go ## guesses that an island of three commits in a second, 512 callers, real fsyncs; channel and OPAQUE left out
	@$(GO) test -run '^$$' -bench IslandDebits -benchtime 5s ./vault

load: build ## logins in an open loop, 250/s for ten minutes, an island of five and a relay on this machine (SMALL=1: 50/s for 30 s)
	@CGO_ENABLED=0 $(GO) build -trimpath -o .cache/bin/load ./cmd/internal/load
	.cache/bin/load -island 5 $(if $(SMALL),-rate 50 -for 30s) $(LOAD_FLAGS)

bench-backup: build ## strongroom beside restic, borg and kopia, those that are on PATH (SMALL=1: a quick look; PEERS_FLAGS: sizes)
	@$(BUILD) -o .cache/bin/peers ./cmd/internal/peers
	.cache/bin/peers $(if $(SMALL),-database 40 -media 1600 -media-size 160 -messages 400 -edits 16 -deletions 4 -media-day 12) $(PEERS_FLAGS)

bench-scale: build ## a million small files beside restic: time, peak memory, longest silence (4 GB and 3 million inodes in DIR or /tmp; FILES=n: another number)
	@$(BUILD) -o .cache/bin/peers ./cmd/internal/peers
	.cache/bin/peers -small $(or $(FILES),1000000) -only strongroom,restic $(if $(DIR),-dir "$(DIR)") $(PEERS_FLAGS)

check: go ## the laws of the house, and the size of its trusted rooms
	@$(GO) test -count=1 -v ./test/tidy | grep -vE '^(=== |--- PASS|    --- PASS)'

tools: go $(TOOLS) ## the pinned programs that tests need (tools/go.mod)

.cache/bin/versitygw: tools/go.mod tools/go.sum
	@mkdir -p .cache/bin
	cd tools
	CGO_ENABLED=0 $(GO) build -trimpath -o ../$@ github.com/versity/versitygw/cmd/versitygw

.cache/bin/rclone: tools/go.mod tools/go.sum tools/rclone/main.go
	@mkdir -p .cache/bin
	cd tools
	CGO_ENABLED=0 $(GO) build -trimpath -o ../$@ ./rclone

.cache/bin/kubernetes: tools/go.mod tools/go.sum tools/kubernetes/main.go
	@mkdir -p .cache/bin
	cd tools
	CGO_ENABLED=0 $(GO) build -trimpath -o ../$@ ./kubernetes

clean: ## remove what was built here
	rm -rf bin .cache coverage.out

go:
	@GO="$(GO)" ./.ci/go
