# A fresh clone needs Python 3.11 or newer and make. The first call makes .venv from the lock.

VENV    := .venv
PYTHON  ?= python3
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
NPM_DIR := var/npm
ASYNCAPI := $(NPM_DIR)/node_modules/@asyncapi/specs/schemas/3.0.0.json
KAFKA_DIR := var/kafka

.PHONY: demo test test-integration kafka check format bench bench-online bench-stream bench-batch lock clean help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## train, package, serve in three lanes, watch; everything on this machine
	$(BIN)/trilane demo

test: $(READY)  ## every test that needs nothing but the lock
	$(BIN)/python -m pytest -m "not azurite and not kafka and not asyncapi and not spark and not kubectl and not chromium and not fuzz"

test-integration: $(READY) $(NPM_DIR)/node_modules/.bin/azurite-blob $(ASYNCAPI) $(KAFKA_DIR)/.ready  ## tests against Azurite, Apache Kafka, Spark, kubectl and Chromium, and the fuzz (needs npm, java, mvn, kubectl, chromium)
	$(BIN)/python -m tests.support.azurite $(NPM_DIR)/node_modules/.bin/azurite-blob \
	  $(BIN)/python -m pytest -m "azurite or kafka or asyncapi or spark or kubectl or chromium or fuzz"

kafka: $(KAFKA_DIR)/.ready  ## Apache Kafka for the tests (needs java, mvn)

check: $(READY)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## what the speed claims are measured with
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.families

bench-online: $(READY)  ## speed and survival of the online API beside its peers (needs wrk; after demo)
	$(BIN)/python -m benchmarks.online

bench-stream: $(READY) $(NPM_DIR)/node_modules/.bin/azurite-blob $(KAFKA_DIR)/.ready  ## speed and survival of the stream worker (needs npm, java, mvn; after demo)
	$(BIN)/python -m benchmarks.stream

bench-batch: $(READY)  ## speed and survival of the batch scorer beside its peers (needs java; after demo)
	$(BIN)/python -m benchmarks.batch

lock: $(READY)  ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	  --upgrade --quiet --output-file requirements.lock

clean:  ## remove the environment and everything that was made
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info

# uv installs the lock several times faster than pip; pip does the same where uv cannot.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "trilane needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV) (under a minute, or a few with pip)"
	$(PYTHON) -m venv --clear $(VENV)
	awk '/^[^ #]/{wanted = /^uv==/} wanted' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode --no-deps --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install --no-deps --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --offline --no-deps --no-build-isolation --editable .
	touch $(READY)

$(NPM_DIR)/node_modules/.bin/azurite-blob:
	npm install --prefix $(NPM_DIR) --no-audit --no-fund --loglevel=error azurite@3.35.0

$(ASYNCAPI):
	npm install --prefix $(NPM_DIR) --no-audit --no-fund --loglevel=error @asyncapi/specs@6.11.1

$(KAFKA_DIR)/.ready: tests/support/kafka/pom.xml | $(READY)
	rm -rf $(KAFKA_DIR)
	mvn -q -B -f tests/support/kafka/pom.xml dependency:copy-dependencies
	$(BIN)/python -m tests.support.kafka
	touch $@
