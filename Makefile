# SPDX-License-Identifier: MIT OR Apache-2.0
# Everything one does with this project; `make help` lists it. Each target does its own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-swift unit unit-release integration integration-mpich tree soak fuzz statistics \
    sanitize-threads sanitize-python python installation left-out runner build wheel wheels bench bench-io fidelity \
    lint format install uninstall setup setup-venv setup-tests setup-arm64 clean

PREFIX ?= /usr/local
SWIFT ?= swift
# The MPI whose mpirun starts the tests: openmpi or mpich. The program is the same for all.
MPI ?= openmpi
export MPI
MPIRUN := $(if $(filter mpich,$(MPI)),mpirun.mpich,mpirun --oversubscribe)
# Runs the integration tests, and is the tests of units at the same time: one build, that watches every access to memory.
RUNNER := --sanitize=address --scratch-path .build-address
# The shipped program needs no Swift runtime. Tests cannot be linked so, hence a folder of its own.
STATIC_BUILD := .build-static
STATIC := -c release --static-swift-stdlib --scratch-path
# What is installed, as it lies below a prefix; the program finds its backends from where it is.
TREE ?= build/tree
PROGRAM := $(TREE)/bin/dgen-mpi
# The machine and C library that the tree is linked for, see Sources/Linking/link.sh; this machine's if empty.
TARGET ?=
MACHINE := $(shell uname -m)
VENV := .venv
ZIG ?= env -u PYTHONPATH $(CURDIR)/$(VENV)/bin/python -m ziglang
export ZIG
# What compiles and links for TARGET. Another kind of machine than this one takes a Swift of its own, and 5 GB.
FOREIGN := $(filter-out $(MACHINE),$(firstword $(subst -, ,$(TARGET))))
SWIFT_SDK ?= $(CURDIR)/build/sdk
ifeq ($(FOREIGN),)
COMPILED := $(STATIC_BUILD)
COMPILE := $(SWIFT) build $(STATIC) $(COMPILED)
LINK := Sources/Linking/link.sh
BACKENDS := Sources/CMPI/backend/build.sh
else
COMPILED := $(STATIC_BUILD)-$(FOREIGN)
COMPILE := SWIFT_SDK="$(SWIFT_SDK)" Sources/Linking/swift.sh build $(STATIC) $(COMPILED)
LINK := SWIFT_STATIC="$(SWIFT_SDK)/static" Sources/Linking/link.sh
BACKENDS := CC="$(ZIG) cc -target $(TARGET)" Sources/CMPI/backend/build.sh
build: $(SWIFT_SDK)/ready $(VENV)/ready
endif
# What the tests have printed, and what they left out.
LOGS := build/tests
# What the leak sanitizer finds in libraries.
export LSAN_OPTIONS := suppressions=$(CURDIR)/Tests/leaks.txt:print_suppressions=0
# Where `make demo` writes its GiB.
DEMO ?= $(or $(TMPDIR),/tmp)

# Open MPI refuses to run as root, as in containers and CI, unless told twice.
ifeq ($(shell id -u),0)
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
endif

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Write 1 GiB with 4 ranks, verify it with 3
	@folder=$$(mktemp -d "$(DEMO)/dgen-mpi-demo.XXXXXX") && trap 'rm -rf "$$folder"' EXIT && \
	set -x && \
	$(MPIRUN) -n 4 $(PROGRAM) -o "$$folder/demo" -s 1GiB \
	    --dedup-ratio 2 --compress-ratio 1.5 && \
	$(MPIRUN) -n 3 $(PROGRAM) verify "$$folder/demo"

ifeq ($(MPI),mpich)
# What does not call MPI is the same, and tested without it.
test test-all: integration
else
GATE := test-swift python lint installation
test: setup-tests ## Run the gate: what a change must pass, in a quarter of an hour
	@rm -rf $(LOGS) && mkdir -p $(LOGS)
	@# Two at a time: what is built has no work for all processors all the time, and tests wait a lot.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target runner build $(VENV)/ready
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(GATE)
	@$(MAKE) --no-print-directory left-out
	@echo "The gate is passed."

