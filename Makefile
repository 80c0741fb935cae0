# Holdfast. `make` builds, `make check` tests, `make demo` shows it; both set up what is missing.
#
# Sources are found by folder: every .c of a folder below is part of that folder's archive, except
# main.c, which is the program's. Every tests/unit/**/test_*.c is a test program of its own, linked
# with whatever archives it needs. BUILD is the output folder; SAN=1 builds with ASan and UBSan;
# TARGET=arm64|armhf builds for boards, in build/TARGET.

SAN     ?=
TARGET  ?=
BUILD   ?= build$(TARGET:%=/%)$(if $(SAN),/san)
VERSION := 0.1.0

# ---- for which machine: triplet of the compiler, and what it has to know besides. Debian 12's armhf
# counts seconds in 32 bits unless told; mbedTLS there was built so, and has them in its structs.
TARGETS       := arm64 armhf
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET_armhf := arm-linux-gnueabihf
CPU_armhf     := -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DMBEDTLS_PLATFORM_TIME_TYPE_MACRO=long
ifneq ($(TARGET),)
TRIPLET := $(or $(TRIPLET_$(TARGET)),$(error TARGET is "$(TARGET)", and must be one of: $(TARGETS)))
SYSROOT := build/sysroot/$(TARGET)
CC      := $(TRIPLET)-gcc --sysroot=$(CURDIR)/$(SYSROOT)
AR      := $(TRIPLET)-ar
else
CC      := gcc
AR      := ar
endif

# V=1 shows whole commands.
V ?=
run = $(if $(V),,@echo '  $(1)' $(patsubst $(BUILD)/%,%,$@);)

# Sanitizers see as much at -O1, which compiles in less than half the time, and tell lines with -g1.
# With their calls between, the compiler knows too little of lengths for two of its warnings.
WARN    := -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wstrict-prototypes -Werror \
           $(if $(SAN),-Wno-format-truncation -Wno-restrict)
OPT     := $(if $(SAN),-O1 -g1,-O2 -g)
comma   := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS  ?=
# In no object stands the folder that it was built in: two builds are the same.
MACHINE := $(CPU_$(TARGET)) -ffile-prefix-map=$(CURDIR)=.
BASE    := -std=c11 $(OPT) $(WARN) $(SANFLAGS) $(MACHINE) $(CFLAGS) -ffunction-sections -fdata-sections \
           -fstack-protector-strong -MMD -MP
INCLUDE := -Idaemon/core -Idaemon -Ihal/include -I. -I$(BUILD)/gen
SHELL_FLAGS := $(BASE) $(INCLUDE) -D_GNU_SOURCE -DHOLDFAST_VERSION='"$(VERSION)"'
CORE_FLAGS  := $(BASE) -ffreestanding -Idaemon/core -I$(BUILD)/gen
# arm64's linker leaves room for pages of 64 KB in every file; boards have 4 KB, a Raspberry Pi 5 16 KB.
PAGES_arm64 := -Wl,-z,max-page-size=16384
LDFLAGS := $(SANFLAGS) $(PAGES_$(TARGET)) -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro,-z,now

# ---- archives: name and the folders they are made of
ARCHIVES := core wire log notify files options hal conf store backup peer client console issuer agent node guard gateway preflight provision ctl bench
core_dirs    := daemon/core/base daemon/core/raft daemon/core/lease daemon/core/guard
wire_dirs    := daemon/core/wire
log_dirs     := daemon/log
notify_dirs  := daemon/notify
files_dirs   := daemon/files
options_dirs := daemon/options
hal_dirs     := hal hal/linux hal/sim
conf_dirs    := conf
store_dirs   := daemon/store
backup_dirs  := daemon/backup
peer_dirs    := daemon/peer
client_dirs  := daemon/client
console_dirs := daemon/console
issuer_dirs  := daemon/issuer
agent_dirs   := daemon/agent
node_dirs    := daemon/node
guard_dirs   := daemon/guard
gateway_dirs := daemon/gateway
preflight_dirs := daemon/preflight
provision_dirs := daemon/provision
ctl_dirs     := daemon/ctl
bench_dirs   := tests/bench

