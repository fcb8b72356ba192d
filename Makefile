# make run and make test do everything themselves on a fresh machine that has Python 3.11 or newer and make.
# The first Python that is new enough and can make virtual environments; another one: make install PYTHON=...
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= networks
WHEELS ?=
WHEELHOUSE ?= wheelhouse
ARGS ?=
MOMENTS ?= 25
INSTALL = $(or $(PYTHON),python3) deployments/install.py --venv "$(VENV)" --wheels "$(WHEELS)"

.DEFAULT_GOAL := help
.PHONY: help install ready tools wheelhouse pins run test lint format docs audit bench bench-full chaos ui clean

help:            ## show this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

install:         ## what a user needs, pinned: EXTRAS= leaves torch out, WHEELS=DIR needs no network
	@$(INSTALL) --extras "$(EXTRAS)"

wheelhouse:      ## fetch all of it into wheelhouse/, for make install WHEELS=wheelhouse on a computer without network
	@$(INSTALL) --extras "$(EXTRAS)" --wheelhouse "$(WHEELHOUSE)"

# Whatever is installed will do, with or without torch; nothing yet: as make install.
ready:
	@$(INSTALL) --extras "$(EXTRAS)" --ready

# What the tests and measurements need besides.
tools:
	@$(INSTALL) --extras "networks,dev"

run: ready       ## a complete tournament week on generated data, ending in an accepted submission
	$(BIN)/eraflow run --profile sandbox $(ARGS)

test: tools      ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: tools      ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: tools    ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: tools      ## write the generated parts of docs/ anew: the settings and the error codes
	$(BIN)/python -m tests.documents

pins: tools      ## ask pip's index whether every pinned version has a wheel for Python 3.11 to 3.14
	$(BIN)/python -m tests.pins

# Never a part of make test, which must not fail where no index answers. pip-audit lies in an environment of its own.
audit:           ## ask for known weaknesses of the pinned versions (pip-audit; needs the network)
	@$(or $(PYTHON),python3) -m venv .audit
	@.audit/bin/python -m pip install --quiet pip-audit
	@.audit/bin/pip-audit --no-deps --disable-pip --requirement constraints.txt

bench: tools     ## compare with the plain way, side by side: time and peak memory
	$(BIN)/python -m benchmarks $(ARGS)

bench-full: tools ## the large sizes, and the full one by extrapolation: two hours, tens of GB of disk
	$(BIN)/python -m benchmarks --large $(ARGS)

chaos: tools     ## kill a week at random moments and demand the same bytes: MOMENTS=25 by default
	$(BIN)/python -m tests.faults --moments $(MOMENTS) $(ARGS)

ui: ready        ## open the Prefect UI on the runs of this checkout
	$(BIN)/eraflow ui

clean:           ## remove the virtual environment and caches; .eraflow (data and runs) stays
	rm -rf $(VENV) .audit .pytest_cache .mypy_cache .ruff_cache build *.egg-info
