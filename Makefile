# Every way in. `make` alone lists the targets. Variables, which the command line sets and the environment does not (some systems have a NAME
# or DATA of their own): NAME (of the run), DATA (fractals, cifar10 or a packed file), PRESET (of the model),
# ARGS (more flags for the program), BUILD (folder of the build), CUDA=1 (with the CUDA backend), ARCH (compute capabilities of its GPUs),
# RANKS (processes that train together), SANITIZE (address,undefined or thread: sanitizers of the programs), HOST (folder of the objects that
# builds with and without a backend share).
comma := ,
empty :=
space := $(empty) $(empty)
BUILD = build$(if $(SANITIZE),/$(subst $(comma),-,$(SANITIZE)))$(if $(CUDA),/cuda)
HOST = $(BUILD:%/cuda=%)
CXX ?= g++
DATA := fractals
NAME := $(if $(wildcard $(DATA)),$(basename $(notdir $(DATA))),$(DATA))
ARGS :=
RANKS := 1
SANITIZE :=
CUDA :=
EMULATED :=
.DEFAULT_GOAL := help
ifeq ($(MAKELEVEL),0)  # a make that a rule below calls shares its caller's jobs
MAKEFLAGS += --no-builtin-rules --jobs=$(shell nproc)
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

# ---- what must be installed -------------------------------------------------------------------------------------------------------

# BUNDLE=folder: headers and libraries that `make gpu-bundle` packed, for a machine on which nothing can be installed. The emulated device is
# not built there, and no warning is an error.
BUNDLE_FLAGS := $(if $(BUNDLE),-isystem $(BUNDLE)/include)
PACKAGES := g++ make curl libdnnl-dev libfmt-dev libcli11-dev nlohmann-json3-dev libstb-dev zlib1g-dev libwebp-dev libzip-dev \
            libopenblas-dev liblapacke-dev doctest-dev libboost-context-dev  # the last two: for tests only
RANK_PACKAGES := libopenmpi-dev openmpi-bin  # optional: training on several ranks
BOOST_HEADER := boost/context/detail/fcontext.hpp
HEADERS := dnnl.h fmt/format.h CLI/CLI.hpp nlohmann/json.hpp stb/stb_image.h zlib.h webp/encode.h webp/mux.h webp/demux.h zip.h lapacke.h cblas.h doctest/doctest.h $(if $(BUNDLE),,$(BOOST_HEADER))
CAN_COMPILE = printf '\#include <%s>\n' $(HEADERS) | $(CXX) -std=c++20 -fopenmp $(BUNDLE_FLAGS) -fsyntax-only -x c++ - 2>/dev/null
# Vectors of float are shuffled by a built-in that g++ 11 lacks.
IS_NEW_ENOUGH = echo 'typedef float pair __attribute__((vector_size(8))); pair swapped(pair x) { return __builtin_shufflevector(x, x, 1, 0); }' | \
    $(CXX) -std=c++20 -fsyntax-only -x c++ - 2>/dev/null

deps: ## install what building needs (Debian packages), if anything is missing
ifneq ($(BUNDLE),)
	@$(CAN_COMPILE) || { echo "make deps: $(BUNDLE) lacks one of the headers $(HEADERS)" >&2; exit 1; }
else
	@$(CAN_COMPILE) || { \
	    if [ "$$(id -u)" = 0 ]; then sudo=; \
	    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null || [ -t 0 ] && command -v sudo >/dev/null; then sudo=sudo; \
	    else sudo=none; fi; \
	    if [ "$$sudo" = none ] || ! command -v apt-get >/dev/null; then \
	        echo "make deps: cannot install packages here (no root, sudo or apt-get). Please install:" >&2; \
	        echo "  $(PACKAGES)" >&2; exit 1; fi; \
	    $$sudo apt-get update -q && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PACKAGES) $(RANK_PACKAGES) && \
	    { $(CAN_COMPILE) || { echo "make deps: still missing one of the headers $(HEADERS)" >&2; exit 1; }; }; }
	@command -v mpicc >/dev/null || { \
	    if [ "$$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi; \
	    { $$sudo apt-get update -q && \
	      $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(RANK_PACKAGES); } >/dev/null 2>&1 || \
	    echo "make deps: no Open MPI here; everything but training on several ranks works without ($(RANK_PACKAGES))"; }
endif
	@$(IS_NEW_ENOUGH) || { echo "make deps: $(CXX) is too old, expected g++ 12 or later (or CXX=another)" >&2; exit 1; }
	@mkdir -p $(HOST) && touch $(HOST)/deps.stamp

$(HOST)/deps.stamp:
	@$(MAKE) --no-print-directory deps

# ---- compiling --------------------------------------------------------------------------------------------------------------------

# CUDA=1: nvcc compiles the .cu files for each architecture of ARCH, by default that of the GPU found, else 90. EMULATED=1, set by the target
# `emulated`: the C++ compiler compiles them against the headers of tests/emulator, which emulate the device. Each build has its own folder.
CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda /usr/lib/cuda) /usr)
NVCC ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) nvcc)
ifneq ($(CUDA),)
ARCH := $(or $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed -nE 's/^([0-9]+)\.([0-9])$$/\1\2/p' | sort -u),90)
endif

WARNINGS := -Wall -Wextra -Wshadow $(if $(BUNDLE),,-Werror) -Wno-stringop-overflow -Wno-restrict  # the last two: false alarms from fmt and std::string under g++ 12
# Without AVX-512 g++ 12 leaves a loop with a choice between two values scalar unless floating-point exceptions may be ignored.
VECTORS := $(if $(shell echo | $(CXX) -march=native -dM -E - | grep __AVX512F__),-mprefer-vector-width=512,-fno-trapping-math)
CXXFLAGS := -std=c++20 -O3 -g1 -march=native $(VECTORS) -fno-math-errno -fopenmp $(WARNINGS) -I.
LDLIBS := -ldnnl -lfmt -lz -lzip -lwebpmux -lwebp
ifneq ($(SANITIZE),)
# What sanitizers insert makes the compiler take std::optional and std::regex for uninitialised.
CXXFLAGS += -O1 -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-maybe-uninitialized
TEST_ENVIRONMENT := $(if $(findstring thread,$(SANITIZE)),TSAN_OPTIONS=suppressions=tests/thread_sanitizer.suppressions)
endif

ifneq ($(BUNDLE),)
CXXFLAGS += $(BUNDLE_FLAGS)
# The old kind of path is searched for the libraries' own libraries, too.
LDLIBS := -L$(BUNDLE)/lib -Wl,-rpath,$(abspath $(BUNDLE)/lib) -Wl,--disable-new-dtags -Wl,-rpath-link,$(BUNDLE)/lib $(LDLIBS)
endif

