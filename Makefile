# `make demo` and `make test` need Python 3.11 or newer and the package index; nothing else.
# Paths are relative throughout, so that the checkout may lie in a folder with a space in its name.

PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python
SETUP = $(VENV)/.installed
export OMP_WAIT_POLICY = PASSIVE
export BENTOML_DO_NOT_TRACK = True

.PHONY: demo test lint types imports tests triton soak format clean

# DATASET=openclipart downloads two Debian packages with apt (no root) and trains on real drawings.
DATASET = demo
# Of the tests, each with one thread; 0 is none, all in one process.
WORKERS = logical

demo: $(SETUP)
	$(RUN) -m scripts.demo $(DATASET)

# Types are checked beside the tests, which wait for their servers some of the time.
test: lint imports
	$(MAKE) --jobs 2 types tests

lint: $(SETUP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(SETUP)
	$(RUN) -m mypy

imports: $(SETUP)
	$(RUN) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

# As many workers as cores; tests/sharing.py says which tests stay together. Then those that need the machine to themselves.
tests: $(SETUP)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not slow and not alone" -n $(WORKERS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
	OMP_NUM_THREADS=1 $(RUN) -m pytest -m "alone and not slow" tests/serving

# A Triton server, for the tests that are skipped without one; where it cannot be had, it says why.
triton: $(SETUP)
	$(RUN) -m scripts.triton install || true

# The long part: 10,000 mutated files, a minute of tenfold load, half an hour at half load.
soak: $(SETUP)
	$(RUN) -m pytest -m slow
	$(RUN) -m benchmarks.soak --minutes 30

format: $(SETUP)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed, this is ' + sys.version.split()[0] if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(SETUP)

clean:
	rm -rf $(VENV) .venv-triton runs demo-data openclipart-data build *.egg-info
