# The only entry points; continuous integration calls the same ones. Nothing is needed but Python 3.11 and its venv module.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# uv reads its own variable where pip reads PIP_FIND_LINKS: a machine that keeps wheels in a folder names it once.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: demo bench test check format clean

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt
	@touch $@

demo: .venv/.ready          ## prepare real drawings, train for three minutes, write a page of pictures
	$(BIN)/sketchrnn demo --out demo

bench: .venv/.ready         ## how fast this machine trains, samples and reads
	$(BIN)/sketchrnn bench

# What some tests compare with; without it they are skipped.
.venv/npm/node_modules/@magenta/sketch: .venv/.ready
	-PATH="$(CURDIR)/$(BIN):$$PATH" npm install --prefix .venv/npm --no-save --ignore-scripts --no-audit --no-fund @magenta/sketch@0.2.0

test: .venv/.ready .venv/npm/node_modules/@magenta/sketch  ## the whole test suite, with line coverage
	$(BIN)/python -m pytest --cov=sketchrnn --cov-report=term:skip-covered --cov-fail-under=90

check: .venv/.ready         ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready        ## mend what can be mended by a tool
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist .coverage* .mypy_cache .ruff_cache .import_linter_cache
