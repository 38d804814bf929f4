# make demo: the main job on bundled data · make test: everything that must hold · both set themselves up
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: setup demo test lint clients clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml checker/pyproject.toml setup.py src/shipworthy/kernels/_native.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e checker
	@touch $(READY)

demo: setup
	$(VENV)/bin/shipworthy demo

lint: setup
	$(VENV)/bin/ruff check src checker tests benchmarks tools
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# What failed is asked once more, alone: a busy machine must not hide the rest, and both answers are printed.
test: lint
	$(VENV)/bin/python -m pytest || { echo "once more, alone, what failed; a test that passes only now is to be mended"; \
	    $(VENV)/bin/python -m pytest --last-failed --last-failed-no-failures none; }

# Other people's clients in an environment of their own; then: SHIPWORTHY_CLIENTS=.venv-clients make test
clients:
	PYTHON=$(PYTHON) bash .ci/clients

clean:
	rm -rf $(VENV) .venv-clients .venv-flower shipworthy-demo build src/shipworthy/kernels/*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
