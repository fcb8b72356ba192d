# make run and make test do everything themselves on a fresh machine that has Python 3.11 to 3.13 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
MOMENTS ?= 25

.DEFAULT_GOAL := help
.PHONY: help install run test lint format types bench bench-full chaos ui clean

help:            ## show this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: $(STAMP) ## make the virtual environment with the pinned versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

run: install     ## a complete tournament week on generated data, ending in an accepted submission
	$(BIN)/eraflow run --profile sandbox $(ARGS)

test: install    ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install    ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install   ## compare with the plain way, side by side: time and peak memory
	$(BIN)/python -m benchmarks $(ARGS)

bench-full: install ## the large sizes, and the full one by extrapolation: two hours, tens of GB of disk
	$(BIN)/python -m benchmarks --large $(ARGS)

chaos: install   ## kill a week at random moments and demand the same bytes: MOMENTS=25 by default
	$(BIN)/python -m tests.faults --moments $(MOMENTS) $(ARGS)

ui: install      ## open the Prefect UI on the runs of this checkout
	$(BIN)/eraflow ui

clean:           ## remove the virtual environment and caches; .eraflow (data and runs) stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
