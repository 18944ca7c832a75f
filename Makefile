# make demo   set up, build what it needs, and run the main job on a long document
# make test   set up, build, and run every test of every language
# LIBTORCH=<dir> chooses another libtorch (for example the torch folder of a Python with PyTorch in it) when a program runs; nothing is
# built against one.
SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
# Downloads and compilers side by side.
MAKEFLAGS += --jobs=3

BUILD  := build
NATIVE := $(BUILD)/native
# In a clone a root folder of another release is made once (tools/root-folder.sh) and kept here.
ROOTS  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/longformer-interop/roots
SID    ?= $(ROOTS)/sid
TRIXIE ?= $(ROOTS)/trixie
export SID TRIXIE
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

.PHONY: default-model build setup setup-all libtorch ops native cli managed capi install wheel pack demo test parity gpu-kit \
  check-packages check-newest check-windows check-accelerate check-hf format clean help

build: native managed capi longformer .venv/ready libtorch ## build everything

setup: # what the command line needs
	@tools/setup.sh

setup-all: setup # what the tests of every language need besides
	@tools/setup.sh all

libtorch: ## restore libtorch from NuGet and link it as artifacts/libtorch
	@tools/libtorch.sh >/dev/null

ops: | setup ## build the native library alone
	@[ -f $(NATIVE)/build.ninja ] || cmake -S native -B $(NATIVE) -G Ninja -DLONGFORMER_BUILD_TESTS=OFF >/dev/null
	@ninja -C $(NATIVE) --quiet longformer_ops

native: libtorch ops | setup-all ## build the native library and its tests
	@cmake -S native -B $(NATIVE) -G Ninja -DLONGFORMER_BUILD_TESTS=ON >/dev/null
	@ninja -C $(NATIVE) --quiet

cli: longformer ## build the command line alone
	@dotnet build src/Cli -v quiet --nologo

managed: cli ## build the C# solution
	@dotnet build LongformerInterop.sln -c Release -v quiet --nologo

# The C library is compiled ahead of time, which takes a minute: only when one of its sources is newer.
CAPI_INPUTS := $(shell find src bindings/c/include bindings/c/cmake -type f -not -path 'src/Cli/*') Directory.Build.props Directory.Packages.props tools/capi.sh
artifacts/liblongformer.so.1: $(CAPI_INPUTS) | managed
	tools/capi.sh
	@touch $@

capi: ops artifacts/liblongformer.so.1 ## the C library with its header, CMake and pkg-config files, in artifacts/

PREFIX ?= /usr/local
install: capi ## install the C library below PREFIX (default /usr/local)
	@tools/capi.sh "$(DESTDIR)$(PREFIX)"

# The command line as users call it: a launcher at the root, so that ./longformer works from a clone.
longformer: tools/launcher.sh
	@install -m 755 $< $@

# Debian's Python with longformer_interop from this tree in it.
.venv/ready: pyproject.toml setup.py tools/venv.sh | setup-all
	@tools/venv.sh

wheel: capi managed .venv/ready ## the Python wheel, with the native libraries inside, into artifacts/
	@tools/pack.sh wheel

pack: capi managed .venv/ready libtorch ## NuGet packages, Python wheel and C tarball into artifacts/, each installed somewhere clean and tried
	@tools/pack.sh
	@tools/check-packages.sh

demo: ops cli libtorch ## the main job: a long document through a base-size Longformer, then the parity summary
	@tools/demo.sh

test: build ## every test; the last line is "N passed, N failed"
	@tools/test.sh

parity: ops cli libtorch ## the goldens of the reference through ./longformer parity
	./longformer parity --attention all parity-tests/goldens

gpu-kit: ops ## what benchmarks/gpu.sh needs on a machine with a GPU and without .NET, in build/gpu-kit
	@tools/gpu-kit.sh

check-newest: build ## operators, goldens, opcheck, accelerate on the newest PyTorch, in a Debian sid root folder (SID=<dir>)
	@tools/check-newest.sh "$(SID)"

check-windows: libtorch | setup-all ## unit tests and goldens as Windows programs under Wine, in a Debian root folder (TRIXIE=<dir>)
	@tools/check-windows.sh "$(TRIXIE)"

check-accelerate: build ## longformer_interop.torch against HF alone, in a Debian sid root folder (SID=<dir>)
	@tools/check-accelerate.sh "$(SID)"

check-hf: build ## load what convert and Save write in HF's transformers, and compare random models, generation, texts (SID=<dir>)
	@tools/check-hf.sh "$(SID)"

default-model: ops cli libtorch .venv/ready ## make models/default again from nothing, in build/default-model: hours; stop and repeat as you like
	.venv/bin/python tools/default_model/make.py $(DEFAULT_MODEL)

format: ## format the C++ and C# sources
	clang-format -i $$(git ls-files 'native/*.cpp' 'native/*.h' 'native/*.cuh' 'native/*.cu')
	dotnet format LongformerInterop.sln

clean: ## remove what the build made
	rm -rf $(BUILD) artifacts longformer .venv

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18
