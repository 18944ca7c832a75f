# make demo   set up, build, and run the main job on a long document
# make test   set up, build, and run every test of every language
# LIBTORCH=<dir> chooses another libtorch (for example the torch folder of a Python with PyTorch in it).
SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

LIBTORCH ?=
BUILD    := build
NATIVE   := $(BUILD)/native
export LIBTORCH
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

.PHONY: build setup native managed capi install wheel demo test parity gpu-kit check-torch2 check-accelerate check-hf format clean help

build: native managed capi longformer .venv/ready ## build everything

setup: ## install what is missing (apt)
	@tools/setup.sh

# The build folder remembers its libtorch; another LIBTORCH gets configured anew.
$(NATIVE)/configured-$(subst /,_,$(LIBTORCH)): native/CMakeLists.txt | setup
	@rm -rf $(NATIVE) && mkdir -p $(NATIVE)
	cmake -S native -B $(NATIVE) -G Ninja -DLIBTORCH=$(LIBTORCH) > $(NATIVE)/configure.log || { cat $(NATIVE)/configure.log; exit 1; }
	@touch $@

native: $(NATIVE)/configured-$(subst /,_,$(LIBTORCH)) ## build the two native libraries and their tests
	ninja -C $(NATIVE) --quiet

managed: setup ## build the C# solution
	dotnet build LongformerInterop.sln -c Release -v quiet --nologo

# The C library is compiled ahead of time, which takes a minute: only when something that goes into it is newer.
CAPI_INPUTS := $(shell find src bindings/c/include bindings/c/cmake -type f -not -path 'src/Cli/*') Directory.Build.props Directory.Packages.props tools/capi.sh
artifacts/liblongformer.so.1: $(CAPI_INPUTS) | setup
	tools/capi.sh
	@touch $@

capi: native artifacts/liblongformer.so.1 ## the C library with its header, CMake and pkg-config files, in artifacts/

PREFIX ?= /usr/local
install: capi ## install the C library below PREFIX (default /usr/local)
	@tools/capi.sh "$(DESTDIR)$(PREFIX)"

# The command line as users call it: a launcher at the root, so that ./longformer works from a clone.
longformer: tools/launcher.sh
	@install -m 755 $< $@

# Debian's Python with longformer_interop from this tree in it.
.venv/ready: pyproject.toml setup.py tools/venv.sh | setup
	@tools/venv.sh

wheel: build ## the Python wheel, with the native libraries inside, into artifacts/
	.venv/bin/python -m pip --quiet --disable-pip-version-check wheel --no-index --no-build-isolation --no-deps --wheel-dir artifacts .

demo: build ## the main job: a long document through a base-size Longformer, then the parity summary
	@tools/demo.sh

test: build ## every test; the last line is "N passed, N failed"
	@tools/test.sh

parity: build ## the goldens of the reference through ./longformer parity
	./longformer parity --attention all parity-tests/goldens

gpu-kit: setup ## what benchmarks/gpu.sh needs on a machine with a GPU and without .NET, in build/gpu-kit
	@tools/gpu-kit.sh

check-torch2: ## build and test native/ against PyTorch 2.x in a Debian sid root folder: make check-torch2 SID=<dir>
	@tools/check-torch2.sh "$(SID)"

check-hf: ## load what convert and Save write in HF's transformers, and compare random models, generation, texts: make check-hf SID=<root folder>
	@tools/check-hf.sh "$(SID)"

check-accelerate: ## test longformer_interop.torch against HF in a Debian sid root folder: make check-accelerate SID=<dir>
	@tools/check-accelerate.sh "$(SID)"

format: ## format the C++ and C# sources
	clang-format -i $$(git ls-files 'native/*.cpp' 'native/*.h')
	dotnet format LongformerInterop.sln

clean: ## remove what the build made
	rm -rf $(BUILD) artifacts longformer .venv

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
