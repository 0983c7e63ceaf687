# Everything a developer types. `make run` and `make test` need nothing but Python 3.11 or newer.

BIN := .venv/bin

.PHONY: help run test soak check bench format migrate lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/.installed ## start a whole exchange with a living market on this machine; ARGS="--port 9000" passes options
	@exec $(BIN)/orderwire dev $(ARGS)

test: .venv/.installed ## run every test against real servers; ARGS="-k book" passes options
	@$(BIN)/python -m pytest $(ARGS)

soak: .venv/.installed ## the random tests at full size, for an hour or so
	@$(BIN)/python -m tests.property.soak
	@$(BIN)/python -m tests.replay.soak

check: .venv/.installed ## format, lint, types and import rules, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/.installed ## measure the engine and the whole path; ARGS="engine --rounds 9" chooses
	@$(BIN)/python -m benchmarks $(ARGS)

format: .venv/.installed ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

migrate: .venv/.installed ## bring the database of DATABASE_URL to the code's revision
	@exec $(BIN)/orderwire migrate

lock: ## resolve pyproject.toml into requirements.lock again; needs uv
	uv pip compile pyproject.toml --extra embedded --group dev --generate-hashes --universal \
		--python-version 3.11 --no-header --quiet --output-file requirements.lock

clean: ## remove the environment, caches and build products, never data
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find app tests migrations benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.lock pyproject.toml
	@deploy/make-venv.sh
