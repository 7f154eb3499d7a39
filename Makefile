# Every target does its own set-up: on a fresh machine any of them is a good first command.
.DEFAULT_GOAL := help
.PHONY: help setup demo bench bench-alerts bench-calibration bench-ledger bench-pages screenshots test lint mutants soak lock test-browser-setup clean

# Four at most: tests that start real servers gain nothing from more, and a big machine would start dozens.
TEST_JOBS ?= logical --maxprocesses=4

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make demo DEMO_FLAGS="..."   options for bursar demo'
	@echo '  make test TEST_FLAGS="..."   options for pytest, such as -k gate'
	@echo '  make setup PYTHON=...        which Python (3.11 or newer) to build with'

setup: ## Build .venv with what the product needs
	@scripts/setup.sh runtime

# On Ctrl-C the terminal tells make as well. Make then ends as interrupted, and stays quiet about it only
# if the recipe ends with 0.
demo: ## Start Bursar with sample traffic and open pages
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh runtime && .venv/bin/bursar demo $(DEMO_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

bench: ## Measure speed against the promises; JSON=FILE keeps the numbers
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh runtime && .venv/bin/python -m benchmarks.gate $${JSON:+--json "$$JSON"} $(BENCH_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

bench-alerts: ## Measure how fast a crossing is in Slack; JSON=FILE; about 90 seconds
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh dev && .venv/bin/python -m benchmarks.alerts $${JSON:+--json "$$JSON"} $(BENCH_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

bench-calibration: ## Measure how often statistics are right; JSON=FILE; about 2 minutes
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh runtime && .venv/bin/python -m benchmarks.calibration $${JSON:+--json "$$JSON"} $(BENCH_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

bench-ledger: ## Measure a large ledger: pages and writer; ROWS=200_000, JSON=FILE, KEEP=DIR
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh dev && .venv/bin/python -m benchmarks.ledger $${ROWS:+--rows "$$ROWS"} \
		$${JSON:+--json "$$JSON"} $${KEEP:+--keep "$$KEEP"} $(BENCH_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

bench-pages: ## Measure how soon pages are whole in a browser; ROWS=200_000, JSON=FILE, KEEP=DIR
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh dev && .venv/bin/python -m benchmarks.pages $${ROWS:+--rows "$$ROWS"} \
		$${JSON:+--json "$$JSON"} $${KEEP:+--keep "$$KEEP"} $(BENCH_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

screenshots: ## Pictures of every page from the demo: DIR=pictures; about 3 minutes
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh dev && .venv/bin/python -m scripts.screenshots --dir "$${DIR:-pictures}" $(SCREENSHOTS_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

# Hundreds of programs are started: without bytecode each of them compiles Bursar anew. By file, in order: what a file
# sets up is made once, and the files with the longest tests come first.
test: lint ## Lint, then run all tests
	PYTHONDONTWRITEBYTECODE= .venv/bin/pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(TEST_FLAGS)

# Types and the audit take one core each for half a minute: side by side.
lint: ## Check style, types, import rules, known holes and committed secrets
	@scripts/setup.sh dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-logo
	@.venv/bin/mypy & types=$$!; scripts/audit.sh; audited=$$?; wait $$types && [ $$audited -eq 0 ]

mutants: ## Break the gate's Lua in 600 places: a test must notice each; about 6 minutes
	@stopped=; trap 'stopped=yes' INT; \
	scripts/setup.sh dev && .venv/bin/python -m scripts.mutants $${JSON:+--json "$$JSON"} $(MUTANTS_FLAGS); \
	status=$$?; \
	if [ -n "$$stopped" ]; then exit 0; fi; \
	exit $$status

soak: ## Compare the gate with its model over 50,000 histories; about 6 minutes
	@scripts/setup.sh dev
	BURSAR_HISTORIES=50000 .venv/bin/pytest -n 2 tests/integration/engine/test_gate_conformance.py -k reference_model

lock: ## Make the lock files again from pyproject.toml
	@scripts/lock.sh $(LOCK_FLAGS)

test-browser-setup: ## Install Chromium for the page tests (Debian, Ubuntu)
	@scripts/browser.sh

clean: ## Remove .venv and caches; data stays
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find bursar engine jobs dashboard tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