# Flags of objects that know of backends.
BACKEND_FLAGS := $(if $(CUDA)$(EMULATED),-DFRACTAL_CUDA)
ifneq ($(EMULATED),)
BACKEND_FLAGS += -Itests/emulator/include -Wno-unknown-pragmas
LDLIBS += -lboost_context
else ifneq ($(CUDA),)
BACKEND_FLAGS += -isystem $(CUDA_HOME)/include
NVCCFLAGS := -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr $(if $(BUNDLE),,-Werror all-warnings) -Xptxas -v -Xcompiler -Wall$(comma)-Wextra -I. \
             --threads $(words $(ARCH)) $(foreach arch,$(ARCH),-gencode arch=compute_$(arch)$(comma)code=sm_$(arch))
LDLIBS += -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 -lcublasLt -lcudart
ifneq ($(wildcard $(CUDA_HOME)/include/nccl.h /usr/include/nccl.h),)
NCCL := -DFRACTAL_NCCL
LDLIBS += -Wl,--as-needed -lnccl
endif
ifneq ($(wildcard $(CUDA_HOME)/include/nvtx3/nvToolsExt.h),)
BACKEND_FLAGS += -DFRACTAL_NVTX
endif
endif

# Ranks (mpirun -np N build/train ...) need Open MPI, which may be missing: such a build refuses to run as several. Asked for where it
# is used, behind what `deps` may just have installed.
MPI_COMPILE = $(shell mpicc --showme:compile 2>/dev/null)
MPI_LINK = -Wl$(comma)--as-needed $(shell mpicc --showme:link 2>/dev/null)

