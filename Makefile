# Everything a user or developer runs. `make study` and `make test` set up what they need.
#
# TORCH chooses the torch: a pip requirement, or "system" for the one this machine's Python already has
# (a Jetson's own, say). The default is a release with no CUDA packages behind it.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
ifeq ($(shell uname -m),aarch64)
TORCH ?= torch==2.9.1
else
TORCH ?= torch==2.13.0+cpu
endif
# Where the x86 wheels without CUDA come from, if the configured index has none.
TORCH_INDEX := https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The requirements of extras, without building opclock anew for them.
REQUIREMENTS = $(BIN)/python -c 'import sys, tomllib; \
  extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
  print(*(item for name in sys.argv[1:] for item in extras[name]), sep="\n")'
RUNTIMES := onnxruntime openvino litert ncnn executorch
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*) $(shell find csrc python -type f -not -path '*/__pycache__/*')

.PHONY: study landscape test test-cpp test-python test-arm test-gpu accuracy accuracy-quick lint format tidy asan docs clean

study: $(VENV)/.installed
	$(BIN)/opclock doctor
	$(BIN)/opclock study hidden-costs --report report

# Study B through every runtime: under 20 minutes on two cores.
landscape: $(VENV)/.runtimes
	$(BIN)/opclock study landscape --report landscape

test: test-cpp test-python

test-cpp:
	cmake --preset dev
	cmake --build --preset dev
	ctest --preset dev

test-python: $(VENV)/.test
	$(BIN)/python -m pytest

# The same code on 64-bit Arm, emulated, in a Debian root that is kept for the next time (tests/arm/run).
test-arm: $(VENV)/.test
	VENV=$(VENV) tests/arm/run

# Whatever needs a GPU, with the torch that this machine's Python has; nothing is fetched. 8 minutes on an H100.
test-gpu:
	$(PYTHON) -m pip install --quiet --no-build-isolation --no-deps .
	$(PYTHON) -m pytest tests/gpu
	$(PYTHON) benchmarks/gpu/run.py --json gpu.json

# Estimates against real inference: the development set (12 minutes), or four small models (under three).
accuracy: $(VENV)/.accuracy
	$(BIN)/python benchmarks/accuracy/run.py

accuracy-quick: $(VENV)/.test
	$(BIN)/python benchmarks/accuracy/run.py --quick

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.hpp')
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist tests/stubtest-allowlist.txt opclock._core opclock._aten

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.cpp' '*.hpp')

tidy:
	cmake --preset tidy
	cmake --build --preset tidy

asan:
	cmake --preset asan
	cmake --build --preset asan
	ctest --preset asan

# The documentation site, in build/docs.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.torch:
ifeq ($(TORCH),system)
	$(PYTHON) -m venv --system-site-packages $(VENV)
else
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet '$(TORCH)' || $(PIP) install --quiet --index-url $(TORCH_INDEX) '$(TORCH)'
endif
	touch $@

$(VENV)/.installed: $(VENV)/.torch $(SOURCES)
	$(PIP) install --quiet '.[report]'
	touch $@

# Some runtimes depend on torch: the one that is installed stays.
$(VENV)/.runtimes: $(VENV)/.installed
	$(PIP) install --quiet -r <($(REQUIREMENTS) $(RUNTIMES)) -c <($(PIP) list --format=freeze | grep '^torch==')
	touch $@

$(VENV)/.test: $(VENV)/.runtimes
	$(PIP) install --quiet -r <($(REQUIREMENTS) test)
	touch $@

$(VENV)/.accuracy: $(VENV)/.test
	$(PIP) install --quiet -r <($(REQUIREMENTS) accuracy)
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) install --quiet -r <($(REQUIREMENTS) lint)
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) install --quiet -r <($(REQUIREMENTS) docs)
	touch $@

clean:
	rm -rf build dist $(VENV)
