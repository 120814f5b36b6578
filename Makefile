# `make demo` and `make test` do all their set-up themselves; nothing else has to be done by hand.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
SAY = @printf '\n\033[1m== %s\033[0m\n'

.PHONY: help setup apt venv lint types layers deps unit slow test bench clean

help:
	@echo 'make demo [FIRMWARE=bios|uefi|uefi-http]  install Debian onto a virtual machine through pxed, from nothing'
	@echo 'make test                                 linters, types, all tests, boots of every firmware, one full install'
	@echo 'make unit                                 the quick tests (seconds)'
	@echo 'make test-lab                             real firmware: all three to the installer, both full installs'
	@echo 'make bench [ONLY=name]                    benchmarks beside their peers'

# ---- set-up -------------------------------------------------------------------------------------------------------------------
apt: .stamp-apt
.stamp-apt: apt-packages.txt
	$(SAY) 'Host packages (apt)'
	@tests/apt-install apt-packages.txt
	@touch $@

.stamp-apt-test: apt-packages.txt apt-packages-test.txt
	$(SAY) 'Host packages of the tests (apt)'
	@tests/apt-install apt-packages.txt apt-packages-test.txt
	@touch $@

# The distribution's own Python before any other, if it fits: users have it, and it is compiled with optimisations that others lack.
FITS := 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))'
venv: $(VENV)/.stamp
$(VENV)/.stamp: setup.py pyproject.toml
	$(SAY) 'Python environment (.venv)'
	@[ -x $(PY) ] || { /usr/bin/python3 -c $(FITS) 2>/dev/null && /usr/bin/python3 -m venv $(VENV); } || python3 -m venv $(VENV)
	@$(PY) -m pip install -qq --disable-pip-version-check -e '.[test]'
	@$(PY) -c 'from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))'
	@touch $@

setup: apt venv

# ---- checks -------------------------------------------------------------------------------------------------------------------
lint: venv
	$(SAY) 'ruff'
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

types: venv
	$(SAY) 'mypy --strict'
	@$(VENV)/bin/mypy pxed plugins tests benchmarks

layers: venv
	$(SAY) 'import-linter'
	@$(VENV)/bin/lint-imports

deps: venv
	$(SAY) 'deptry'
	@$(VENV)/bin/deptry .

unit: setup
	$(SAY) 'Unit tests'
	@$(PY) -m pytest

slow: setup .stamp-apt-test
	$(SAY) 'Slow tests (fuzzing, foreign clients and servers)'
	@$(PY) -m pytest -m 'slow and not lab'

test: setup .stamp-apt-test lab-assets
	@tests/run-all $(PY)
	$(SAY) 'All of make test passed'

bench: setup .stamp-apt-test
	@$(PY) -m benchmarks $(if $(ONLY),--only '$(ONLY)')

clean:
	rm -rf build dist *.egg-info .stamp-apt .stamp-apt-test .mypy_cache .ruff_cache .pytest_cache .hypothesis

include lab.mk
