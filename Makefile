# `make` lists the targets.

# Prefer an interpreter with profile-guided optimisation, such as Debian's.
PYTHON ?= $(or $(wildcard /usr/bin/python3.11),python3)
BIN := .venv/bin

# `make test PEERS=no` installs no Debian package, and skips the tests that need a
# program of another project.
ifeq ($(PEERS),no)
export REGINFO_PEERS := no
endif

.PHONY: help demo test style types tests compiled bench conformance configuration
.PHONY: fuzz measured mutants soak

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv  ## two servers and a phone: a registration at one is known at the other
	@echo "make: running the demonstration (reginfo demo)"
	@$(BIN)/reginfo demo

test: .venv  ## everything: style, types and all tests, with real peers (PEERS=no: without)
	@tools/setup.sh peers
	@$(MAKE) --no-print-directory style types tests
	@if [ "$(REGINFO_PEERS)" = no ] && ! tools/setup.sh can_compile; then \
		echo "make: skipped: the tests on compiled code (no C compiler)"; \
	else \
		$(MAKE) --no-print-directory compiled; \
	fi

style: .venv  ## run the linter, and check the format
	@echo "make: checking the style (ruff)"
	@$(BIN)/ruff check && $(BIN)/ruff format --check

types: .venv  ## check the types
	@echo "make: checking the types (mypy --strict)"
	@$(BIN)/mypy

tests: .venv  ## run the tests
	@echo "make: running the tests (pytest)"
	@rm -f .conformance.json
	@REGINFO_STEPS=10000 $(BIN)/coverage run -m pytest && $(BIN)/coverage report --skip-covered
	@$(BIN)/python tools/conformance.py --ran

compiled: .compiled/reginfo  ## run the tests on the compiled hot path, without peers
	@echo "make: running the tests on compiled code (pytest)"
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python -m pytest -q -rs --ignore tests/interop

bench: .venv .compiled/reginfo  ## measure a REGISTER, compared with Kamailio, and a start
	@tools/setup.sh peers
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python benchmarks/bench.py
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python benchmarks/load.py
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python benchmarks/links.py
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python benchmarks/domain.py

conformance: .venv  ## docs/conformance.md: the test for each requirement of the RFCs
	@$(BIN)/python tools/conformance.py

configuration: .venv  ## docs/configuration.md: every key of reginfo.toml
	@$(BIN)/python tools/configuration.py

mutants: .venv  ## docs/mutants.md: whether the tests detect errors in the code
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[mutants]'
	@$(BIN)/python tools/mutants.py run && $(BIN)/python tools/mutants.py page
	@$(BIN)/python tools/measured.py

measured: .venv  ## say on the pages with figures how much has changed since
	@$(BIN)/python tools/measured.py

soak: .venv  ## linked servers: a million random steps (STEPS, SEED), and 300 s behind relays
	@nice $(BIN)/python -m tests.sync.world \
		--steps $(or $(STEPS),1000000) --seed $(or $(SEED),0)
	@REGINFO_RELAY_SECONDS=300 $(BIN)/python -m pytest -q tests/interop/test_relay.py

fuzz: .venv  ## mutate inputs of the parsers and of a whole server (TIME=120: seconds each)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@nice $(BIN)/python tools/fuzz.py run --time $(or $(TIME),120)

.compiled/reginfo: pyproject.toml setup.py $(shell find src -name '*.py') | .venv
	@tools/setup.sh compiled
	@touch $@

.PHONY: .venv
.venv: .venv/installed  ## the virtual environment
.venv/installed: pyproject.toml
	@tools/setup.sh venv $(PYTHON)
	@touch $@
