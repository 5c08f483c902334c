# Everything a user or developer runs. `make study` and `make test` set up what they need; each step
# of that prints one line with its time.
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
STEP := @. .ci/step.sh; step
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*) $(shell find csrc python -type f -not -path '*/__pycache__/*')
CPP = $$(git ls-files '*.cpp' '*.hpp')
# Two workers; a file's tests stay together, for the sake of what they share.
WORKERS := -n 2 --dist loadfile
PYTEST := $(BIN)/python -m pytest $(WORKERS)
EARLIEST := $(VENV)-earliest
WITHOUT_TORCH := tests/core/test_core.py tests/estimation tests/prediction tests/profiles tests/tracing/test_op_call.py

# The C++ tests' only header.
DOCTEST := $(if $(wildcard /usr/include/doctest/doctest.h),,build/doctest)

.PHONY: study landscape test test-all test-cpp test-python test-browser test-earliest test-arm test-gpu accuracy accuracy-quick stability \
  coverage sdist wheel-pure lint format tidy tsan asan docs clean

study: $(VENV)/.installed
	@$(BIN)/opclock doctor
	@$(BIN)/opclock study hidden-costs --report report

# Study B through every runtime: under 20 minutes on two cores.
landscape: $(VENV)/.runtimes
	@$(BIN)/opclock study landscape --report landscape

# Without the tests that take long, and those that need other runtimes, a GPU or Arm.
test: test-cpp test-python

test-python: $(VENV)/.installed $(VENV)/.test
	@$(PYTEST) -m "not slow and not runtimes"

# Those, too, where this machine can run them, and a cut of the corpus of public architectures (two minutes).
test-all: test-cpp $(VENV)/.runtimes $(VENV)/.test $(VENV)/.corpus
	@$(PYTEST)
	@$(BIN)/python -m benchmarks.corpus --cut

# Debian's package, unpacked without root.
build/doctest:
	$(STEP) "fetching doctest" bash -euc 'mkdir -p build/apt/lists/partial && cd build/apt && \
	  options="-qq -o Dir::State::lists=$$PWD/lists -o Dir::Cache=$$PWD/cache" && mkdir -p cache/archives/partial && \
	  apt-get $$options update && apt-get $$options download doctest-dev && \
	  dpkg-deb -x doctest-dev_*.deb ../doctest-new && mv ../doctest-new ../doctest'

# For presets that need Python and pybind11.
FOR_PYTHON = -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)

test-cpp: $(DOCTEST)
	$(STEP) "configuring the C++ tests" cmake --preset dev
	$(STEP) "building the C++ tests" cmake --build --preset dev
	@ctest --preset dev

# The page of `opclock explore`, in the Chromium or Chrome of this machine.
test-browser: $(VENV)/.installed $(VENV)/.test $(VENV)/.browser
	@$(BIN)/python -m pytest tests/browser

# What needs no torch, with the earliest releases that pyproject.toml allows. Their own deprecations are no news.
test-earliest: $(EARLIEST)/.installed
	@$(EARLIEST)/bin/python -m pytest -q -n 2 -W ignore::DeprecationWarning $(WITHOUT_TORCH)