# ---- programs: name, main file, archives in link order, libraries
PROGRAMS := holdfastd holdfast-guard holdfast-gateway holdfastctl holdfast-bench
MBEDTLS  := -lmbedtls -lmbedx509 -lmbedcrypto
NANOPB   := -lprotobuf-nanopb
holdfastd_main        := daemon/main.c
holdfastd_archives    := node console issuer agent peer backup store files conf hal options notify log wire core
holdfastd_libs        := $(NANOPB) -luv $(MBEDTLS) -lconfig -lpthread
holdfast-guard_main     := daemon/guard/main.c
holdfast-guard_archives := guard files conf hal options notify log core
holdfast-guard_libs     := -lconfig
holdfast-gateway_main     := daemon/gateway/main.c
holdfast-gateway_archives := gateway client conf hal options notify log core
holdfast-gateway_libs     := -lconfig -lmodbus
holdfastctl_main     := daemon/ctl/main.c
holdfastctl_archives := ctl provision preflight backup conf hal wire core
holdfastctl_libs     := $(NANOPB) $(MBEDTLS) -lconfig
holdfast-bench_main     := tests/bench/main.c
holdfast-bench_archives := bench hal core
holdfast-bench_libs     := -luv -lmodbus -lconfig -lpthread

ALL_LIBS := $(NANOPB) -luv $(MBEDTLS) -lconfig -lmodbus -lcmocka -lpthread

