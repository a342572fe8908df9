# Every command a contributor needs; CI runs the same.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install node demo test check checks sdk-tests bench clean

install: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# The TypeScript SDK, and what the tests run under Node.
node: tests/node/.installed

tests/node/.installed: $(wildcard sdk/typescript/*.json sdk/typescript/src/*.ts tests/node/*.json tests/node/*/*.mts tests/node/*.mjs examples/receivers/*.ts examples/receivers/*.mjs)
	cd sdk/typescript && npm ci --silent && npm run --silent build
	cd tests/node && npm ci --silent && node copy-examples.mjs && ../../sdk/typescript/node_modules/.bin/tsc -p .
	touch $@

demo: install
	$(BIN)/tidings demo

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
	@$(MAKE) --no-print-directory -j 2 install node
	$(BIN)/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxschedchunk=1

bench: install
	$(BIN)/tidings bench

clean:
	rm -rf .venv .tidings build dist sdk/typescript/dist sdk/typescript/node_modules tests/node/node_modules tests/node/built tests/node/copied tests/node/.installed
