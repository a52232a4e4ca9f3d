# make demo | test | uvloop | installs | fuzz | simulate | rules | reliability | check | prose | docs | bench | story | scale | lock. Each sets up what it needs in .venv the first time; nothing else is installed.

.PHONY: demo test uvloop installs fuzz simulate rules reliability check prose docs bench story scale lock
.DEFAULT_GOAL := test

VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo-installed
DEV := $(VENV)/.dev-installed
BENCH := $(VENV)/.bench-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Seeds of make simulate: FIRST:END
SEEDS ?= 0:2000
# Processes that run the tests. They wait for servers more than they work; with more than cores, what they time would suffer.
JOBS ?= 2
# Arguments for pytest or the demo: make test ARGS="-k near -x", make demo ARGS="--seconds 20"
ARGS ?=

# Who develops has all of it; everybody else waits for a thirtieth of that.
demo: $(if $(wildcard $(DEV)),$(DEV),$(DEMO))
	$(BIN)/python -m examples.demo $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest --ignore tests/installs --numprocesses $(JOBS) --dist loadfile --cov --cov-report term $(ARGS)

# The promises and the faults once more on uvloop, which many servers run on.
uvloop: $(DEV)
	FLEETCACHE_EVENT_LOOP=uvloop $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile tests/promises tests/faults tests/reliability tests/unit/engine/aio/test_other_loops.py $(ARGS)

simulate: $(DEV)
	$(BIN)/python -m tests.simulation $(SEEDS)

# Breaks each rule of the design on purpose: each must be found. NAMES="no_journal noloop" tries these.
NAMES ?=
rules: $(DEV)
	$(BIN)/python -m tests.rules $(NAMES)

# Some minutes; writes the tables of docs/reliability.md.
reliability: $(DEV)
	$(BIN)/python -m tests.reliability.run --write $(ARGS)

# Everything that reads foreign bytes, in turn. Better with atheris, which has wheels for few platforms: see CONTRIBUTING.md.
TARGET ?= all
SECONDS ?= 300
fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz.run $(TARGET) --seconds $(SECONDS) $(ARGS)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m docs.tools.prose
	$(MAKE) test
	$(MAKE) docs

# Comments, docstrings and pages: the share of sentences that hide their subject; 2 % fail. ARGS=--list shows each.
prose: $(DEV)
	$(BIN)/python -m docs.tools.prose $(ARGS)

# The theme announces its successor at every build; that is no warning about our pages.
docs: $(DEV)
	$(BIN)/python -m docs.tools.settings_page
	$(BIN)/python -m docs.tools.rules_page
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(BENCH)
	$(BIN)/python benchmarks/run.py

story: $(BENCH)
	$(BIN)/python benchmarks/story.py

# The bad days of a large fleet, on both servers: some minutes. ARGS="--only maxclients --server redis" plays a part.
scale: $(DEV)
	$(BIN)/python -m benchmarks.scale $(ARGS)

# Newest versions that fit, for every platform and every Python from the oldest we support. The index itself is not named: it is the installer's.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --upgrade \
	--custom-compile-command "make lock" pyproject.toml
lock: $(DEV)
	$(PIP) install "uv>=0.9"
	$(BIN)/$(COMPILE) $(addprefix --extra ,all embedded geo django flask cachelib fastapi litestar dogpile) --group dev --output-file requirements-dev.txt
	$(BIN)/$(COMPILE) --group bench --constraint requirements-dev.txt --output-file requirements-bench.txt
	$(BIN)/$(COMPILE) $(addprefix --extra ,cli embedded ops) --group demo --constraint requirements-dev.txt --output-file requirements-demo.txt

# The installation itself, with old pips and the newest, into environments of its own: some minutes, and it asks the package index.
installs: $(DEV)
	$(BIN)/python -m pytest tests/installs $(ARGS)

# ensurepip: Debian and Ubuntu split it off, and python3 -m venv then fails half-way.
$(BIN)/python:
	@python= ; for try in python3.13 python3.12 python3.11 python3; do \
		if $$try -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$try; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "fleetcache needs Python 3.11 or newer on PATH; found: $$(python3 --version 2>&1)" >&2; exit 1; fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: Debian and Ubuntu have that in a package of its own (apt install python3-venv)" >&2; exit 1; fi; \
	echo "setting up $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A lock is complete, so nothing is resolved (--no-deps): pips before 23.3 take the index's newest release for a requirement
# with extras, and stop at its missing hash. `pip check` says whether the lock is complete indeed.
define install
	@echo "installing $< into $(VENV): $(1)"
	@$(PIP) install --no-deps --require-hashes --requirement $<
	@$(PIP) install --no-deps --editable .
	@$(PIP) check
	@touch $@
endef

$(DEMO): requirements-demo.txt pyproject.toml | $(BIN)/python
	$(call install,some 5 MB to download the first time)

$(DEV): requirements-dev.txt pyproject.toml | $(BIN)/python
	$(call install,some 170 MB to download the first time)

$(BENCH): requirements-bench.txt $(DEV)
	$(call install,some 40 MB to download the first time)