# ---- nothing below names a source file
GEN := $(BUILD)/gen/holdfast.pb.h
sources = $(filter-out %/main.c,$(foreach dir,$($(1)_dirs),$(wildcard $(dir)/*.c)))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))

.PHONY: all
all: setup
	@$(MAKE) --no-print-directory build

.PHONY: setup setup-tests
setup:
	@toolchain/setup.sh $(if $(TARGET),gcc-$(TRIPLET))
	@$(if $(TARGET),toolchain/sysroot.sh $(TARGET) $(SYSROOT))

setup-tests: setup
	@toolchain/setup.sh libcmocka-dev cppcheck systemd udev mtools

HAVE := $(foreach p,$(PROGRAMS),$(if $(wildcard $($(p)_main)),$(p)))
EXAMPLES := $(patsubst daemon/client/examples/%.c,$(BUILD)/examples/%,$(wildcard daemon/client/examples/*.c))
.PHONY: build
build: $(HAVE:%=$(BUILD)/bin/%) $(BUILD)/lib/libholdfast.so $(BUILD)/lib/libholdfast.a $(EXAMPLES)

$(BUILD)/gen/holdfast.pb.h $(BUILD)/gen/holdfast.pb.c &: daemon/core/wire/holdfast.proto daemon/core/wire/holdfast.options
	@mkdir -p $(BUILD)/gen
	$(call run,GEN )PATH=/usr/bin:$$PATH protoc -Idaemon/core/wire --nanopb_out=-fdaemon/core/wire/holdfast.options:$(BUILD)/gen holdfast.proto

$(BUILD)/gen/holdfast.pb.o: $(BUILD)/gen/holdfast.pb.c
	$(call run,CC  )$(CC) -std=c11 $(OPT) $(SANFLAGS) $(MACHINE) -ffunction-sections -fdata-sections -I$(BUILD)/gen -c $< -o $@

$(BUILD)/obj/daemon/core/%.o: daemon/core/%.c | $(if $(wildcard daemon/core/wire/holdfast.proto),$(GEN))
	@mkdir -p $(@D)
	$(call run,CC  )$(CC) $(CORE_FLAGS) -c $< -o $@

$(BUILD)/obj/daemon/client/%.o: daemon/client/%.c
	@mkdir -p $(@D)
	$(call run,CC  )$(CC) $(SHELL_FLAGS) -fPIC -c $< -o $@

$(BUILD)/obj/%.o: %.c | $(if $(wildcard daemon/core/wire/holdfast.proto),$(GEN))
	@mkdir -p $(@D)
	$(call run,CC  )$(CC) $(SHELL_FLAGS) -c $< -o $@

define archive_rule
$(BUILD)/lib/lib$(1).a: $(call objects,$(1)) $(if $(filter wire,$(1)),$(BUILD)/gen/holdfast.pb.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call run,AR  )$$(AR) rcs $$@ $$^
endef
$(foreach a,$(ARCHIVES),$(eval $(call archive_rule,$(a))))

define program_rule
$(BUILD)/bin/$(1): $(BUILD)/obj/$(patsubst %.c,%.o,$($(1)_main)) $($(1)_archives:%=$(BUILD)/lib/lib%.a)
	@mkdir -p $$(@D)
	$$(call run,LINK)$(CC) $(LDFLAGS) -o $$@ $$< -Wl,--start-group $($(1)_archives:%=$(BUILD)/lib/lib%.a) -Wl,--end-group $($(1)_libs)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

$(BUILD)/lib/libholdfast.a: $(call objects,client)
	@mkdir -p $(@D)
	@rm -f $@
	$(call run,AR  )$(AR) rcs $@ $^

$(BUILD)/lib/libholdfast.so: $(call objects,client)
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) $(LDFLAGS) -shared -Wl,-soname,libholdfast.so.0 -o $@ $^

$(BUILD)/examples/%: daemon/client/examples/%.c $(BUILD)/lib/libholdfast.a
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) -std=c11 $(OPT) -Wall -Wextra $(SANFLAGS) $(MACHINE) -Idaemon/client -o $@ $< $(BUILD)/lib/libholdfast.a

# ---- tests
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)
SUPPORT      := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/unit/support/*.c))
SUPPORT_PANIC := $(BUILD)/obj/tests/unit/support/panic.o
# A narrower list (UNIT_ARCHIVES="core wire") builds one module's tests alone.
UNIT_ARCHIVES ?= $(ARCHIVES)
LINKED       := $(UNIT_ARCHIVES:%=$(BUILD)/lib/lib%.a)

# What they test is as it ships; their own code is compiled sooner than -O2 would ever save in running it.
$(BUILD)/obj/tests/unit/%.o: SHELL_FLAGS += -O1

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(SUPPORT) $(LINKED)
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) $(LDFLAGS) -o $@ $< $(SUPPORT) -Wl,--start-group $(LINKED) -Wl,--end-group $(ALL_LIBS)

# Its segments lie apart, as those of programs on arm64 do: it locks itself.
$(BUILD)/tests/unit/guard/test_platform: LDFLAGS += -Wl,-z,max-page-size=0x10000

# Its board's handshakes take their time.
$(BUILD)/tests/unit/peer/test_slow_handshake $(BUILD)/tests/unit/peer/test_tls_stream: LDFLAGS += -Wl,--wrap=tls_engine_handshake

# Written anew only when the commit is another: nothing is built for nothing.
SIM_COMMIT := $(BUILD)/gen/sim_commit.c
.PHONY: commit
$(SIM_COMMIT): commit
	@mkdir -p $(@D)
	@printf '#include "tests/sim/commit.h"\n\nconst char sim_commit[] = "%s";\n' \
	    "$$(git describe --always --dirty 2>/dev/null || echo unknown)" > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/obj/gen/sim_commit.o: $(SIM_COMMIT)
	@mkdir -p $(@D)
	$(call run,CC  )$(CC) $(SHELL_FLAGS) -c $< -o $@

# The world's own files are optimized as one; the daemons' objects are linked in as they are.
WORLD_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/sim/*.c))
WORLD_FLAGS   := $(if $(SAN),,-flto)
$(WORLD_OBJECTS): $(BUILD)/obj/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(call run,CC  )$(CC) $(SHELL_FLAGS) $(WORLD_FLAGS) -c $< -o $@

$(BUILD)/obj/tests/sim/linked.o: $(WORLD_OBJECTS)
	$(call run,LINK)$(CC) $(OPT) $(WORLD_FLAGS:%=%=auto -flinker-output=nolto-rel) -r -o $@ $^

SIM_OBJECTS := $(if $(WORLD_OBJECTS),$(BUILD)/obj/tests/sim/linked.o $(BUILD)/obj/gen/sim_commit.o)
# The shells as they ship: of what they call, libuv, clocks, log and files are the simulator's own by
# name; system calls, and core functions that it looks into, are wrapped.
SIM_ARCHIVES := guard client node agent issuer backup conf files hal store log wire core
SIM_LINKED   := $(SIM_ARCHIVES:%=$(BUILD)/lib/lib%.a)
SIM_WRAPPED  := calloc malloc free mkdir socket connect send recv close \
    holder_init holder_step replica_init replica_step journal_append journal_take journal_flush \
    journal_open_or_begin_anew agent_start agent_receive issuer_shell_start issuer_shell_raft \
    issuer_shell_lease issuers_hears getrandom guard_init guard_latch guard_step \
    read munmap $(if $(filter armhf,$(TARGET)),open64 __fstat64_time64 mmap64 __clock_gettime64 \
    __getsockopt64,open fstat mmap clock_gettime getsockopt)
$(BUILD)/bin/holdfast-sim: $(SIM_OBJECTS) $(SIM_LINKED)
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) $(LDFLAGS) $(SIM_WRAPPED:%=-Wl,--wrap=%) -o $@ $(SIM_OBJECTS) -Wl,--start-group $(SIM_LINKED) -Wl,--end-group $(NANOPB)

.SECONDARY:
# Interposed into a daemon by tests of failing disks and of power cuts.
PRELOADED := $(BUILD)/lib/disk-fault.so $(BUILD)/lib/powercut.so
$(BUILD)/lib/disk-fault.so: tests/system/disk_fault.c
$(BUILD)/lib/powercut.so: tests/system/powercut.c
$(PRELOADED):
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) -std=c11 -O2 -Wall -Wextra -fPIC -shared -o $@ $< -ldl

# Cables, clocks and witnesses of chaos.
CHAOS_TOOLS := $(patsubst %,$(BUILD)/lib/chaos-%,wires starved pages clock.so)
CHAOS_CC = $(CC) -std=c11 -O2 -Wall -Wextra
$(BUILD)/lib/chaos-wires: tests/system/chaos/wires.c
	@mkdir -p $(@D)
	$(call run,LINK)$(CHAOS_CC) -o $@ $<
$(BUILD)/lib/chaos-starved: tests/system/chaos/starved.c
	@mkdir -p $(@D)
	$(call run,LINK)$(CHAOS_CC) -o $@ $< -lpthread
$(BUILD)/lib/chaos-pages: tests/system/chaos/page_watch.c tests/system/chaos/clock_shim.h $(BUILD)/lib/libholdfast.a
	$(call run,LINK)$(CHAOS_CC) $(SANFLAGS) -Idaemon/client -o $@ $< $(BUILD)/lib/libholdfast.a
$(BUILD)/lib/chaos-clock.so: tests/system/chaos/clock_shim.c tests/system/chaos/clock_shim.h
	@mkdir -p $(@D)
	$(call run,LINK)$(CHAOS_CC) -fPIC -shared -o $@ $< -ldl

# Who stands in for the agent where the guard's latency is measured.
$(BUILD)/lib/latency-agent: tests/system/latency_agent.c $(BUILD)/lib/libcore.a
	@mkdir -p $(@D)
	$(call run,LINK)$(CHAOS_CC) -D_GNU_SOURCE $(SANFLAGS) -Idaemon/core -o $@ $< $(BUILD)/lib/libcore.a

.PHONY: tests
# The simulator's link takes long on one core: unit tests, which come last, are compiled beside it.
tests: build $(if $(SIM_OBJECTS),$(BUILD)/bin/holdfast-sim) $(PRELOADED) $(CHAOS_TOOLS) $(BUILD)/lib/latency-agent $(UNIT_TESTS)

# Harnesses of tests/fuzz: a build of its own, by clang. FUZZ_SECONDS each.
FUZZ_ARCHIVES := ctl provision preflight gateway bench peer backup store conf hal log wire core
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/bin/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/bin/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(SUPPORT_PANIC) $(FUZZ_ARCHIVES:%=$(BUILD)/lib/lib%.a)
	@mkdir -p $(@D)
	$(call run,LINK)$(CC) -fsanitize=fuzzer$(comma)address$(comma)undefined -o $@ $< $(SUPPORT_PANIC) -Wl,--start-group $(FUZZ_ARCHIVES:%=$(BUILD)/lib/lib%.a) -Wl,--end-group $(NANOPB) -luv $(MBEDTLS) -lconfig -lmodbus -lpthread
.PHONY: fuzzers
fuzzers: $(FUZZERS)

.PHONY: fuzz
fuzz:
	@toolchain/setup.sh clang libclang-rt-14-dev
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang WARN='-Wall -Wextra' CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' fuzzers
	@toolchain/fuzz.sh $(BUILD)/fuzz

.PHONY: check
check: setup-tests
	@toolchain/check.sh

.PHONY: demo
demo: setup
	@$(MAKE) --no-print-directory build
	@/usr/bin/python3 tests/system/demo.py $(if $(KEEP),--keep)

# The promised figures, each measured in full (about 5 minutes, on a quiet machine).
.PHONY: bars
bars: setup-tests
	@$(MAKE) --no-print-directory tests
	@/usr/bin/python3 tests/system/bars.py

# How late the guard is, idle and under stress-ng, on this machine and on an emulated board; ON="host"
# or ON="guest" does one of them. UPDATE=1 puts figures and pictures into the tree (5 minutes, on a
# quiet machine).
.PHONY: latency
latency: ON ?= host guest
latency: setup-tests
	@toolchain/setup.sh stress-ng $(if $(filter guest,$(ON)),qemu-system-arm e2fsprogs binutils gcc-aarch64-linux-gnu)
	@$(MAKE) --no-print-directory build $(BUILD)/lib/latency-agent
	@$(if $(filter guest,$(ON)),$(MAKE) --no-print-directory TARGET=arm64 all)
	@/usr/bin/python3 tests/system/latency.py $(if $(UPDATE),--update) $(ON)

# Seeded faults of the protocol, each of which an oracle of the simulator must find (minutes).
.PHONY: mutants
mutants: setup-tests
	@$(MAKE) --no-print-directory tests
	@/usr/bin/python3 tests/mutants/run.py

# Fresh seeds of the simulated world on all cores; FROM=seed repeats a soak.
HOURS ?= 1000
.PHONY: soak
soak: setup-tests
	@$(MAKE) --no-print-directory $(BUILD)/bin/holdfast-sim
	@/usr/bin/python3 tests/sim/soak.py --hours $(HOURS) $(if $(FROM),--from $(FROM)) $(BUILD)/bin/holdfast-sim

# One board gone bad, then strangers at every port, for MINUTES; SEED=n repeats an attack.
.PHONY: hostile
hostile: MINUTES ?= 60
hostile: setup-tests
	@$(MAKE) --no-print-directory tests
	@/usr/bin/python3 tests/system/hostile.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# Unit tests and the simulated world of every target, under qemu-user, and where that is not enough on
# an emulated board (minutes).
.PHONY: check-cross
check-cross:
	@toolchain/setup.sh qemu-user-static uidmap qemu-system-arm e2fsprogs binutils gcc-aarch64-linux-gnu
	@$(foreach t,$(TARGETS),$(MAKE) --no-print-directory TARGET=$(t) setup && \
	    $(MAKE) --no-print-directory TARGET=$(t) tests &&) true
	@/usr/bin/python3 toolchain/check_cross.py $(TARGETS)

# Random faults and operators' acts on real processes in namespaces, for MINUTES; SEED=n TTL=ms
# repeats a schedule. README.md in tests/system/chaos.
.PHONY: chaos
chaos: MINUTES ?= 10
chaos: TTL ?= 1000
chaos: setup-tests
	@$(MAKE) --no-print-directory tests
	@PYTHONPATH=tests/system /usr/bin/python3 -m chaos --minutes $(MINUTES) --ttl $(TTL) $(if $(SEED),--seed $(SEED))

# The shipped binaries on emulated ARM boards, watched from outside; SCENARIOS="name ..." runs those
# alone. On a machine with nothing else to do. README.md in tests/system/qemu.
.PHONY: check-boards
check-boards: setup-tests
	@toolchain/setup.sh qemu-system-arm e2fsprogs binutils gcc-aarch64-linux-gnu
	@$(MAKE) --no-print-directory $(BUILD)/bin/holdfast-bench $(BUILD)/bin/holdfastctl
	@$(MAKE) --no-print-directory TARGET=arm64 all
	@$(MAKE) --no-print-directory TARGET=armhf all
	@$(foreach t,$(TARGETS),$(MAKE) --no-print-directory TARGET=$(t) build/$(t)/tests/unit/hal/test_contract &&) true
	@PYTHONPATH=tests/system /usr/bin/python3 -m qemu $(if $(KIND),--kind $(KIND)) $(SCENARIOS)

# What is flashed: firmware/README.md, "Images". BOARD= is one of firmware/image/boards.py; the first time also fetches
# Debian's packages.
IMAGE_EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1767225600)
IMAGE_VERSION = $(VERSION)$(addprefix -,$(shell git describe --always --dirty 2>/dev/null))
IMAGE_TARGET = $(or $(filter-out beaglebone,$(lastword $(subst -, ,$(BOARD)))),armhf)
.PHONY: image check-image
image:
	@$(if $(BOARD),,$(error BOARD= is one of: qemu-arm64 qemu-armhf rpi-arm64 rpi-armhf beaglebone))
	@toolchain/setup.sh mtools e2fsprogs u-boot-tools xz-utils binutils binutils-$(TRIPLET_$(IMAGE_TARGET))
	@$(MAKE) --no-print-directory TARGET=$(IMAGE_TARGET) all
	@PYTHONPATH=firmware /usr/bin/python3 -B -m image $(BOARD) --version $(IMAGE_VERSION) --epoch $(IMAGE_EPOCH) \
	    $(if $(RAW),--raw) $(if $(OUT),--out $(OUT))

# Emulated boards that boot these images through U-Boot, form a cluster and lose power; SCENARIOS="name ..." runs
# those alone, BOARDS= those images, CUTS= power cuts. tests/system/cards/README.md.
check-image: BOARDS ?= qemu-arm64 qemu-armhf rpi-arm64 rpi-armhf beaglebone
check-image: setup-tests
	@toolchain/setup.sh qemu-system-arm mtools e2fsprogs openssh-client iproute2
	@$(MAKE) --no-print-directory $(BUILD)/bin/holdfast-bench $(BUILD)/bin/holdfastctl
	@$(foreach b,$(BOARDS),$(MAKE) --no-print-directory image BOARD=$(b) &&) true
	@PYTHONPATH=tests/system /usr/bin/python3 -B -m cards $(BOARDS:%=--board %) $(if $(CUTS),--cuts $(CUTS)) \
	    $(if $(SEED),--seed $(SEED)) $(SCENARIOS)

# Power cuts of real processes, CUTS of each kind; SEED=n repeats them.
.PHONY: powercut
powercut: CUTS ?= 300
powercut: setup-tests
	@$(MAKE) --no-print-directory tests
	@POWERCUT_CUTS=$(CUTS) $(if $(SEED),POWERCUT_SEED=$(SEED)) /usr/bin/python3 tests/system/test_powercut.py

# Exhaustive search of the lease protocol's model, and of its mutants. Needs Debian's `spin`.
.PHONY: model
model:
	@toolchain/setup.sh spin
	@tests/model/run.sh

# What a board gets; firmware/README.md says what goes where.
include firmware/install.mk

# Writes BOARD's image, or IMAGE, to a card and reads it back; DEVICE is the whole disk, or a file named
# *.img, which CREATE=1 makes. Asks first; YES=1 does not. Changes no disk that is built in or in use.
.PHONY: flash
flash:
	@PYTHONPATH=firmware /usr/bin/python3 -B -m flash --board '$(BOARD)' --image '$(IMAGE)' $(if $(YES),--yes) \
	    $(if $(CREATE),--create) -- '$(DEVICE)'

# Static checks of all sources and their format; cppcheck alone is part of `make check`.
.PHONY: lint
lint:
	@toolchain/setup.sh cppcheck clang-tidy clang-format
	@BUILD=$(BUILD) toolchain/lint.sh

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