# Every Python test under coverage, child processes included, and the share of lines and branches that they reach.
coverage: $(VENV)/.runtimes $(VENV)/.test
	@rm -f build/coverage*
	@$(BIN)/coverage run -m pytest $(WORKERS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# The same code on 64-bit Arm, emulated, in a Debian root that is kept for the next time (tests/arm/run).
test-arm: $(VENV)/.installed $(VENV)/.test $(DOCTEST)
	@VENV=$(VENV) tests/arm/run

# Whatever needs a GPU, with the torch that this machine's Python has; nothing is fetched. 8 minutes on an H100.
test-gpu:
	$(STEP) "installing opclock" $(PYTHON) -m pip install --no-build-isolation --no-deps .
	@$(PYTHON) -m pytest tests/gpu
	@$(PYTHON) -m benchmarks.gpu --json gpu.json

# Estimates against real inference: the development set (12 minutes), or four small models (under three).
accuracy: $(VENV)/.installed $(VENV)/.accuracy
	@$(BIN)/python -m benchmarks.accuracy

# Estimates beside busy processes (12 minutes), compare on one machine at different minutes (half an hour), several
# processes by simulation, and profiles that were measured minutes apart (a quarter of an hour).
stability: $(VENV)/.installed $(VENV)/.test
	@$(BIN)/python -m benchmarks.stability.busy
	@$(BIN)/python -m benchmarks.stability.compare
	@$(BIN)/python -m benchmarks.stability.processes
	@$(BIN)/python -m benchmarks.stability.state --folder build/stability --repeats 3 --every-s 300

accuracy-quick: $(VENV)/.installed $(VENV)/.test
	@$(BIN)/python -m benchmarks.accuracy --quick

lint: $(VENV)/.installed $(VENV)/.lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --preview --select PLW1514 . # encodings are named: Windows has a default of its own
	@$(BIN)/ruff format --check .
	@$(BIN)/clang-format --dry-run --Werror $(CPP)
	@$(BIN)/codespell $$(git ls-files)
	@$(BIN)/validate-pyproject pyproject.toml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/*.yml
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist tests/stubtest-allowlist.txt opclock._core opclock._aten

format: $(VENV)/.lint
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CPP)

# clang-tidy over all of csrc but the files with torch's headers.
tidy: $(VENV)/.cpp $(DOCTEST)
	$(STEP) "configuring for clang-tidy" cmake --preset tidy $(FOR_PYTHON)
	$(STEP) "running clang-tidy" env PATH="$(CURDIR)/$(BIN):$$PATH" run-clang-tidy.py -quiet -p build/tidy \
	  -warnings-as-errors '*' 'csrc/(?!aten/|bindings/aten)|tests/cpp/'

# The thread team under the thread sanitizer.
tsan: $(DOCTEST)
	$(STEP) "configuring with the thread sanitizer" cmake --preset tsan
	$(STEP) "building with the thread sanitizer" cmake --build --preset tsan
	@ctest --preset tsan

# The C++ tests and those of both extensions, under the address and undefined-behaviour sanitizers, and the share of C++
# lines that they reach. Python has leaks of its own.
asan: $(VENV)/.installed $(VENV)/.test $(VENV)/.cpp $(DOCTEST)
	$(STEP) "configuring asan" cmake --preset asan $(FOR_PYTHON)
	$(STEP) "building asan" cmake --build --preset asan
	@ctest --preset asan
	@rm -rf build/asan/site && mkdir build/asan/site && cp -r python/opclock build/asan/site
	@cmake --install build/asan --prefix build/asan/site >build/asan/install.log
	@LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
	  PYTHONPATH=build/asan/site $(BIN)/python -m pytest -q -p no:cacheprovider tests/core
	@$(BIN)/gcovr --root . --filter csrc/ --exclude-throw-branches --merge-lines build/asan

# The source distribution, in dist.
sdist: $(VENV)/.build
	$(STEP) "making the source distribution" $(BIN)/python -m build --sdist --no-isolation

# Without the compiled parts: one wheel for every system, to read profiles with.
wheel-pure: $(VENV)/.build
	$(STEP) "making the pure wheel" env OPCLOCK_PURE=1 $(BIN)/python -m build --wheel --no-isolation

# The documentation site, in build/docs.
docs: $(VENV)/.installed $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Environments. A newer pip than a new environment has reads dependency groups; build requirements lie in it, so that
# build/extension keeps what was compiled.
$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=python3.11")'
ifeq ($(TORCH),system)
	$(STEP) "making $(VENV)" $(PYTHON) -m venv --system-site-packages $(VENV)
	$(STEP) "updating pip" $(PIP) install 'pip>=25.1'
else
	$(STEP) "making $(VENV)" $(PYTHON) -m venv $(VENV)
	$(STEP) "updating pip" $(PIP) install 'pip>=25.1'
	$(STEP) "installing $(TORCH)" bash -c "$(PIP) install '$(TORCH)' || $(PIP) install --index-url $(TORCH_INDEX) '$(TORCH)'"
endif
	@touch $@

$(VENV)/.build: $(VENV)/.torch
	$(STEP) "installing what builds opclock" $(PIP) install --group build
	@touch $@

# Apart from its installation: it may be compiled while pip installs other things.
$(VENV)/.wheel: $(VENV)/.build $(SOURCES)
	@rm -rf $(VENV)/wheel
	$(STEP) "building opclock" $(PIP) wheel --no-build-isolation --no-deps --config-settings=build-dir=build/extension \
	  --wheel-dir $(VENV)/wheel .
	@touch $@

# By force: pip takes a wheel of the same version for the one that is installed.
$(VENV)/.installed: $(VENV)/.wheel
	$(STEP) "installing opclock" bash -c '$(PIP) install --force-reinstall --no-deps $(VENV)/wheel/*.whl && \
	  $(PIP) install "$$(echo $(VENV)/wheel/*.whl)[report]"'
	@touch $@

# Some runtimes depend on torch: the one that is installed stays.
$(VENV)/.runtimes: $(VENV)/.installed
	@$(PIP) list --format=freeze | grep '^torch==' >$(VENV)/torch.txt
	$(STEP) "installing the runtimes" bash -c '$(PIP) install -c $(VENV)/torch.txt "$$(echo $(VENV)/wheel/*.whl)[runtimes]"'
	@touch $@

# The corpus's libraries, too.
$(VENV)/.corpus: $(VENV)/.build
	@$(PIP) list --format=freeze | grep '^torch==' >$(VENV)/torch.txt
	$(STEP) "installing the corpus" $(PIP) install -c $(VENV)/torch.txt --group corpus
	@touch $@

$(VENV)/.%: $(VENV)/.build
	$(STEP) "installing what $* needs" $(PIP) install --group $*
	@touch $@

$(EARLIEST)/.installed: $(SOURCES)
	$(STEP) "making $(EARLIEST)" $(PYTHON) -m venv --clear $(EARLIEST)
	$(STEP) "installing uv" $(EARLIEST)/bin/python -m pip install uv
	$(STEP) "installing the earliest releases" $(EARLIEST)/bin/uv pip install --python $(EARLIEST)/bin/python \
	  --resolution lowest-direct --only-binary :all: -r pyproject.toml --extra report
	$(STEP) "installing what builds and tests opclock" $(EARLIEST)/bin/uv pip install --python $(EARLIEST)/bin/python \
	  --group build --group test
	$(STEP) "building opclock without torch" $(EARLIEST)/bin/python -m pip install --no-build-isolation --no-deps \
	  --config-settings=build-dir=build/earliest .
	@touch $@

clean:
	rm -rf build dist $(VENV) $(EARLIEST)
