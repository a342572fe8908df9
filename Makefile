# Every command a contributor needs; CI runs the same.
PYTHON ?= python3
BIN := .venv/bin
SHELL := bash
.SHELLFLAGS := -o pipefail -c

.PHONY: install node browser assets pictures lighthouse demo site dist test torture check checks sdk-tests bench first-delivery clean

PIP := $(BIN)/pip install --disable-pip-version-check --editable

install: .venv/.installed

# What contributors need: what users need, and the tools and published libraries that the tests hold it to.
.venv/.installed: .venv/.demo
	@echo "Installing what the tests need into .venv; with a cold cache it takes a few minutes."
	$(PIP) '.[dev]' | grep --line-buffered -v 'already satisfied'
	@touch $@

# What users need, with a PostgreSQL, and the library that the demo's receiver verifies with.
.venv/.demo: pyproject.toml
	@echo "Installing Tidings into .venv."
	@$(PYTHON) -m venv .venv
	@$(PIP) '.[demo]' --quiet
	@touch $@

# The TypeScript SDK, and what the tests run under Node.
node: tests/node/.installed

tests/node/.installed: $(wildcard docs/sdk-typescript.md sdk/typescript/*.json sdk/typescript/src/*.ts sdk/typescript/src/*/*.ts tests/node/*.json tests/node/*/*.mts tests/node/*.mjs examples/receivers/*.ts examples/receivers/*.mjs examples/application/typescript/*.mts)
	cd sdk/typescript && npm ci --silent && npm run --silent build
	cd tests/node && npm ci --silent && node copy-examples.mjs && ../../sdk/typescript/node_modules/.bin/tsc -p .
	touch $@

# The browser of the portal's tests. Where it cannot be installed, what to install is said.
browser:
	@if [ -z "$$CHROMIUM" ] && ! command -v chromium chromium-browser google-chrome >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null; \
	  else \
	    echo "The portal's tests need Chromium. Install it (Debian: apt-get install chromium), or name one in CHROMIUM." >&2; exit 1; \
	  fi; \
	fi

# What the portal's pages load and we did not write, from npm into the package.
assets: install
	cd tools/assets && npm ci --silent
	$(BIN)/python tools/make_assets.py

# The pictures of the docs, made by the portal's tests.
pictures: install node browser
	TIDINGS_PICTURES=1 $(BIN)/python -m pytest -q tests/portal

# What Lighthouse says of each page of the portal: minutes, on a machine that does nothing else.
lighthouse: install browser
	cd tools/lighthouse && npm ci --silent
	PAGES=$(PAGES) $(BIN)/python -m pytest -q -s tests/portal/lighthouse.py

demo: .venv/.demo
	@$(BIN)/tidings demo

# The guide that a server shows at /docs/guide, from docs/ into the package.
site: install
	$(BIN)/python tools/make_reference.py
	$(BIN)/python tools/make_guide.py

# The wheel and the source archive, the same bytes each time, and the TypeScript package.
dist: install node site
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist
	cd sdk/typescript && npm pack --silent --pack-destination ../../dist

check: install checks

checks:
	$(BIN)/ruff check src tests tools examples
	$(BIN)/ruff format --check src tests tools examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/shape.py

sdk-tests:
	cd sdk/typescript && node --test --test-reporter=dot test/

# All of it side by side: `checks` and `sdk-tests` are run by tests too. One process more than there are cores, because what takes
# longest mostly waits.
test:
	@$(MAKE) --no-print-directory -j 3 install node browser
	$(BIN)/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxschedchunk=1

# The long form of the suites that try to break it, one after the other; run nothing beside it. docs/reliability.md gets the figures.
torture: install node
	TIDINGS_TORTURE=long $(BIN)/python -m pytest -q --timeout 3600 tests/torture
	$(BIN)/python tools/make_reliability.py

# How long a newcomer waits for a first delivery, into docs/benchmarks.md; it fetches all packages anew.
first-delivery: install
	$(BIN)/python tools/measure_first_delivery.py

bench: install
	$(BIN)/tidings bench

clean:
	rm -rf .venv .tidings build dist src/tidings/portal/guide sdk/typescript/dist sdk/typescript/node_modules tests/node/node_modules tools/assets/node_modules tools/lighthouse/node_modules tests/node/built tests/node/copied tests/node/.installed