sources = $(sort $(shell find $(1) -name '$(2)'))
# Objects of all other sources are the same in every build and lie in HOST: a test holds who includes these headers.
OF_BUILDS := device/(launch|built_backends)\.h"|ops/(tape_launch|gradients)\.h"|tests/(emulator/[a-z_]+|thread_orders|unit/models/device_model|unit/kernels/(kernel_check|bf16_check|linear/linear_layer))\.h"
BACKEND_SOURCES := $(sort runtime/device/device_cuda.cpp $(wildcard tests/emulator/*.cpp) \
    $(shell grep -lE '$(OF_BUILDS)|FRACTAL_(CUDA|NVTX|NCCL)|"emulated/' $(call sources,runtime models data train sample tests,*.cpp)))
object = $(foreach source,$(1),$(if $(filter $(BACKEND_SOURCES),$(source)),$(BUILD),$(HOST))/objects/$(basename $(source)).o)
LIBRARY := $(call object,$(filter-out runtime/device/device_cuda.cpp,$(call sources,kernels runtime models data,*.cpp)))
ifneq ($(CUDA)$(EMULATED),)
KERNELS := $(patsubst %.cu,$(BUILD)/objects/%.cu.o,$(call sources,kernels runtime,*.cu))
LIBRARY += $(KERNELS) $(call object,runtime/device/device_cuda.cpp)
endif
ifneq ($(EMULATED),)
EMULATOR := $(call object,$(filter-out %_test.cpp,$(wildcard tests/emulator/*.cpp)))
LIBRARY += $(EMULATOR)
$(EMULATOR): CXXFLAGS += -fno-sanitize=thread  # tests/emulator/fiber.h says why
endif
ifneq ($(findstring thread,$(SANITIZE)),)
LIBRARY += $(call object,tests/thread_sanitizer_openmp.cpp)
endif
TRAIN := $(call object,$(call sources,train,*.cpp))
SAMPLE := $(call object,$(wildcard sample/*.cpp))
DATA_JOBS := $(call object,$(wildcard sample/data/*.cpp))
TEST_SOURCES := tests/main.cpp tests/test_devices.cpp $(call sources,tests/unit tests/gradient tests/golden tests/end_to_end,*.cpp)
ifneq ($(EMULATED),)
# Without the tests in which no device is ever named: they are the CPU build's.
TEST_SOURCES += $(wildcard tests/emulator/*_test.cpp)
TEST_SOURCES := $(filter-out %_test.cpp,$(TEST_SOURCES)) \
                $(shell grep -liE 'DEVICE_TEST|GRADIENT_TEST|cuda' $(filter %_test.cpp,$(TEST_SOURCES)))
endif
# Tests are compiled for short build times: with optimisation only where they compute references.
$(call object,$(TEST_SOURCES)): CXXFLAGS += $(if $(SANITIZE),,-O0)
$(call object,$(filter tests/unit/kernels/% tests/unit/models/% tests/gradient/% tests/golden/%,$(TEST_SOURCES))): CXXFLAGS += -O1
TESTS := $(call object,$(TEST_SOURCES) tests/bench/latency.cpp tests/bench/costs.cpp) $(filter-out %/main.o,$(TRAIN) $(SAMPLE))
ifneq ($(CUDA)$(EMULATED),)
TESTS += $(patsubst %.cu,$(BUILD)/objects/%.cu.o,$(call sources,tests/unit,*.cu))
LADDER := $(patsubst %.cu,$(BUILD)/objects/%.cu.o,$(wildcard tests/bench/ladder/*.cu))
TESTS += $(LADDER)
endif
BENCH := $(call object,$(wildcard tests/bench/*.cpp))
$(filter-out %/layernorm_steps.o,$(BENCH)): CXXFLAGS += -O1

# Objects depend on -march=native and the flags: another machine or other flags compile them anew. Objects of nvcc alone depend on ARCH.
stamp = $(if $(filter $(2),$(shell cat $(1).stamp 2>/dev/null)),,$(shell mkdir -p $(dir $(1)) && echo $(2) > $(1).stamp))
checksum = $(firstword $(shell { $(1); } | cksum))
MACHINE := $(CXX) -march=native -E -v -x c++ /dev/null 2>&1 | grep cc1plus
$(call stamp,$(HOST)/host,$(call checksum,$(MACHINE); echo '$(CXXFLAGS)'))
$(call stamp,$(BUILD)/machine,$(call checksum,$(MACHINE); echo '$(CXXFLAGS) $(BACKEND_FLAGS)$(NCCL:%= %)'))
$(call stamp,$(BUILD)/nvcc,$(call checksum,echo '$(NVCCFLAGS)'))

# Command lines, files and reports: the time of these sources is their headers'. -fexpensive-optimizations fuses products and sums as -O3
# does, so that no result depends on the level. At -O1 g++ 12 takes std::optional for uninitialised.
$(call object,$(call sources,runtime/base runtime/files runtime/checkpoint runtime/ranks train sample,*.cpp)): CXXFLAGS += -O1 -fexpensive-optimizations -Wno-maybe-uninitialized

build: $(BUILD)/train $(BUILD)/sample $(BUILD)/data ## build/train, build/sample and build/data

define compile
	@mkdir -p $(@D)
	@echo "compiling $<"
	@$(CXX) $(OWN_FLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@
endef
ALL_SOURCES := $(call sources,kernels runtime models data train sample tests,*.cpp)
$(call object,$(filter-out $(BACKEND_SOURCES),$(ALL_SOURCES))): $(HOST)/objects/%.o: %.cpp $(HOST)/host.stamp $(HOST)/deps.stamp
	$(compile)
$(call object,$(BACKEND_SOURCES)): OWN_FLAGS += $(BACKEND_FLAGS)
$(call object,$(BACKEND_SOURCES)): $(BUILD)/objects/%.o: %.cpp $(BUILD)/machine.stamp $(HOST)/deps.stamp
	$(compile)

ifneq ($(EMULATED),)
$(BUILD)/objects/%.cu.o: %.cu $(BUILD)/machine.stamp $(HOST)/deps.stamp
	@mkdir -p $(@D)
	@echo "compiling $< for the emulator"
	@$(CXX) $(BACKEND_FLAGS) $(CXXFLAGS) -x c++ -MMD -MP -c $< -o $@
else
# The report of ptxas on registers and spills is kept beside the object.
$(BUILD)/objects/%.cu.o: %.cu $(BUILD)/nvcc.stamp $(HOST)/deps.stamp
	@mkdir -p $(@D)
	@echo "compiling $< for sm_$(subst $(space),$(comma) sm_,$(strip $(ARCH)))"
	@$(NVCC) $(NVCCFLAGS) -MMD -MP -c $< -o $@ > $(@:.o=.ptxas) 2>&1 || { cat $(@:.o=.ptxas) >&2; exit 1; }
endif

# Files that programs carry inside; $(1): folder of the objects.
embedding = $(1)/objects/data/text/embedded_files.o: data/text/clip_merges.txt data/text/clip_text_tables.txt
$(call embedding,$(HOST))

$(HOST)/objects/runtime/ranks/comm_mpi.o: $(HOST)/mpi.stamp
$(HOST)/objects/runtime/ranks/comm_mpi.o: OWN_FLAGS = $(if $(MPI_COMPILE),-DFRACTAL_MPI $(MPI_COMPILE:-I%=-isystem %))
$(BUILD)/objects/runtime/ranks/comm_nccl.o: OWN_FLAGS += $(NCCL)
$(HOST)/mpi.stamp: force | $(HOST)/deps.stamp
	@echo '$(MPI_COMPILE)' | cmp -s - $@ || echo '$(MPI_COMPILE)' > $@

$(BUILD)/libfractal.a: $(LIBRARY)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/train: $(TRAIN) $(BUILD)/libfractal.a
$(BUILD)/sample: $(SAMPLE) $(BUILD)/libfractal.a
# Jobs of data/ and one that needs a model, which data/ knows nothing of: the program stands above both.
$(BUILD)/data: $(DATA_JOBS) $(BUILD)/libfractal.a
$(BUILD)/tests: $(TESTS) $(BUILD)/libfractal.a
$(BUILD)/tests: LDLIBS += -lwebpdemux
$(BUILD)/bench: $(BENCH) $(LADDER) $(BUILD)/libfractal.a
$(BUILD)/train $(BUILD)/sample $(BUILD)/data $(BUILD)/tests $(BUILD)/bench:
	@echo "linking $@"
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) $(MPI_LINK) -o $@

-include $(patsubst %.o,%.d,$(LIBRARY) $(TRAIN) $(SAMPLE) $(TESTS) $(BENCH) $(DATA_JOBS))

# ---- running ----------------------------------------------------------------------------------------------------------------------

# Training and validation files of a data set by name; of a packed file of your own, what `build/data pack --holdout` set apart lies beside it.
DATASETS := datasets
ifneq ($(word 2,$(DATA)),)
$(error DATA='$(DATA)': make takes no file names with spaces; rename the file, or call build/train)
endif
GIVEN_FILE := $(if $(filter fractals cifar10,$(DATA)),,$(wildcard $(DATA)))
ifneq ($(and $(GIVEN_FILE),$(wildcard $(DATA)/.)),)
$(error DATA=$(DATA) is a folder. Pack its pictures first: make build && build/data pack --images $(DATA) --size 32 --out $(notdir $(DATA:%/=%)).bin --holdout 0.05)
endif
ifneq ($(GIVEN_FILE),)
TRAINING_FILE := $(DATA)
VALIDATION_FILE := $(wildcard $(basename $(DATA)).holdout$(suffix $(DATA)))
else
TRAINING_FILE := $(DATASETS)/$(DATA).bin
VALIDATION_FILE := $(if $(filter fractals cifar10,$(DATA)),$(DATASETS)/$(DATA).holdout.bin)
$(DATASETS)/%.bin:
	@echo "make: DATA=$*: no such file, and no data set of that name (fractals, cifar10)" >&2; exit 1
endif

LAUNCHER := $(if $(filter-out 1,$(RANKS)),mpirun --quiet -np $(RANKS))

# bf16 products train to the same quality (tests/bench/README.md). A CPU that has none, or no faster ones, computes in fp32 and says so.
PRECISION := bf16

# The built-in fractals are small and endless, and learned within minutes; other data take the preset's recipe and length.
ifeq ($(DATA),fractals)
PRESET := fractalar_16
RECIPE := --batch 8 --steps 6000 --lr 3e-3 --no-flip --evaluate-every 1500 --validation-images 256 --log-every 50 \
          --sheet-cfg 3 --sheet-temperature 1.6 --sheet-rows 3
else
PRESET := fractalar_32
endif

train: build $(TRAINING_FILE) $(VALIDATION_FILE) ## train a model: on fractals drawn here, on DATA=cifar10, or on DATA=packed file
	$(LAUNCHER) $(BUILD)/train fractal --preset $(PRESET) --data $(TRAINING_FILE) --precision $(PRECISION) \
	    $(if $(VALIDATION_FILE),--validation $(VALIDATION_FILE)) --out runs/$(NAME) $(RECIPE) $(ARGS)

# The sheets that the recipe above draws while training; ARGS wants another.
SHEET = $(if $(filter fractals,$(NAME)),--cfg 3 --temperature 1.6 --count 30)
sample: build ## draw a sheet of samples from runs/NAME
	$(BUILD)/sample fractal --checkpoint runs/$(NAME)/last.safetensors --out runs/$(NAME)/sheet.png $(or $(ARGS),$(SHEET))

# Feature networks learn from the data; runs of different data have different ones.
FEATURES := runs/features-$(basename $(notdir $(DATA)))
FEATURES_RECIPE := $(if $(filter fractals,$(DATA)),--preset features_16 --rotations --steps 400,--preset features_32)
TRAIN_FEATURES = $(BUILD)/train features $(FEATURES_RECIPE) --data $(TRAINING_FILE) $(if $(VALIDATION_FILE),--validation $(VALIDATION_FILE))
quality: build $(TRAINING_FILE) $(VALIDATION_FILE) ## measure 1,000 images that runs/NAME draws against the validation images of DATA
	$(TRAIN_FEATURES) --out $(FEATURES)
	$(BUILD)/sample evaluate quality --checkpoint runs/$(NAME)/last.safetensors --features $(FEATURES)/last.safetensors \
	    --reference $(or $(VALIDATION_FILE),$(TRAINING_FILE)) $(or $(ARGS),$(filter-out --count 30,$(SHEET)))

RUN := runs/$(NAME)
plot: build ## draw the curves of runs/NAME, or of RUN='FOLDER FOLDER ...' over each other
	$(BUILD)/sample plot --run $(RUN) $(if $(word 2,$(RUN)),--out runs/curves.png) $(ARGS)

$(DATASETS)/fractals.bin: | build
	@mkdir -p $(DATASETS)
	$(BUILD)/data fractals --out $@ --size 16 --count 40000
$(DATASETS)/fractals.holdout.bin: | build
	@mkdir -p $(DATASETS)
	$(BUILD)/data fractals --out $@ --size 16 --first 1000000 --count 1000

# Two levels against three, AR and MAR (train/levels): the same updates on the same pictures, then one table of costs and bits/dim.
LEVELS := ar-2 ar-3 mar-2 mar-3
LEVELS_RECIPE := --batch 8 --steps 1500 --lr 3e-3 --no-flip --evaluate-every 1500 --log-every 50
levels: build $(DATASETS)/fractals.bin $(DATASETS)/fractals.holdout.bin ## compare two levels with three, AR and MAR, at one small budget
	@for run in $(LEVELS); do $(MAKE) --no-print-directory runs/levels/$$run/nll.json || exit 1; done
	@$(BUILD)/sample levels $(LEVELS:%=runs/levels/%)

# One run after the other, since their times are compared. A run that was interrupted continues.
runs/levels/%/nll.json: train/levels/%.json $(DATASETS)/fractals.bin $(DATASETS)/fractals.holdout.bin | build
	$(BUILD)/train fractal --config $< --data $(DATASETS)/fractals.bin --out runs/levels/$* $(LEVELS_RECIPE) $(ARGS)
	@$(BUILD)/sample evaluate nll --checkpoint runs/levels/$*/last.safetensors --data $(DATASETS)/fractals.holdout.bin \
	    $(if $(findstring mar,$*),--passes 8) --json > $@.partial
	@mv $@.partial $@

# Masked-token images: a tokenizer, the tokens of the data, a transformer over them, a sheet. The recipes below are for the built-in data.
NAT := runs/nat$(if $(filter-out fractals,$(NAME)),-$(NAME))
ifeq ($(DATA),fractals)
TOKENIZER_RECIPE := --preset vqgan_mini_f2 --steps 3000 --no-flip --log-every 50
NAT_RECIPE := --preset nat_micro --batch 64 --steps 1600 --lr 3e-3 --no-flip --log-every 50
else
TOKENIZER_RECIPE := --preset vqgan_mini_f4 --steps 4000
NAT_RECIPE := --preset nat_mini --steps 8000
endif
NAT_SHEET := --steps 8 --cfg-max 3 --count 40
NAT_TOKENS := $(NAT)/train.tokens $(if $(VALIDATION_FILE),$(NAT)/holdout.tokens)
TRAIN_NAT_TOKENIZER = $(BUILD)/train tokenizer --data $(TRAINING_FILE) $(if $(VALIDATION_FILE),--validation $(VALIDATION_FILE)) \
    --out $(NAT)/tokenizer $(TOKENIZER_RECIPE)
# What was interrupted continues; what is finished is not done again.
nat: build $(TRAINING_FILE) $(VALIDATION_FILE) ## masked-token images: train a tokenizer and a transformer on DATA, draw a sheet
	$(TRAIN_NAT_TOKENIZER)
	@$(MAKE) --no-print-directory $(NAT_TOKENS)
	$(BUILD)/train nat --tokens $(NAT)/train.tokens $(if $(VALIDATION_FILE),--validation $(NAT)/holdout.tokens) --tokenizer $(NAT)/tokenizer/last.safetensors \
	    --out $(NAT)/transformer \
	    $(NAT_RECIPE) $(ARGS)
	$(BUILD)/sample nat --checkpoint $(NAT)/transformer/last.safetensors --tokenizer $(NAT)/tokenizer/last.safetensors $(NAT_SHEET) --out $(NAT)/sheet.png
$(NAT)/train.tokens: TOKENIZED = $(TRAINING_FILE)
$(NAT)/holdout.tokens: TOKENIZED = $(VALIDATION_FILE)
$(NAT)/%.tokens: $(NAT)/tokenizer/last.safetensors
	$(BUILD)/data tokens --tokenizer $< --data $(TOKENIZED) --out $@

# The strategies of `make nat`'s model, by the quality of its pictures. The table's second features, of another seed, are not optimised.
AUTONAT := runs/autonat$(if $(filter-out fractals,$(NAME)),-$(NAME))
ifeq ($(DATA),fractals)
AUTONAT_REFERENCE := $(DATASETS)/fractals.reference.bin
AUTONAT_RECIPE := --steps 4 --start baseline --method cma-es --balanced --images 500 --updates 12 --rounds 2 --alpha 6,12,24 --beta 1.5,3,6 --train-steps 300
else
AUTONAT_REFERENCE := $(or $(VALIDATION_FILE),$(TRAINING_FILE))
AUTONAT_RECIPE := --steps 8 --start baseline --method cma-es --balanced --train-steps 2000
endif
autonat: nat $(AUTONAT_REFERENCE) ## the strategies that suit make nat's model best, of training and generation: a table and a sheet
	$(TRAIN_FEATURES) --out $(FEATURES)
	$(TRAIN_FEATURES) --seed 1 --out $(FEATURES)-second
	$(LAUNCHER) $(BUILD)/train strategy --search both --checkpoint $(NAT)/transformer/last.safetensors --tokenizer $(NAT)/tokenizer/last.safetensors \
	    --tokens $(NAT)/train.tokens --features $(FEATURES)/last.safetensors --second-features $(FEATURES)-second/last.safetensors \
	    --reference $(AUTONAT_REFERENCE) --out $(AUTONAT) $(AUTONAT_RECIPE)
	$(BUILD)/sample nat --checkpoint $(AUTONAT)/model.safetensors --tokenizer $(NAT)/tokenizer/last.safetensors --strategy $(AUTONAT)/best.json --count 40 --out $(AUTONAT)/sheet.png
$(DATASETS)/fractals.reference.bin: | build
	@mkdir -p $(DATASETS)
	$(BUILD)/data fractals --out $@ --size 16 --first 2000000 --count 5000

# Both families on the built-in data (train/families): models of 1.1 million parameters, each trained for 20 TFLOP by formula, over pixels
# or over the codes of make nat's tokenizer. Steps are 20e12 / batch / the operations of an image in training (build/sample cost).
FAMILIES := pixels-ar pixels-mar codes-ar codes-mar masked
FAMILIES_QUALITY = --features runs/features-fractals/last.safetensors --reference $(DATASETS)/fractals.reference.bin --count 500 --repeats 3 --seed 10 --json
FAMILY_RECIPE := --lr 3e-3 --no-flip --log-every 50
families: build $(DATASETS)/fractals.bin $(DATASETS)/fractals.holdout.bin $(DATASETS)/fractals.reference.bin ## compare fractal models of pixels, of codes, and the masked-token transformer at one budget
	$(TRAIN_NAT_TOKENIZER)
	@$(MAKE) --no-print-directory runs/nat/train.tokens
	$(TRAIN_FEATURES) --out runs/features-fractals
	@for run in $(FAMILIES); do $(MAKE) --no-print-directory runs/families/$$run/quality.json || exit 1; done
	@$(BUILD)/sample families $(FAMILIES:%=runs/families/%) --sheet runs/families/sheet.png
runs/families/%/quality.json: $(DATASETS)/fractals.bin runs/nat/train.tokens | build
	$(BUILD)/train $(TRAIN_FAMILY) --out runs/families/$* $(FAMILY_RECIPE)
	$(BUILD)/sample $(firstword $(TRAIN_FAMILY)) --checkpoint runs/families/$*/last.safetensors $(DRAW_FAMILY) --count 10 --out runs/families/$*/sheet.png \
	    --each runs/families/$*/pictures --overwrite
	@$(BUILD)/sample evaluate quality --checkpoint runs/families/$*/last.safetensors $(DRAW_FAMILY) $(FAMILIES_QUALITY) > $@.partial
	@mv $@.partial $@
FAMILY_PIXELS = fractal --config train/families/$*.json --data $(DATASETS)/fractals.bin --batch 8
FAMILY_CODES = fractal --config train/families/$*.json --tokens runs/nat/train.tokens --batch 32
runs/families/pixels-ar/quality.json: TRAIN_FAMILY = $(FAMILY_PIXELS) --steps 2934
runs/families/pixels-mar/quality.json: TRAIN_FAMILY = $(FAMILY_PIXELS) --steps 4237
runs/families/codes-ar/quality.json: TRAIN_FAMILY = $(FAMILY_CODES) --steps 3811
runs/families/codes-mar/quality.json: TRAIN_FAMILY = $(FAMILY_CODES) --steps 2990
runs/families/masked/quality.json: TRAIN_FAMILY = nat --preset nat_micro --tokens runs/nat/train.tokens --tokenizer runs/nat/tokenizer/last.safetensors --batch 32 --steps 1362
# The best of a few settings each, by the FD of pictures of other seeds than the table's.
runs/families/pixels-ar/quality.json: DRAW_FAMILY = --cfg 4 --temperature 1.3
runs/families/pixels-mar/quality.json: DRAW_FAMILY = --cfg 3 --temperature 1.6
runs/families/codes-ar/quality.json: DRAW_FAMILY = --tokenizer runs/nat/tokenizer/last.safetensors --cfg 2
runs/families/codes-mar/quality.json: DRAW_FAMILY = --tokenizer runs/nat/tokenizer/last.safetensors --cfg 4
runs/families/masked/quality.json: DRAW_FAMILY = --tokenizer runs/nat/tokenizer/last.safetensors --steps 8 --cfg-max 3

# Text to image: captioned fractals in any palette, a tokenizer, its tokens, a transformer with its text encoder. Captions say left and right,
# so nothing is mirrored. The prompts are of combinations of kind and palette that the training pictures lack.
TEXT := runs/text
TEXT_DATA := $(DATASETS)/captions.bin
TEXT_PICTURES = $(BUILD)/data fractals --size 16 --captions --colours any --combinations
TEXT_TOKENIZER_RECIPE := --preset vqgan_mini_f2 --steps 3000 --no-flip --log-every 50
TEXT_RECIPE := --preset nat_text_mini --mask cosine --batch 32 --steps 3000 --no-flip --log-every 50
text: build $(TEXT_DATA) $(TEXT_DATA:.bin=.holdout.bin) ## pictures from words: train a text encoder and a transformer on captioned fractals, draw prompts
	$(BUILD)/train tokenizer --data $(TEXT_DATA) --validation $(TEXT_DATA:.bin=.holdout.bin) --out $(TEXT)/tokenizer $(TEXT_TOKENIZER_RECIPE)
	@$(MAKE) --no-print-directory $(TEXT)/train.tokens $(TEXT)/holdout.tokens
	$(BUILD)/train nat --tokens $(TEXT)/train.tokens --validation $(TEXT)/holdout.tokens --tokenizer $(TEXT)/tokenizer/last.safetensors \
	    --out $(TEXT)/transformer $(TEXT_RECIPE) $(ARGS)
	$(BUILD)/sample nat --checkpoint $(TEXT)/transformer/last.safetensors --tokenizer $(TEXT)/tokenizer/last.safetensors --prompts train/text/prompts.txt \
	    --steps 8 --cfg-max 3 --out $(TEXT)/sheet.png
$(TEXT)/train.tokens: TOKENIZED = $(TEXT_DATA)
$(TEXT)/holdout.tokens: TOKENIZED = $(TEXT_DATA:.bin=.holdout.bin)
$(TEXT)/%.tokens: $(TEXT)/tokenizer/last.safetensors
	$(BUILD)/data tokens --tokenizer $< --data $(TOKENIZED) --out $@
$(TEXT_DATA): | build
	@mkdir -p $(DATASETS)
	$(TEXT_PICTURES) seen --out $@ --count 20000
$(TEXT_DATA:.bin=.holdout.bin): | build
	@mkdir -p $(DATASETS)
	$(TEXT_PICTURES) seen --out $@ --first 1000000 --count 1000

# Models to start from (data/models: configurations, weights in bf16, a page each): pixel models of 32x32 fractals; a tokenizer of 64x64
# fractals, and over its codes a transformer of classes, one of captions, and a fractal model. Each trains in an hour or less on one core.
MODELS := pixels edits tokenizer classes words codes
DRAW_PIXELS := --temperature 1.7
DRAW_EDITS := --class mandelbrot --cfg 2 --temperature 1.6
DRAW_TOKENS := --tokenizer data/models/tokenizer.safetensors
DRAW_CODES := $(DRAW_TOKENS) --cfg 2 --temperature 1.3
DRAW_MASKED := $(DRAW_TOKENS) --steps 16 --cfg-max 4
demo: build ## draw with the models of data/models: runs/demo
	@mkdir -p runs/demo
	$(BUILD)/sample fractal --checkpoint data/models/pixels.safetensors $(DRAW_PIXELS) --count 30 --out runs/demo/pixels.png
	$(BUILD)/sample edit --checkpoint data/models/edits.safetensors $(DRAW_EDITS) --image data/models/mandelbrot.png --box 10,10,12,12 --out runs/demo/edits.png
	$(BUILD)/sample fractal --checkpoint data/models/codes.safetensors $(DRAW_CODES) --count 30 --out runs/demo/codes.png
	$(BUILD)/sample nat --checkpoint data/models/classes.safetensors $(DRAW_MASKED) --count 30 --out runs/demo/classes.png
	$(BUILD)/sample nat --checkpoint data/models/words.safetensors $(DRAW_MASKED) --prompts train/text/prompts.txt --count 4 --out runs/demo/words.png
models: build ## train the models of data/models anew: hours
	@for model in $(MODELS); do $(MAKE) --no-print-directory runs/models/$$model/last.safetensors && \
	    $(BUILD)/sample convert --checkpoint runs/models/$$model/last.safetensors --precision bf16 --out data/models/$$model.safetensors || exit 1; done
runs/models/%/last.safetensors: data/models/%.json force | build  # what was interrupted continues, what is finished stays
	$(BUILD)/train $(TRAIN_MODEL) --config $< --out runs/models/$* --log-every 50 $(ARGS)
MODEL_DATA = $(DATASETS)/$(1).bin --validation $(DATASETS)/$(1).holdout.bin
MODEL_TOKENS = runs/models/$(1).tokens --validation runs/models/$(1).holdout.tokens --tokenizer $(TOKENIZER_MODEL)
TOKENIZER_MODEL := runs/models/tokenizer/last.safetensors
runs/models/pixels/last.safetensors runs/models/edits/last.safetensors: $(DATASETS)/fractals-32.bin $(DATASETS)/fractals-32.holdout.bin
$(TOKENIZER_MODEL): $(DATASETS)/captions-64.bin $(DATASETS)/captions-64.holdout.bin
runs/models/classes/last.safetensors runs/models/codes/last.safetensors runs/models/words/last.safetensors: runs/models/captions-64.tokens runs/models/captions-64.holdout.tokens
runs/models/pixels/last.safetensors: TRAIN_MODEL = fractal --data $(call MODEL_DATA,fractals-32) --batch 8 --steps 9000 --lr 3e-3 --no-flip
runs/models/edits/last.safetensors: TRAIN_MODEL = fractal --data $(call MODEL_DATA,fractals-32) --batch 8 --steps 5000 --lr 3e-3 --no-flip
$(TOKENIZER_MODEL): TRAIN_MODEL = tokenizer --data $(call MODEL_DATA,captions-64) --batch 8 --steps 5000 --no-flip
runs/models/classes/last.safetensors: TRAIN_MODEL = nat --tokens $(call MODEL_TOKENS,captions-64) --batch 16 --steps 9500 --mask-beta 6,3
runs/models/words/last.safetensors: TRAIN_MODEL = nat --tokens $(call MODEL_TOKENS,captions-64) --batch 16 --steps 6000 --mask cosine --no-flip
runs/models/codes/last.safetensors: TRAIN_MODEL = fractal --tokens $(call MODEL_TOKENS,captions-64) --batch 16 --steps 10000 --lr 3e-3 --no-flip
runs/models/%.tokens: $(DATASETS)/%.bin $(TOKENIZER_MODEL) | build
	$(BUILD)/data tokens --tokenizer $(TOKENIZER_MODEL) --data $< --out $@
MODEL_PICTURES := $(foreach set,fractals-32 captions-64,$(DATASETS)/$(set).bin $(DATASETS)/$(set).holdout.bin)
$(MODEL_PICTURES): | build
	@mkdir -p $(DATASETS)
	$(BUILD)/data fractals --size $(patsubst %.holdout,%,$(lastword $(subst -, ,$(basename $@)))) $(if $(findstring captions,$@),--captions --colours any --combinations seen) \
	    $(if $(findstring holdout,$@),--first 1000000 --count 1000,--count $(if $(findstring 64,$@),20000,40000)) --out $@

CIFAR_URL := https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz
CIFAR_MD5 := c32a1d4ab5d03f1284b67883e8d87530
CIFAR := $(DATASETS)/cifar-10-batches-bin
$(CIFAR): | build
	@mkdir -p $(DATASETS)
	@if [ ! -f $(DATASETS)/cifar-10-binary.tar.gz ]; then \
	    curl -fL --retry 2 --connect-timeout 20 -o $(DATASETS)/cifar-10-binary.tar.gz.partial $(CIFAR_URL) && \
	    mv $(DATASETS)/cifar-10-binary.tar.gz.partial $(DATASETS)/cifar-10-binary.tar.gz || { \
	    rm -f $(DATASETS)/cifar-10-binary.tar.gz.partial; \
	    echo "make train: CIFAR-10 could not be fetched. Fetch $(CIFAR_URL) by hand, put it into $(DATASETS)/ and run this again." >&2; exit 1; }; fi
	@echo "$(CIFAR_MD5)  $(DATASETS)/cifar-10-binary.tar.gz" | md5sum --check --status || { \
	    echo "make train: $(DATASETS)/cifar-10-binary.tar.gz is not the published file (MD5 $(CIFAR_MD5)): remove it and try again" >&2; exit 1; }
	@tar -xzf $(DATASETS)/cifar-10-binary.tar.gz -C $(DATASETS)
$(DATASETS)/cifar10.bin: | $(CIFAR)
	$(BUILD)/data pack --cifar10 $(CIFAR) --split train --out $@
$(DATASETS)/cifar10.holdout.bin: | $(CIFAR)
	$(BUILD)/data pack --cifar10 $(CIFAR) --split test --out $@

# ---- checking ---------------------------------------------------------------------------------------------------------------------

# Tests of this build and the malformed-input corpus: minutes. `test-all` adds the CUDA build, as far as a machine without a GPU can test it.
# ARGS, SANITIZE and a build with CUDA=1 restrict `test` to the tests of this build.
THIS_BUILD_ALONE := $(ARGS)$(SANITIZE)$(CUDA)$(EMULATED)
test: run-tests $(if $(THIS_BUILD_ALONE),,test-corpus) ## run this build's tests and the malformed-input corpus; ARGS='-tc=*golden*' chooses
run-tests: build $(BUILD)/tests $(BUILD)/bench
	@$(TEST_ENVIRONMENT) $(BUILD)/tests -tce='ptxas*,CUDA build*' $(ARGS)
test-all: ## test, and the CUDA build: registers of its kernels, its programs, its tests on an emulated device
	+@$(MAKE) --no-print-directory test
	+@$(MAKE) --no-print-directory test-cuda
	+@$(MAKE) --no-print-directory test-emulated

# For one architecture: registers differ little between them, compiling for three takes three times as long.
CUDA_TEST := $(BUILD)/cuda_sm90
AS_CUDA_TEST = $(MAKE) --no-print-directory CUDA=1 BUILD=$(CUDA_TEST) HOST=$(BUILD)
test-cuda: $(BUILD)/tests ## build for sm_90 with nvcc: kernels keep to their registers without spills, another ARCH compiles kernels alone
ifneq ($(shell command -v $(NVCC)),)
	+@$(AS_CUDA_TEST) ARCH=90 $(CUDA_TEST)/train
	@CUDA_BUILD=$(CUDA_TEST) $(BUILD)/tests -tc='ptxas*,CUDA build*'
	@cp -p $(CUDA_TEST)/nvcc.stamp $(CUDA_TEST)/nvcc.stamp.kept
	@! $(AS_CUDA_TEST) ARCH=80 --dry-run --old-file=$(BUILD)/mpi.stamp $(CUDA_TEST)/train | grep -E 'compiling .*\.cpp' || { echo "make test-cuda: another ARCH compiles host code" >&2; exit 1; }
	@mv $(CUDA_TEST)/nvcc.stamp.kept $(CUDA_TEST)/nvcc.stamp
else
	@echo "make test-cuda: no nvcc here, so no CUDA build"
endif

# The emulated device (tests/emulator): the same programs, whose --device cuda it is, and the tests that name a device, on it alone: `test`
# runs them on the CPU.
AS_EMULATED = $(MAKE) --no-print-directory EMULATED=1 BUILD=$(BUILD)/emulated HOST=$(BUILD)
EMULATED_TESTS = $(BUILD)/emulated/tests
emulated: ## build/emulated/train and so on, whose --device cuda is emulated by the CPU
	+@$(AS_EMULATED) build
test-emulated: ## run the tests of everything that has a --device on the emulated device
	+@TEST_DEVICES=cuda $(AS_EMULATED) test
	+@$(MAKE) --no-print-directory test-cards EMULATED_DEVICES='capability=8.9 $(CUBLASLT_MOODS)' CARD_TESTS='*unit/kernels/linear/*'

# The emulated device as other cards and in the moods of its cuBLASLt (tests/emulator/emulated_device.h): the tests of kernels, operations and
# models in each.
CUBLASLT_MOODS := $(addprefix cublaslt=,refused_epilogues refused_products parts_by_rows approximate_gelu)
EMULATED_DEVICES := $(addprefix capability=,8.0 8.9 10.0) $(CUBLASLT_MOODS)
CARD_TESTS := *tests/unit/*,*tests/gradient/*,*tests/golden/*
test-cards:
	+@$(AS_EMULATED) $(EMULATED_TESTS)
	@for device in $(EMULATED_DEVICES); do \
	    echo "emulated device, $$device"; EMULATED_DEVICE=$$device TEST_DEVICES=cuda $(EMULATED_TESTS) -sf='$(CARD_TESTS)' $(ARGS) || exit 1; done

# Dependence on the order of threads, uninitialised memory, missing barriers: the tests of kernels in other orders and, built in folders of
# their own, everything under the sanitizers.
KERNEL_TEST_FILES := $(wildcard tests/gradient/*_test.cpp $(patsubst %.cu,tests/unit/%_*test.cpp,$(call sources,kernels,*.cu)))
KERNEL_TESTS := -sf='*tests/emulator/*$(subst $(space),,$(KERNEL_TEST_FILES:%=$(comma)*%))'
SANITIZERS := address,undefined thread
test-long: ## test-all, 50 killed runs, the emulated tests on other cards, the kernels' in other orders and everything under sanitizers
	@$(MAKE) --no-print-directory test-all
	@KILLS=50 $(BUILD)/tests -tc='*killed*'
	@$(MAKE) --no-print-directory test-signatures
	@$(MAKE) --no-print-directory test-cards
	@$(MAKE) --no-print-directory test-orders
	@for each in $(SANITIZERS); do \
	    $(MAKE) --no-print-directory test test-sanitized SANITIZE=$$each BUILD=$(BUILD)/$$(echo $$each | tr , -) || exit 1; done
test-signatures: # where there is a toolkit
	@test ! -f $(CUDA_HOME)/include/cuda_runtime.h || \
	    $(CXX) -std=c++20 -fsyntax-only -isystem $(CUDA_HOME)/include -I. tests/emulator/signatures_test.cpp
test-orders:
	+@$(AS_EMULATED) $(EMULATED_TESTS)
	@for order in reversed shuffled:1 shuffled:2; do \
	    echo "threads $$order"; EMULATED_DEVICE=order=$$order $(EMULATED_TESTS) $(KERNEL_TESTS) $(ARGS) || exit 1; done
test-sanitized:
	+@$(AS_EMULATED) $(EMULATED_TESTS)
	@$(TEST_ENVIRONMENT) $(EMULATED_TESTS) $(KERNEL_TESTS) $(ARGS)

# Malformed input of every parser (tests/fuzz): the files of the corpus, replayed under sanitizers, and their mutations by libFuzzer. Only the
# parsers are compiled for that, without OpenMP: clang often lacks its library.
PARSERS := $(filter-out entry replay,$(basename $(notdir $(wildcard tests/fuzz/*.cpp))))
PARSER := $(PARSERS)
REPLAY := $(BUILD)/replay
FUZZ := $(BUILD)/fuzz
FUZZ_SOURCES := tests/fuzz/entry.cpp \
    $(filter-out %/command_line.cpp,$(call sources,runtime/base,*.cpp)) $(call sources,runtime/files,*.cpp) \
    $(filter-out %/animation.cpp,$(call sources,data/images data/charts data/text,*.cpp)) $(filter-out %/baselines.cpp %/live_progress.cpp,$(call sources,data/records,*.cpp)) \
    $(foreach file,fractal/config nat/config nat/number_lists nat/strategy nat/tokenizer_config text/text_config,models/$(file).cpp) kernels/common/threads.cpp sample/request.cpp
FUZZ_FLAGS := -std=c++20 -O1 -g1 -Wall -Wextra -Werror -Wno-unknown-pragmas -I. $(BUNDLE_FLAGS) -fno-omit-frame-pointer \
              -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
$(REPLAY)/objects/%.o: %.cpp $(BUILD)/machine.stamp $(HOST)/deps.stamp
	@mkdir -p $(@D)
	@echo "compiling $< with sanitizers"
	@$(CXX) $(FUZZ_FLAGS) -O0 -MMD -MP -c $< -o $@
$(call embedding,$(REPLAY))
$(PARSERS:%=$(REPLAY)/%): $(REPLAY)/%: $(REPLAY)/objects/tests/fuzz/%.o $(FUZZ_SOURCES:%.cpp=$(REPLAY)/objects/%.o) $(REPLAY)/objects/tests/fuzz/replay.o
	@$(CXX) $(FUZZ_FLAGS) $^ $(LDLIBS) -o $@
test-corpus: $(PARSERS:%=$(REPLAY)/%) ## give every parser its files of tests/fuzz/corpus, under sanitizers
	@for parser in $(PARSER); do $(REPLAY)/$$parser || exit 1; done

CLANG ?= clang++
TIME := 60
HAS_LIBFUZZER = echo 'extern "C" int LLVMFuzzerTestOneInput() { return 0; }' | $(CLANG) -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null
$(FUZZ)/objects/%.o: %.cpp $(HOST)/deps.stamp
	@mkdir -p $(@D)
	@echo "compiling $< for libFuzzer"
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(call embedding,$(FUZZ))
$(PARSERS:%=$(FUZZ)/%): $(FUZZ)/%: $(FUZZ)/objects/tests/fuzz/%.o $(FUZZ_SOURCES:%.cpp=$(FUZZ)/objects/%.o)
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@
fuzz: ## libFuzzer (clang) searches for input that crashes a parser: TIME=600 seconds each, PARSER=pth alone
	@$(HAS_LIBFUZZER) || { echo "make fuzz: needs clang++ with libFuzzer (Debian: clang, libclang-rt-dev); make test-corpus replays the corpus without" >&2; exit 1; }
	+@$(MAKE) --no-print-directory $(PARSER:%=$(FUZZ)/%)
	@mkdir -p $(FUZZ)/findings
	@for parser in $(PARSER); do \
	    mkdir -p $(FUZZ)/corpus/$$parser && echo "$$parser: $(TIME) seconds" && \
	    $(FUZZ)/$$parser -max_total_time=$(TIME) -max_len=4096 -timeout=60 -malloc_limit_mb=256 -print_final_stats=1 \
	        -artifact_prefix=$(FUZZ)/findings/$$parser- $(FUZZ)/corpus/$$parser tests/fuzz/corpus/$$parser > $(FUZZ)/$$parser.log 2>&1 || { \
	    grep -E 'ERROR|runtime error|Test unit' $(FUZZ)/$$parser.log; \
	    echo "make fuzz: $$parser fell over ($(FUZZ)/$$parser.log): mend it and move the file into tests/fuzz/corpus/$$parser" >&2; exit 1; }; \
	    grep -E 'DONE|number_of_executed_units' $(FUZZ)/$$parser.log; done

-include $(patsubst %.cpp,$(REPLAY)/objects/%.d,$(FUZZ_SOURCES) $(wildcard tests/fuzz/*.cpp)) $(patsubst %.cpp,$(FUZZ)/objects/%.d,$(FUZZ_SOURCES) $(wildcard tests/fuzz/*.cpp))

bench: $(BUILD)/bench ## measure the ceiling, each kernel, the training step and sampling (a GPU: CUDA=1 ARGS='--device cuda')
	@$(BUILD)/bench $(ARGS)

# Names in the timeline: runtime/device/profile.h. Nsight Compute slows each kernel down a hundredfold and more: ARGS='--launch-count 20' and
# --nvtx-include of its own go into TOOL_ARGS.
TOOL := $(if $(CUDA),$(if $(shell command -v nsys),nsys,$(if $(shell command -v ncu),ncu)))
TOOL_ARGS := $(if $(filter ncu,$(TOOL)),--set basic --launch-count 200)
WATCHED := $(if $(filter nsys,$(TOOL)),nsys profile --trace=cuda$(comma)nvtx$(comma)cublas --force-overwrite=true --output=$(BUILD)/profile \
             $(TOOL_ARGS),$(if $(filter ncu,$(TOOL)),ncu --nvtx --force-overwrite --export $(BUILD)/profile $(TOOL_ARGS)))
profile: build $(DATASETS)/fractals.bin ## time of each kernel over a few training steps; CUDA=1: under nsys, or TOOL=ncu
	@rm -rf $(BUILD)/profile
	$(WATCHED) $(BUILD)/train fractal --preset fractalar_16 --data $(DATASETS)/fractals.bin --out $(BUILD)/profile --steps 5 \
	    --validation-images 1 $(if $(CUDA),--device cuda) $(if $(WATCHED),,--profile) $(ARGS)

# Everything that only a machine with a GPU can tell, in parts of at most 10 minutes, one table last; PARTS='build goals' chooses, and what has
# passed is kept. What that machine may lack is packed beforehand: build/bundle.tar.xz is used where it is.
gpu-bundle: $(HOST)/deps.stamp ## pack the libraries that a machine with a GPU may lack into build/bundle.tar.xz
	@HEADERS='$(filter-out $(BOOST_HEADER),$(HEADERS))' LDLIBS='-ldnnl -lfmt -lz -lzip -lwebpmux -lwebpdemux -lwebp -llapacke -llapack -lblas' \
	    tests/gpu/bundle.sh $(BUILD)/bundle.tar.xz
gpu-check: ## on a machine with a GPU: benchmarks, tests, compute-sanitizer, one table
	@MAKE='$(MAKE)' NVCC='$(NVCC)' KERNEL_TESTS='$(KERNEL_TEST_FILES)' BUILD=$(BUILD) BUNDLE=$(wildcard $(BUILD)/bundle.tar.xz) tests/gpu/check.sh

clean: ## remove what was built; runs and data sets stay
	rm -rf $(BUILD)

.PHONY: force help deps build run-tests train sample quality plot levels families nat autonat text demo models test emulated test-all test-cuda test-emulated test-corpus fuzz test-long test-signatures test-cards test-orders test-sanitized bench profile gpu-bundle gpu-check clean
