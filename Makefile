# Everything is relative, so that a path with a space in it works.
.PHONY: run test lint bench lock install-service

run: ## set up what is missing and start the box on 127.0.0.1:8080
	@PIP_NO_CACHE_DIR=1 sh .ci/prepare embedded
	@exec .venv/bin/scribebox serve

test: ## set up, lint, check types, run the quick tests
	@sh .ci/prepare dev,embedded,multilingual curl
	@$(MAKE) --no-print-directory lint
	@sh .ci/quick

lint:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: ## CORPUS=DIR: ours against the public engine: speed, word errors, memory, noise (MORE=--quick)
	@sh .ci/prepare dev,embedded,multilingual
	@.venv/bin/python tests/bench/contest.py "$(CORPUS)" $(MORE)

lock: ## write constraints.txt anew from pyproject.toml
	@sh .ci/lock

install-service: ## as root: set the box up as a service of this machine (DESTDIR=DIR: only its files)
	@DESTDIR="$(DESTDIR)" sh systemd/install
