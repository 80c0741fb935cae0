# What goes where on a board: `make install DESTDIR= PREFIX=`, whose files firmware/README.md lists.
# Programs are stripped by STRIP, which may be empty. A package gives other folders (firmware/debian).
PREFIX        ?= /usr/local
SYSCONFDIR    ?= /etc
LIBDIR        ?= $(PREFIX)/lib
UNITDIR       ?= $(PREFIX)/lib/systemd/system
UDEVDIR       ?= $(PREFIX)/lib/udev
DOCDIR        ?= $(PREFIX)/share/doc/holdfast
STRIP         ?= $(if $(TRIPLET),$(TRIPLET)-)strip
DESTDIR       ?=
SONAME        := libholdfast.so.0

ADMIN_PROGRAMS := holdfastd holdfast-guard holdfast-gateway
USER_PROGRAMS  := holdfastctl holdfast-bench
EXAMPLE_FILES  := $(wildcard conf/examples/*.conf) daemon/client/examples/valve.c

# Files to a folder of the board.
place = install -d "$(DESTDIR)$(2)" && install -m $(3) $(1) "$(DESTDIR)$(2)/"
# A template to a file, with the folders of this installation in it.
fill = install -d "$(DESTDIR)$(dir $(2))" && sed -e 's|@PREFIX@|$(PREFIX)|g; s|@SBINDIR@|$(PREFIX)/sbin|g; s|@LIBDIR@|$(LIBDIR)|g; s|@VERSION@|$(VERSION)|g' \
    $(1) >"$(DESTDIR)$(2)" && chmod 644 "$(DESTDIR)$(2)"

.PHONY: install install-files
install: all
	@$(MAKE) --no-print-directory install-files

install-files: build
	@$(call place,$(ADMIN_PROGRAMS:%=$(BUILD)/bin/%),$(PREFIX)/sbin,755)
	@$(call place,$(USER_PROGRAMS:%=$(BUILD)/bin/%),$(PREFIX)/bin,755)
	@install -d "$(DESTDIR)$(LIBDIR)"
	@install -m 644 $(BUILD)/lib/libholdfast.so "$(DESTDIR)$(LIBDIR)/libholdfast.so.$(VERSION)"
	@ln -sf libholdfast.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	@ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libholdfast.so"
	@$(if $(STRIP),cd "$(DESTDIR)/" && $(STRIP) $(ADMIN_PROGRAMS:%=".$(PREFIX)/sbin/%") \
	    $(USER_PROGRAMS:%=".$(PREFIX)/bin/%") && \
	    $(STRIP) --strip-unneeded ".$(LIBDIR)/libholdfast.so.$(VERSION)")
	@$(call place,$(BUILD)/lib/libholdfast.a,$(LIBDIR),644)
	@$(if $(STRIP),cd "$(DESTDIR)/" && $(STRIP) --strip-debug ".$(LIBDIR)/libholdfast.a")
	@$(call place,daemon/client/holdfast.h,$(PREFIX)/include,644)
	@$(call fill,firmware/pkgconfig/libholdfast.pc.in,$(LIBDIR)/pkgconfig/libholdfast.pc)
	@$(foreach n,1 5 7 8,$(call place,$(wildcard firmware/man/*.$(n)),$(PREFIX)/share/man/man$(n),644) &&) true
	@$(call place,firmware/completion/holdfastctl,$(PREFIX)/share/bash-completion/completions,644)
	@$(call place,firmware/sysusers/holdfast.conf,$(PREFIX)/lib/sysusers.d,644)
	@$(call place,firmware/tmpfiles/holdfast.conf,$(PREFIX)/lib/tmpfiles.d,644)
	@$(call place,firmware/udev/99-holdfast.rules,$(UDEVDIR)/rules.d,644)
	@$(call place,firmware/limits/holdfast.conf,$(SYSCONFDIR)/security/limits.d,644)
	@$(foreach unit,$(wildcard firmware/systemd/*.service),$(call fill,$(unit),$(UNITDIR)/$(notdir $(unit))) &&) true
	@$(call place,$(EXAMPLE_FILES),$(DOCDIR)/examples,644)
	@install -d -m 755 "$(DESTDIR)$(SYSCONFDIR)/holdfast"
	@echo "holdfast: installed for $(or $(TARGET),this machine) into $(or $(DESTDIR),/), under $(PREFIX)"

# ---- Debian packages: `make deb [TARGET=]` leaves them in build/deb/ARCHITECTURE
DEB_ARCHITECTURE = $(or $(TARGET),$(shell dpkg --print-architecture))
DEB_DIR  = build/deb/$(DEB_ARCHITECTURE)
DEB_TREE = $(DEB_DIR)/holdfast-$(VERSION)

.PHONY: deb check-deb
deb: setup
	@toolchain/setup.sh debhelper dpkg-dev fakeroot lintian $(if $(TARGET),binutils-$(TRIPLET))
	@$(MAKE) --no-print-directory build
	@rm -rf $(DEB_DIR) && mkdir -p $(DEB_TREE) && cp -r firmware/debian $(DEB_TREE)/
	@cd $(DEB_TREE) && TREE=$(CURDIR) TARGET=$(TARGET) SYSROOT=$(SYSROOT:%=$(CURDIR)/%) MAKEFLAGS= MAKELEVEL= \
	    dpkg-buildpackage --build=binary --no-sign --no-check-builddeps --host-arch=$(DEB_ARCHITECTURE) \
	    >../build.log 2>&1 || { tail -40 ../build.log; exit 1; }
	@rm -rf $(DEB_TREE)
	@ls $(DEB_DIR)/*.deb | grep -v dbgsym_ | xargs lintian --allow-root --fail-on=error,warning
	@ls -s --block-size=K $(DEB_DIR)/*.deb

# The packages' life in a clean Debian 12 (minutes).
check-deb: deb
	@toolchain/setup.sh mmdebstrap
	@/usr/bin/python3 tests/system/deb.py $(DEB_DIR)
