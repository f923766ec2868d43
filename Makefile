# The commands that people and CI use; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.dev
PLOTS := $(VENV)/.plots

.PHONY: help setup format check test test-all faults sim swarms bench clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv with gsync and the tools in it

$(STAMP): setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' --config-settings editable_mode=compat
	@touch $@

# Where PYTHONDONTWRITEBYTECODE is set, every process that the tests start would compile all of gsync again.
.PHONY: compiled
compiled: setup
	@$(BIN)/python -m compileall -q gsync

format: setup    ## lay the code out
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

check: setup     ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy gsync
	$(BIN)/mypy gsync.py
	$(BIN)/lint-imports

test: setup      ## the tests that need one process: unit, contract, the cluster on fakes
	$(BIN)/python -m pytest -q -n 2

test-all: compiled  ## real processes, disks and faults (about five minutes; some parts want root)
	$(BIN)/python -m pytest -q -n 4 --dist loadfile tests/integration tests/e2e

faults: compiled ## the fault rows of test-all, each as often as N says (make faults N=1000 ROWS="killed_senders or floods")
	GSYNC_FAULTS_N=$(N) $(BIN)/python -m pytest -q -s tests/integration $(if $(ROWS),-k "$(ROWS)")

sim: setup       ## N scenarios of the planner's simulation (make sim N=100000 FIRST=0); each failure prints its seed
	$(BIN)/python -m tests.sim $(or $(N),1000) $(or $(FIRST),0)

swarms: setup    ## N whole simulated swarms of live folders (make swarms N=300 FIRST=0); each failure prints its seed
	$(BIN)/python -m tests.sim.whole $(or $(N),100) $(or $(FIRST),0)

bench: $(PLOTS) compiled  ## how fast it is, against floors and rsync (about twenty minutes; BENCH="--quick --only=start,help" for less)
	$(BIN)/python -P -m tests.bench $(BENCH)

$(PLOTS): setup.py | $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,plots]' --config-settings editable_mode=compat
	@touch $@

clean:           ## forget everything that was made here
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
