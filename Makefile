# Two commands set everything up: `make demo` trains, `make test` tests. Both make .venv from the locked versions.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready
STEPS ?= 100
SEED ?= 0
OUTPUT ?= outputs/demo

.PHONY: demo test test-fast lint env lock clean-demo

demo: $(READY)
	@$(VENV)/bin/python examples/demo/run.py --steps $(STEPS) --seed $(SEED) --output $(OUTPUT)

test: $(READY) lint
	@$(VENV)/bin/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-fast: $(READY)
	@$(VENV)/bin/python -m pytest -n 2 -m "not slow and not verl"

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(VENV)/bin/deptry . > $(VENV)/deptry.log 2>&1 || { cat $(VENV)/deptry.log; exit 1; }
	@$(VENV)/bin/yamllint --strict .

env: $(READY)

$(READY): requirements/cpu.txt setup.py pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" \
		|| { echo "mixed-r1: the locked environment needs Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "mixed-r1: making $(VENV) from requirements/cpu.txt (some minutes on a fresh machine)"
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "mixed-r1: python -m venv failed; install your system's python3.11-venv package"; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar on --no-deps -r requirements/cpu.txt \
		|| { echo "mixed-r1: installing the locked packages failed; check the network and run make again"; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
		|| { echo "mixed-r1: installing mixed-r1-verl itself failed; run make again"; exit 1; }
	@$(VENV)/bin/mixed-r1 doctor --fix \
		|| { echo "mixed-r1: the environment is not sound; the red lines above say what to do"; exit 1; }
	@touch $(READY)

# Resolve the extras anew and write the lock. torchaudio and torchcodec are left out on purpose: builds of them that
# do not match a CPU build of torch break vLLM on import, and nothing here uses them.
lock:
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet torch==2.13.0
	@.lock-venv/bin/python -m pip install --quiet ".[cpu,demo,dev]"
	@.lock-venv/bin/python -m pip freeze --all --exclude mixed-r1-verl --exclude torchaudio --exclude torchcodec --exclude pip \
		| sed 's/+cpu$$//' > requirements/cpu.txt
	@rm -rf .lock-venv

clean-demo:
	@rm -rf $(OUTPUT)
