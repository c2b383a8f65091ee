# make lab opens the course, make test checks it. On a fresh machine both first create .venv and install into it.
VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# JupyterLab refuses to start as root (in a container, say) unless told
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB_ARGS ?=
PYTEST_ARGS ?=

.PHONY: help lab run test notebooks data bench wheel constraints
help:
	@echo "make lab          open the course in JupyterLab"
	@echo "make run          run all solution notebooks into build/*.html, with a table of time and memory"
	@echo "make test         run all tests"
	@echo "make notebooks    build notebooks/ and the executed solutions from solutions/*.py"
	@echo "make data         rebuild data/ from its source packages (needs a network)"
	@echo "make bench        measure speed beside other tools and write docs/benchmarks.md (an hour)"
	@echo "make wheel        build dist/plmcourse-*.whl"
	@echo "make constraints  write the installed versions into constraints.txt"

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "plmcourse needs Python 3.11 or 3.12 and found neither; say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev,grading,view]"
	touch $@

lab: $(STAMP)
	$(BIN)/jupyter lab $(ROOT_FLAG) $(LAB_ARGS) notebooks

run: $(STAMP)
	$(BIN)/python tools/run_notebooks.py

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

notebooks: $(STAMP)
	$(BIN)/python tools/build_notebooks.py

data: $(STAMP)
	$(BIN)/python tools/build_data.py

bench: $(STAMP)
	$(BIN)/python tools/bench.py --write models
	$(BIN)/python tools/bench.py --write grading

wheel: $(STAMP)
	$(BIN)/python -m hatchling build -t wheel

constraints: $(STAMP)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
