# The only entry points; continuous integration calls the same ones. Nothing is needed but Python 3.11 and its venv module.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# uv reads its own variable where pip reads PIP_FIND_LINKS: a machine that keeps wheels in a folder names it once.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

# Node and npm, from the Python package index.
NPM := cd page && PATH="$(CURDIR)/$(BIN):$$PATH" npm
# Whatever browser is there, for the tests of the page.
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome chrome))
export CHROMIUM
PAGE := src/sketchrnn/web/static/index.html

.PHONY: demo bench page test check format clean

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt
	@touch $@

demo: .venv/.ready          ## prepare real drawings, train for three minutes, write a page of pictures
	$(BIN)/sketchrnn demo --out demo

bench: .venv/.ready         ## how fast this machine trains, samples and reads
	$(BIN)/sketchrnn bench

page: $(PAGE)               ## the drawing page, built for `sketchrnn serve` and the wheel

page/node_modules/.ready: .venv/.ready page/package.json page/package-lock.json
	$(NPM) ci
	@touch $@

$(PAGE): page/node_modules/.ready page/index.html page/vite.config.ts page/tsconfig.json $(shell find page/src page/public -type f)
	$(NPM) run build
	@touch $@

# What some tests compare with; without it they are skipped.
.venv/npm/node_modules/@magenta/sketch: .venv/.ready
	-PATH="$(CURDIR)/$(BIN):$$PATH" npm install --prefix .venv/npm --no-save --ignore-scripts --no-audit --no-fund @magenta/sketch@0.2.0

test: .venv/.ready $(PAGE) .venv/npm/node_modules/@magenta/sketch  ## the whole test suite, with line coverage
	$(NPM) test
	@$(if $(CHROMIUM),:,echo "The browser tests of the page are skipped: no Chromium was found; set CHROMIUM to one.")
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov=sketchrnn --cov-report=term:skip-covered --cov-fail-under=90

check: .venv/.ready page/node_modules/.ready  ## format, lint, types, layers
	$(NPM) run check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready page/node_modules/.ready  ## mend what can be mended by a tool
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(NPM) run format

clean:
	rm -rf .venv build dist page/node_modules src/sketchrnn/web/static .coverage* .mypy_cache .ruff_cache .import_linter_cache
