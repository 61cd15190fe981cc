# Two commands are all there is to it: `make run` and `make test`. The rest is what they stand on.
PYTHON ?= python3
UV     := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN    := .venv/bin
NODE   := PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: run test test-pooler faults campaign bench check format setup setup-dev lock clean help

help:            ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: setup       ## start the service on http://localhost:8000
	@$(BIN)/switchboard serve

test: setup-dev  ## everything that proves it works
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

test-pooler: setup-dev ## the same with PgBouncer in transaction mode before the database
	@$(BIN)/pytest -n 2 --dist loadgroup --pooler $(ARGS)

faults: setup-dev ## of these, only those that kill, freeze and cut off everything, and count what is lost
	@$(BIN)/pytest -n 2 --dist loadgroup tests/faults $(ARGS)

campaign: setup-dev ## 10,000 messages at every kill point, about an hour; goes on where it was stopped
	@$(BIN)/python tests/faults/campaign.py --fields 2 --resume campaign --publish docs/reliability.md $(ARGS)

bench: setup-dev  ## measure, against what the same work costs without us: make bench ARGS="P1 P3" (quiet machine)
	@$(BIN)/python -m benchmarks.run $(ARGS)

check: setup-dev ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(NODE) tests/node_modules/.bin/pyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile

format: setup-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

setup: .venv/.runtime      ## install what the service needs into .venv
setup-dev: .venv/.dev tests/node_modules/.installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Switchboard needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x "$(UV)" || command -v "$(UV)" >/dev/null || { echo "installing uv into .uv" >&2; $(PYTHON) -m venv .uv && .uv/bin/pip install -q --require-hashes -r requirements/bootstrap.txt; }
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv

.venv/.runtime: requirements/runtime.txt requirements/link.py pyproject.toml | .venv/bin/python
	$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	$(BIN)/python requirements/link.py
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.runtime
	$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

tests/node_modules/.installed: tests/package-lock.json .venv/.dev
	cd tests && PATH="$(CURDIR)/.venv/bin:$$PATH" npm install --no-save --silent --no-audit --no-fund --omit-lockfile-registry-resolved
	@touch $@

LOCK := $(UV) pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links
lock:            ## refresh the locked versions
	$(LOCK) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv .uv tests/node_modules .pytest_cache .ruff_cache .hypothesis build dist
