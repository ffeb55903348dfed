# Everything runs in .venv, which each target makes if it is not there or if its requirements have changed.
# PYTHON=/path/to/python names another interpreter than the first of python3.11 and python3 that will do.
# ARGS="..." is handed on, for instance: make test ARGS="-k tick", make demo ARGS="--hours 500".

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := pyproject.toml constraints.txt
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet -c constraints.txt

.PHONY: help install demo test test-kafka check bench bench-models bench-drift simulate up down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "evenhand needs Python 3.11 or later: install it, or name it with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(REQUIREMENTS) | $(BIN)/python
	@echo "installing evenhand into $(VENV), a minute or so" >&2
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.everything: $(REQUIREMENTS) | $(BIN)/python
	@echo "installing evenhand, its nets, tracking and tests into $(VENV), a minute or two" >&2
	$(PIP_INSTALL) -e '.[apprise,dev,nets,onnx,tracking,tuning]'
	@touch $(VENV)/.base $@

install: $(VENV)/.base ## make .venv with all that evenhand needs to run

demo: install ## replay real prices through the whole loop, and say what was decided and why
	$(BIN)/evenhand demo $(ARGS)

up: install ## start broker, Redis and workers, and leave them running
	$(BIN)/evenhand up --detach $(ARGS)

down: install ## end what `make up` started
	$(BIN)/evenhand down $(ARGS)

test: $(VENV)/.everything ## run the tests that need nothing else, on the embedded broker or on KAFKA_HOME's
	$(BIN)/python -m pytest $(ARGS)

test-kafka: $(VENV)/.everything ## run every test, the slow ones too, on the Apache Kafka at KAFKA_HOME
	@test -x "$$KAFKA_HOME/bin/kafka-server-start.sh" || { \
		echo "KAFKA_HOME='$$KAFKA_HOME' is no Apache Kafka: set it to the folder of a Kafka 4 distribution" >&2; exit 1; }
	$(BIN)/python -m pytest -m "" $(ARGS)

check: $(VENV)/.everything ## lint, types, layers, and that schemas/ is what the code says
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m schemas --check

bench: $(VENV)/.everything ## measure side by side with what others do, and print the table
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-models: $(VENV)/.everything ## what an answer of each model and a row of features cost; fails where a goal is missed
	$(BIN)/python -m tests.benchmarks.models

bench-drift: $(VENV)/.everything ## drift detectors side by side: false alarms, delays, cost; leaves var/bench/drift.json
	$(BIN)/python -m tests.benchmarks.drift $(ARGS)

simulate: install ## error rates of the experiments' rule over 20,000 runs of each stream, some ten minutes
	$(BIN)/evenhand experiment simulate --runs 20000 --seed 7 $(ARGS)

clean: ## remove .venv, var and what the tools have cached
	rm -rf $(VENV) var dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
