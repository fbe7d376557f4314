# Three commands do everything:  make demo,  make test  and  make docs
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One worker a core, but not more than four: each opens real windows.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && echo 4 || echo $$n)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A screen of our own, so that windows are real and nobody's desktop is disturbed.
XVFB := xvfb-run --auto-servernum --server-args="-screen 0 1600x1000x24"
SOURCES := pyproject.toml constraints.txt tests/nnunet-requirements.txt

.PHONY: demo test lint docs pictures bench clean system

demo: $(BIN)/.demo
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then $(BIN)/confseg demo --out demo-out; \
	else $(XVFB) $(BIN)/confseg demo --scripted --out demo-out; fi

test: $(BIN)/.test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: $(BIN)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors: a link or an anchor that leads nowhere, a page without a place.
docs: $(BIN)/.docs
	$(BIN)/python -m tools.docs_pages build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site
	@echo "The pages: build/site/index.html"

# Those that are older than the files whose look they show.
pictures: $(BIN)/.test
	$(XVFB) $(BIN)/python -m tools.screenshots

bench: $(BIN)/.test
	$(XVFB) $(BIN)/python -m benchmarks

system:
	@tools/system-packages.sh

$(BIN)/python: | system
	$(PYTHON) -m venv $(VENV)

# torch by its exact version first: a range lets pip choose a build of several GB.
$(BIN)/.demo: $(SOURCES) | $(BIN)/python
	@echo "Installing (about two minutes) ..."
	$(PIP) --constraint constraints.txt torch==2.13.0
	$(PIP) --constraint constraints.txt --editable '.[viewer,train]'
	@touch $@

$(BIN)/.test: $(SOURCES) | $(BIN)/.demo
	$(PIP) --constraint constraints.txt --editable '.[test]'
	$(PIP) --no-deps --requirement tests/nnunet-requirements.txt
	@touch $@

$(BIN)/.docs: $(SOURCES) | $(BIN)/.demo
	$(PIP) --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build demo-out benchmarks/out .mypy_cache .ruff_cache .pytest_cache