test-all: setup-tests ## Run all tests, each in its long form, in all builds; for two hours
	@rm -rf $(LOGS) && mkdir -p $(LOGS)
	$(MAKE) --no-print-directory wheels
	$(MAKE) --no-print-directory runner
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target DGEN_TESTS=all $(GATE)
	$(MAKE) --no-print-directory DGEN_TESTS=all unit-release sanitize-threads sanitize-python
	$(MAKE) --no-print-directory DGEN_TESTS=all MPI=mpich integration
	@echo "All tests are passed."
endif

# What `make test` says at its end.
left-out:
	@echo "Left out, and run by make test-all:"
	@cat $(LOGS)/* | sed -nE -e 's/^left out: ([0-9]+ of .*)/  \1/p' \
	    -e 's/^[^ ]+ Test (.*) skipped: "left out: (.*)"/  \1: \2/p' \
	    -e 's/^SKIPPED (.*): left out: (.*)/  \1: \2/p' | sort -u
	@echo "  the tests of units in release, the thread sanitizer, Python under the address sanitizer, all of MPICH"
	@echo "Besides there are: make soak, make fuzz, make statistics"

runner: setup-tests
	$(SWIFT) build --build-tests $(RUNNER)
	Sources/CMPI/backend/build.sh .build-address/debug/../lib/dgen-mpi openmpi mpich

# One after another: they have one build.
test-swift: runner build
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory integration
	@$(MAKE) --no-print-directory integration-mpich

unit: runner ## Run the tests of units, in debug, under the address sanitizer
	@mkdir -p $(LOGS)
	$(SWIFT) test --skip-build --disable-xctest $(RUNNER) --skip 'Integration|Fork' 2>&1 | tee $(LOGS)/unit
	$(SWIFT) test --skip-build --disable-xctest $(RUNNER) --filter Fork

unit-release: setup-tests ## Run the tests of units, as fast as they get, and so with more random numbers
	$(SWIFT) test --disable-xctest -c release --skip 'Integration|Fork'
	$(SWIFT) test --disable-xctest -c release --filter Fork

integration: runner build ## Run the tests that start programs; MPI=mpich for MPICH's
	@mkdir -p $(LOGS)
	DGEN_MPI_PROGRAM="$(CURDIR)/$(PROGRAM)" $(SWIFT) test --skip-build --disable-xctest $(RUNNER) \
	    --filter Integration 2>&1 | tee $(LOGS)/integration

# Some runs under MPICH.
integration-mpich: runner build
	MPI=mpich DGEN_MPI_PROGRAM="$(CURDIR)/$(PROGRAM)" $(SWIFT) test --skip-build --disable-xctest $(RUNNER) \
	    --filter 'everyVectorIsWritten|worksWithoutMpirun|ranksSayItOnce|phasesAreRepeated|aRankThatHangsIsNamed'

soak: runner build ## Run each fault of storage, machines and the cluster 20 times in a row; for hours
	DGEN_TESTS=all DGEN_SOAK_ROUNDS=20 DGEN_MPI_PROGRAM="$(CURDIR)/$(PROGRAM)" $(SWIFT) test --skip-build \
	    --disable-xctest $(RUNNER) --filter 'FaultTests|ClusterTests'

fuzz: setup-tests $(VENV)/ready ## Give options, files and the Python extension input that nobody meant, for a quarter of an hour
	DGEN_TEST_SEED=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') DGEN_FUZZ_ROUNDS=300000 $(SWIFT) test --disable-xctest --filter Fuzz
	$(MAKE) --no-print-directory sanitize-python DGEN_FUZZ_ROUNDS=20000

statistics: setup-tests $(VENV)/ready ## Run all tests of dieharder on the stream and on the shards of 64 ranks; for hours
	$(VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps ./python
	cd python && DGEN_TESTS_NEED_ALL=1 DGEN_STATISTICS=all ../$(VENV)/bin/pytest --quiet tests/test_statistics.py

python: setup-tests build wheel ## Run the tests of the Python package: of its wheel
	$(if $(filter all,$(DGEN_TESTS)),$(VENV)/bin/python -m pip install --quiet -r python/tests/requirements-all.txt)
	$(VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps dist/dgen_mpi-*_$(MACHINE).whl
	@mkdir -p $(LOGS)
	cd python && DGEN_TESTS_NEED_ALL=1 DGEN_MPI_PROGRAM="$(CURDIR)/$(PROGRAM)" ../$(VENV)/bin/pytest --quiet \
	    -r s --durations=15 2>&1 | tee ../$(LOGS)/python
	cd / && "$(CURDIR)/$(VENV)/bin/stubtest" dgen_mpi._native \
	    --allowlist "$(CURDIR)/python/tests/stubtest.allowlist"
	# Where there is no Swift, and nothing but the wheel.
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	python3 -m venv "$$folder/venv" && \
	"$$folder/venv/bin/python" -m pip install --quiet dist/dgen_mpi-*_$(MACHINE).whl && cd / && \
	env -i PATH=/usr/bin:/bin "$$folder/venv/bin/python" -c "import dgen_mpi; \
	    view = dgen_mpi.generate_buffer(1 << 20, seed=1); \
	    assert dgen_mpi.DataSpec(1 << 20, 1).compare(view) == []; \
	    print('the wheel works:', dgen_mpi.get_build_info())"

installation: setup-tests ## Install into a folder, look at what is there, and take it away again
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(MAKE) --no-print-directory install PREFIX="$$folder" && \
	"$$folder/bin/dgen-mpi" --version && \
	test -s "$$folder/share/man/man1/dgen-mpi.1" && \
	bash -n "$$folder/share/bash-completion/completions/dgen-mpi" && \
	$(MAKE) --no-print-directory uninstall PREFIX="$$folder" && \
	test -z "$$(find "$$folder" -type f)"

# The headers of MPICH and of the standard interface; the library itself is not used.
HEADERS := build/headers
$(HEADERS)/include/mpi_abi.h: $(VENV)/ready
	$(VENV)/bin/python -m pip install --quiet --no-deps --target $(HEADERS) mpich==5.0.2

# For all that has the C library of 2018 or a later one: Rocky 8, SLES 15, Debian 10, Ubuntu 20.04.
WHEEL_TARGET := $(or $(TARGET),$(MACHINE)-linux-gnu.2.28)
WHEEL_MACHINE := $(firstword $(subst -, ,$(WHEEL_TARGET)))
wheel: setup $(VENV)/ready $(HEADERS)/include/mpi_abi.h ## Build a wheel and a tar file for this kind of Linux, in dist
	rm -rf dist/dgen_mpi-*_$(WHEEL_MACHINE).* build/wheels build/wheel && mkdir -p dist build/wheels
	TARGET=$(WHEEL_TARGET) TREE=build/wheel MPI_INCLUDES="$(CURDIR)/$(HEADERS)/include" \
	    $(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir build/wheels ./python
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/auditwheel repair --wheel-dir dist build/wheels/dgen_mpi-*.whl
	$(VENV)/bin/auditwheel show dist/dgen_mpi-*_$(WHEEL_MACHINE).whl
	tar -C build/wheel -czf "$$(ls dist/dgen_mpi-*_$(WHEEL_MACHINE).whl | sed 's/\.whl$$/.tar.gz/')" .

wheels: setup-arm64 wheel ## Build them for arm64 as well, on x86-64; as root, with debootstrap and 5 GB
	$(MAKE) --no-print-directory wheel TARGET=aarch64-linux-gnu.2.28

sanitize-threads: setup-tests ## Run the tests of threads under the thread sanitizer
	$(SWIFT) test --disable-xctest \
	    --sanitize=thread --scratch-path .build-thread --filter 'Parallel|WorkerPool|Property'

# The runtime of the sanitizer comes first, since Python itself does not have it.
sanitize-python: setup-tests $(VENV)/ready ## Run tests of the Python extension under the address sanitizer
	@set -e; folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	DGEN_SANITIZE=address $(VENV)/bin/python -m pip install --quiet --no-deps --target "$$folder" ./python && \
	runtime=$$("$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang" \
	    -print-file-name=libclang_rt.asan-$$(uname -m).so) && cd python && set -x && \
	LD_PRELOAD="$$runtime" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH="$$folder" \
	    DGEN_FUZZ_ROUNDS="$(or $(DGEN_FUZZ_ROUNDS),300)" ../$(VENV)/bin/pytest --quiet -p no:cacheprovider \
	    tests/test_fuzz.py tests/test_generator.py

build: setup ## Build dgen-mpi
	$(COMPILE) --product dgen-mpi
	@mkdir -p $(TREE)/bin
	$(LINK) program $(COMPILED)/release $(PROGRAM) $(TARGET)
	$(BACKENDS) $(TREE)/lib/dgen-mpi

$(SWIFT_SDK)/ready:
	Sources/Linking/sdk.sh $(SWIFT_SDK)

# All that is installed; and the extension module, where MODULE says where it is wanted.
# The tool that makes manuals is one of ArgumentParser's; its plugin would build everything once more.
# Both run here: for another kind of machine they are built for this one too.
tree: build
	TARGET= $(SWIFT) build $(STATIC) $(STATIC_BUILD) --product generate-manual
	$(if $(FOREIGN),TARGET= $(SWIFT) build $(STATIC) $(STATIC_BUILD) --product dgen-mpi)
	@mkdir -p $(TREE)/share/man/man1 $(TREE)/share/bash-completion/completions $(TREE)/share/zsh/site-functions \
	    $(TREE)/share/fish/vendor_completions.d
	$(STATIC_BUILD)/release/generate-manual $(STATIC_BUILD)/release/dgen-mpi --output-directory $(TREE)/share/man/man1
	@set -e; complete() { $(STATIC_BUILD)/release/dgen-mpi --generate-completion-script "$$1" > "$(TREE)/share/$$2"; }; \
	complete bash bash-completion/completions/dgen-mpi; \
	complete zsh zsh/site-functions/_dgen-mpi; \
	complete fish fish/vendor_completions.d/dgen-mpi.fish
ifdef MODULE
	@# Where there is no pkg-config, Python tells where its headers are.
	CPATH="$$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
	    $(COMPILE) --product DGenPython
	$(LINK) module $(COMPILED)/release "$(MODULE)" $(TARGET)
endif

bench: build $(VENV)/ready ## Measure memory and write bandwidth, with the peers that can be installed
	@$(VENV)/bin/python -m pip install --quiet "dgen-py==0.3.0" || \
	    echo "dgen-py could not be installed: measuring without it" >&2
	$(VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps ./python
	$(VENV)/bin/python python/benchmarks/memory.py --program $(PROGRAM)
	$(VENV)/bin/python python/benchmarks/buffers.py
	$(VENV)/bin/python python/benchmarks/checksums.py

bench-io: build ## Measure writing, reading and verifying a file, what ranks and updates cost, with IOR and fio beside it (on the PATH, or IOR=)
	python3 python/benchmarks/storage.py --program $(PROGRAM)
	python3 python/benchmarks/scale.py --program $(PROGRAM)
	python3 python/benchmarks/detection.py --program $(PROGRAM)
	python3 python/benchmarks/updating.py --program $(PROGRAM)

fidelity: setup $(VENV)/ready ## Measure requested ratios against those of real compressors, with dgen-py and fio beside
	@$(VENV)/bin/python -m pip install --quiet "dgen-py==0.3.0" || \
	    echo "dgen-py could not be installed: measuring without it" >&2
	$(VENV)/bin/python -m pip install --quiet --force-reinstall --no-deps ./python
	$(VENV)/bin/python python/benchmarks/fidelity.py

lint: setup-tests $(VENV)/ready ## Check style: swift-format, shellcheck, ruff, mypy
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	shellcheck .ci/run Sources/*/*.sh Sources/*/*/*.sh Tests/IntegrationTests/*/*.sh jobs/*.sh
	$(VENV)/bin/ruff check python Tests
	$(VENV)/bin/ruff format --check python Tests
	$(VENV)/bin/ruff check --config python/pyproject.toml jobs
	$(VENV)/bin/ruff format --check --config python/pyproject.toml jobs
	$(VENV)/bin/mypy --config-file python/pyproject.toml python/dgen_mpi python/benchmarks python/docs \
	    python/examples

format: $(VENV)/ready ## Bring the sources into shape
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests
	$(VENV)/bin/ruff format python Tests
	$(VENV)/bin/ruff format --config python/pyproject.toml jobs

install: tree ## Install program, backends, man page and completions under PREFIX (/usr/local)
	@find $(TREE) -type f -printf '%P\n' | while read -r file; do \
	    mode=$$(test -x "$(TREE)/$$file" && echo 755 || echo 644) && \
	    install -D -m "$$mode" "$(TREE)/$$file" "$(PREFIX)/$$file" || exit; done

uninstall: ## Remove what install put under PREFIX
	rm -f "$(PREFIX)/bin/dgen-mpi" $(foreach family,openmpi mpich abi,"$(PREFIX)/lib/dgen-mpi/$(family).so") \
	    "$(PREFIX)/share/man/man1/dgen-mpi.1" \
	    "$(PREFIX)/share/bash-completion/completions/dgen-mpi" \
	    "$(PREFIX)/share/zsh/site-functions/_dgen-mpi" \
	    "$(PREFIX)/share/fish/vendor_completions.d/dgen-mpi.fish"

clean: ## Remove everything that was built
	rm -rf .build .build-static .build-static-* .build-address .build-thread .build-python .build-python-address $(VENV) build dist \
	    python/build python/*.egg-info

# What the system must have, by Debian's and Ubuntu's names, and how to see that it is there: to build the program and the
# package, to have a virtual environment, and to run all tests.
BUILD_PACKAGES := libopenmpi-dev openmpi-bin libnuma-dev pkg-config python3-dev
HAS_BUILD := pkg-config --exists numa python3 && type mpirun && { type mpicc || pkg-config --exists ompi-c; }
# What is enough where nothing can be installed: then it is another system, or another MPI.
CAN_BUILD := Sources/CMPI/backend/build.sh --list
VENV_PACKAGES := python3-venv
HAS_VENV := python3 -c 'import ensurepip'
TEST_PACKAGES := libmpich-dev mpich shellcheck procps util-linux binutils bzip2 cpio busybox-static qemu-user qemu-system-x86 slurm-wlm munge \
    glusterfs-server iproute2 e2fsprogs btrfs-progs btrfs-compsize zfs-fuse borgbackup dieharder debootstrap environment-modules
HAS_TESTS := PATH="$$PATH:/usr/sbin:/sbin" && pkg-config --exists mpich && type mpirun.mpich shellcheck ps unshare strip bzip2 cpio busybox qemu-x86_64 \
    qemu-system-x86_64 sbatch munged glusterd ip nsenter setpriv mkfs.ext4 debugfs mkfs.btrfs compsize zpool borg dieharder debootstrap modulecmd
ARM64_PACKAGES := debootstrap debian-archive-keyring
HAS_ARM64 := PATH="$$PATH:/usr/sbin" && type debootstrap && test -e /usr/share/keyrings/debian-archive-keyring.gpg

# $(call require,PACKAGES,CHECK[,ENOUGH]): installs packages where the check fails; where that cannot be done, a second check
# may be enough, or it says which are missing.
define require
@{ $(2); } > /dev/null 2>&1 && exit 0; \
if ! type apt-get > /dev/null 2>&1; then sudo=none; \
elif [ "$$(id -u)" = 0 ]; then sudo=; \
elif sudo -n true 2> /dev/null; then sudo="sudo -n"; \
else sudo=none; fi; \
if [ "$$sudo" = none ]; then \
    $(if $(3),$(3) > /dev/null && exit 0;) \
    echo "Packages are missing; as root run: apt-get install $(1), or what your system has for these" >&2; exit 1; \
fi; \
$$sudo apt-get update -q && \
DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -q -y --no-install-recommends $(1) && \
{ { $(2); } > /dev/null || { echo "Still missing after apt-get install $(1)" >&2; exit 1; }; }
endef

setup: ## Install the system packages that building needs, or say which are missing
	@command -v $(SWIFT) > /dev/null || { \
	    echo "dgen-mpi needs Swift 6.3 or later: https://www.swift.org/install/linux" >&2; exit 1; }
	$(call require,$(BUILD_PACKAGES),$(HAS_BUILD),$(CAN_BUILD))

setup-venv:
	$(call require,$(VENV_PACKAGES),$(HAS_VENV))

setup-tests: setup setup-venv ## Install those that all tests need as well
	$(call require,$(TEST_PACKAGES),$(HAS_TESTS))

setup-arm64:
	$(call require,$(ARM64_PACKAGES),$(HAS_ARM64))

$(VENV)/ready: python/pyproject.toml | setup-venv
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	# What the package wants for work on it, without building it.
	$(VENV)/bin/python -c 'import tomllib; \
	    extras = tomllib.load(open("python/pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	    print(*extras["dev"], *extras["examples"], *extras["jobs"], sep="\n")' > $(VENV)/wanted
	$(VENV)/bin/python -m pip install --quiet -r $(VENV)/wanted
	touch $@
