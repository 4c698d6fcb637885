# make music PROMPT="..."   ten seconds of music into cadenza.wav
# make test                 the linter, the type checker and the tests
PYTHON ?= python3
PROMPT ?= upbeat funk with slap bass and drums, 110 bpm
OUTPUT ?= cadenza.wav
BIN := .venv/bin
# pip would compile on one core; the few files that cannot be compiled are never imported.
COMPILE := $(BIN)/python -m compileall -qq -j 0 .venv/lib || true
PIP := $(BIN)/python -m pip --disable-pip-version-check install --no-compile --quiet --constraint constraints.txt

export PROMPT OUTPUT

.PHONY: music test clean

music: .venv/.installed
	@$(BIN)/cadenza generate "$$PROMPT" --best-of 6 --output "$$OUTPUT"

test: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cadenza needs Python 3.11 or later; say which one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Cadenza into .venv (once; a few minutes)"
	$(PIP) --editable .
	$(COMPILE)
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Cadenza and its development tools into .venv (once; a few minutes)"
	$(PIP) --editable ".[dev]"
	# Without their dependencies: basic-pitch would bring TensorFlow, tinysoundfont PyAudio.
	$(PIP) --no-deps basic-pitch tinysoundfont
	$(COMPILE)
	@touch .venv/.installed $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
