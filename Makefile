# make demo: train briefly, anonymise a video, see what it hides    make test: run the tests
# make soak: the tests that take long    make coverage: which code the tests run
# make lint: style and types    make bench: figures of speed, 20 minutes
# make docs: the documents as a site, in site/    make clean: remove what these made

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# A browser comes into .venv, with all the rest.
export PLAYWRIGHT_BROWSERS_PATH := 0
# Or each of many short processes compiles the package anew.
export PYTHONDONTWRITEBYTECODE :=

# Those of make test that may run side by side, and those that want the cores for themselves: they
# are in few files, and to read all takes a quarter of a minute.
TOGETHER := -n 2 --dist loadfile --no-loadscope-reorder -m "not soak and not processes"
ALONE = -m "processes and not soak" $(shell grep -rl --include="test_*.py" mark.processes tests)

.PHONY: demo test soak coverage lint bench docs clean

demo: .venv/train
	$(BIN)/python launch/demo.py --workdir=runs/demo

test: .venv/dev .venv/browser
	$(BIN)/python -m pytest $(TOGETHER)
	$(BIN)/python -m pytest $(ALONE)

soak: .venv/dev
	$(BIN)/python -m pytest -m soak

coverage: .venv/dev .venv/browser
	$(BIN)/python -m pytest $(TOGETHER) --cov --cov-report=
	$(BIN)/python -m pytest $(ALONE) --cov --cov-append --cov-report=term:skip-covered
	@echo "branch coverage of stgan_jax: $$($(BIN)/coverage report --format=total --precision=1) %"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/train
	$(BIN)/python benchmarks/run.py --out=runs/bench

docs: .venv/docs
	$(BIN)/python docs/tables.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv runs build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/train: EXTRA := train,evaluate
.venv/dev: EXTRA := dev
.venv/docs: EXTRA := docs
.venv/train .venv/dev .venv/docs: pyproject.toml | .venv/bin/python
	@echo "installing stgan_jax[$(EXTRA)] into .venv (a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRA)]"
	@touch $@

# For the study's pages. Where none can be fetched, an installed one is tried, or its tests skipped.
.venv/browser: .venv/dev
	@timeout 300 $(BIN)/python -m playwright install chromium-headless-shell > /dev/null 2>&1 && \
	  touch $@ || \
	  echo "no browser could be fetched: tests of the study's pages try an installed one"

# Where Python comes without ensurepip (Debian splits it off), the system's pip fills in.
.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	@"$(PYTHON)" -m venv .venv > /dev/null || { \
	  "$(PYTHON)" -m venv --clear --without-pip .venv && \
	  "$(PYTHON)" -m pip --quiet --python .venv/bin/python install pip; } || { \
	  rm -rf .venv; echo "error: $(PYTHON) has neither ensurepip nor pip"; exit 2; }
