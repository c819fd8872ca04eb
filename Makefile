# `make demo` and `make test` set up all they need in .venv, on a bare machine with Python 3.11 or newer.
# Without a GPU, spare yourself CUDA's 5 GB:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
RUN := $(VENV)/bin/videoclf

.PHONY: demo test lint slow clean

demo: $(VENV)/.installed
	$(RUN) predict datasets/sample.avi

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

slow: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m slow

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; name one: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian, apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.torch: | $(VENV)/bin/python
	@echo "installing torch into $(VENV), once: some minutes"
	$(if $(TORCH_INDEX),$(PIP) install --quiet torch torchvision --index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.installed: pyproject.toml setup.cfg | $(VENV)/.torch
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@
