# SPDX-License-Identifier: GPL-2.0
#
# With KDIR, make builds the modules against that prepared kernel tree. Without KDIR, all targets
# use an environment that tools/env sets up: see `make help`.

PYTHON ?= /usr/bin/python3
VFENCE_PWD ?= $(if $(PWD),$(PWD),$(CURDIR))
ENV = PYTHONDONTWRITEBYTECODE=1 VFENCE_PWD='$(VFENCE_PWD)' $(PYTHON) tools/env

# make takes a path with a space for two: install would write other files, uninstall remove them.
space := $(subst ,, )
$(foreach name,KDIR DESTDIR PREFIX DOCDIR,$(if $(findstring $(space),$($(name))), \
	$(error $(name)='$($(name))' has a space, which make cannot treat: take another directory)))

ifdef KDIR
# rust/requirements.mk checks the rest.
all:
	@test -e $(KDIR)/include/config/auto.conf -a -e $(KDIR)/include/generated/autoconf.h || \
		{ echo '$(KDIR) is not a configured kernel tree: it lacks' \
		'include/config/auto.conf or include/generated/autoconf.h' >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
else
all: python
	@$(ENV) build $(KERNEL:%=--kernel=%)
endif

# With the cargo of this machine; make without KDIR needs none.
tools:
	@command -v cargo >/dev/null || \
		{ echo 'missing: cargo, 1.85 or newer' >&2; exit 1; }
	cargo build --release --locked --target-dir build/target -p vfence-pipeline

# Everything but the modules is installed below PREFIX, and all of it below DESTDIR. Packages use
# the targets install-… one by one.
PREFIX ?= /usr
DOCDIR ?= $(PREFIX)/share/doc/vfence
VFENCE_VERSION := $(shell sed -n 's/^vfence //p' NEWS | head -n 1)
PIPELINE = build/target/release/vfence-pipeline
INSTALLED = $(DESTDIR)$(PREFIX)
HEADERS = $(addprefix $(INSTALLED)/include/,linux/vfence.h linux/sw_sync.h drm/vfence_drm.h) \
	$(INSTALLED)/share/pkgconfig/vfence.pc
RULES = $(INSTALLED)/lib/udev/rules.d/60-vfence.rules
TOOLS = $(INSTALLED)/bin/vfence-pipeline
MAN = $(foreach page,$(notdir $(wildcard Documentation/man/*)), \
	$(INSTALLED)/share/man/man$(subst .,,$(suffix $(page)))/$(page))
EXAMPLES = $(addprefix $(DESTDIR)$(DOCDIR)/examples/,modprobe.d/vfence.conf \
	modules-load.d/vfence.conf)

# Applies a changed rule to nodes that exist, unless the files are for another system. Other users
# than root have a PREFIX that udev does not read.
UDEV = /run/udev/control
define apply_rules
@test -n '$(DESTDIR)' || test ! -e $(UDEV) || test $$(id -u) != 0 || { \
	udevadm control --reload && \
	udevadm trigger --action=add --sysname-match=vfence --sysname-match=udmabuf; }
endef

PARTS = install-modules install-headers install-udev install-man install-examples install-vm
ifdef KDIR
install: $(PARTS)
	@if test -e $(PIPELINE); then $(MAKE) --no-print-directory install-tools; else \
		echo 'not installed: vfence-pipeline; make tools builds it with cargo' >&2; fi
else
# Build first: the parts only copy. A build takes minutes, so what would stop the parts stops it.
install: python | no-packages
	@$(ENV) install --check $(KERNEL:%=--kernel=%) $(DESTDIR:%='%')
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory $(PARTS) install-tools
endif

# Debian's packages have the same files below /usr, and modules, which are never below PREFIX.
install install-modules uninstall: | no-packages
ifeq ($(abspath $(PREFIX)),/usr)
SAME = 'vfence-*' libvfence-dev
$(HEADERS) $(RULES) $(MAN) $(EXAMPLES) $(PARTS) install-tools: | no-packages
else
SAME = 'vfence-modules-*' vfence-dkms
endif
no-packages:
	@packages=$$(test -n '$(DESTDIR)' || dpkg-query --show \
		--showformat '$${db:Status-Status} $${Package}\n' $(SAME) \
		2> /dev/null | sed -n 's/^installed //p'); \
	test -z "$$packages" || { echo 'first remove the packages with the same files or modules:' \
		"apt-get purge" $$packages >&2; exit 1; }

install-headers: $(HEADERS)
install-udev: $(RULES)
	$(apply_rules)
install-man: $(MAN)
install-examples: $(EXAMPLES)
install-tools:
	@test -e $(PIPELINE) || { echo 'nothing to install: run make tools first' >&2; exit 1; }
	install -D -m 755 $(PIPELINE) $(INSTALLED)/bin/vfence-pipeline

# The files that `make KDIR=…` writes beside the sources; some in tools/ have similar names.
BUILT = -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
	-o -name '*.rmeta' -o -path ./modules.order -o -path ./Module.symvers \
	-o -path './rust/*_generated.rs' -o -path './rust/compat.args*'

# vfence-vm builds the modules for the kernels that it boots, so it needs their sources. They are in
# a directory that holds nothing else.
SHARE = $(INSTALLED)/share/vfence
VM = $(INSTALLED)/bin/vfence-vm
install-vm:
	rm -rf '$(SHARE)'
	install -d '$(SHARE)' '$(INSTALLED)/bin'
	find ./Kbuild ./NEWS ./include ./rust ./tools/env ./tools/vfence-vm \( -name '.*' \
		-o -name __pycache__ -o -path ./tools/env/tests -o $(BUILT) \) -prune \
		-o -type f -exec cp --parents -t '$(SHARE)' {} +
	chmod -R u=rwX,go=rX '$(SHARE)'
	ln -sf ../share/vfence/tools/vfence-vm/vfence-vm '$(VM)'

$(INSTALLED)/lib/udev/rules.d/%: udev/% FORCE
	install -D -m 644 $< $@

$(INSTALLED)/include/%: include/uapi/% FORCE
	install -D -m 644 $< $@

$(INSTALLED)/share/pkgconfig/%.pc: include/%.pc.in FORCE
	install -d $(@D)
	sed 's|@prefix@|$(PREFIX)|; s|@version@|$(VFENCE_VERSION)|' $< > $@
	chmod 644 $@

$(INSTALLED)/share/man/man1/%: Documentation/man/% FORCE
	install -D -m 644 $< $@

$(INSTALLED)/share/man/man4/%: Documentation/man/% FORCE
	install -D -m 644 $< $@

$(DESTDIR)$(DOCDIR)/examples/%: etc/% FORCE
	install -D -m 644 $< $@

ifdef KDIR
install-modules:
	@test -e modules.order || \
		{ echo 'nothing to install: run make KDIR=$(KDIR) first' >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin:/sbin"; command -v modinfo > /dev/null || \
		{ echo 'missing: modinfo; install with: apt-get install kmod' >&2; exit 1; }; \
	built=$$(modinfo -F vermagic ./vfence.ko) && built=$${built%% *} && \
	read -r release < $(KDIR)/include/config/kernel.release && \
	{ test "$$built" = "$$release" || { echo "the modules were built for $$built, but $(KDIR)" \
		"is the tree of $$release: run make KDIR=$(KDIR) first" >&2; exit 1; }; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH='$(DESTDIR)' \
		$(if $(DESTDIR),DEPMOD=true) modules_install
else
install-modules: python
	@$(ENV) install $(KERNEL:%=--kernel=%) $(DESTDIR:%='%')
endif

uninstall:
	rm -f $(HEADERS) $(RULES) $(TOOLS) $(MAN) $(EXAMPLES) '$(VM)'
	rm -rf '$(SHARE)'
	@test ! -d '$(DESTDIR)$(DOCDIR)' || \
		find '$(DESTDIR)$(DOCDIR)' -depth -type d -empty -delete
	@for updates in $(DESTDIR)/lib/modules/*/updates; do \
		test -d "$$updates" || continue; \
		rm -f "$$updates"/vfence.ko* "$$updates"/vfence_drm.ko*; \
		rmdir --ignore-fail-on-non-empty "$$updates"; \
		test -n '$(DESTDIR)' || depmod "$$(basename "$${updates%/updates}")"; \
	done
	$(apply_rules)

FORCE:

# The command is passed in the environment, unexpanded: make would expand its `$`.
export VFENCE_CMD := $(value CMD)
run: python
	@$(ENV) run $(KERNEL:%=--kernel=%) $(CLIENT:%=--client=%) \
		$(if $(value CMD),-- "$$VFENCE_CMD")

shell: python
	@$(ENV) shell $(KERNEL:%=--kernel=%)

test: python
	@$(ENV) test $(KERNEL:%=--kernel=%) $(if $(filter-out 0,$(CLIENTS)),--clients) \
		$(if $(filter-out 0,$(PACKAGES)),--packages) \
		$(if $(filter-out 0,$(TUTORIAL)),--tutorial) \
		$(if $(filter-out 0,$(CONTAINER)),--container)

deb: python
	@$(ENV) deb

# BASELINE=update writes the figures to the baseline.
bench: python
	@$(ENV) bench $(BASELINE:%=--%)

uapi: python
	@$(ENV) uapi

imports: python
	@$(ENV) imports

ifdef KDIR
clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean
else
clean:
	rm -rf build
	@find . -path ./.git -prune -o -type f \( $(BUILT) \) -exec rm {} +
endif

distclean: clean python
	@$(ENV) distclean

help:
	@echo 'make KDIR=/path/to/built/linux  build vfence.ko and vfence_drm.ko for that kernel'
	@echo 'make                            build them and the tools, for the running kernel if'
	@echo "                                it is Debian's, or for stock: build/*/*.ko"
	@echo 'make KERNEL=…                   build them for that kernel; also with install'
	@echo 'make run                        run the demonstration in a guest'
	@echo "make run CMD='…'                load the modules in a guest and run a command"
	@echo 'make run CLIENT=weston          start a compositor on vfence_drm, and a client on it'
	@echo 'make shell                      load the modules in a guest and run a shell'
	@echo 'make test                       run all tests, on the host and in guests'
	@echo 'make test CLIENTS=1             test compositors and other clients, with vfence_drm'
	@echo "make test PACKAGES=1            install the packages of make deb, and remove them"
	@echo 'make test TUTORIAL=1            follow Documentation/tutorial.md on an empty system'
	@echo 'make test CONTAINER=1           build the container image, and boot a guest in it'
	@echo 'make run|shell|test KERNEL=…    stock, rt (PREEMPT_RT), 7.2, arm64: of Debian;'
	@echo '                                debug, rt-debug: with lockdep and KASAN'
	@echo 'make test KERNEL=all            run all tests on all kernels'
	@echo 'make bench                      compare vfence with sw_sync, in instructions'
	@echo 'make bench BASELINE=update      the same, and write the baseline for later runs'
	@echo 'make uapi                       generate the Rust structures from the UAPI headers'
	@echo 'make imports                    print the import graph of rust/'
	@echo 'make install [KDIR=…]           install modules, headers, udev rules, tools, manuals'
	@echo 'make install-…                  one part: modules headers udev tools man examples'
	@echo 'make uninstall                  remove all of them, the modules from all kernels'
	@echo 'make tools                      build vfence-pipeline with the cargo of this machine'
	@echo "make deb                        build Debian's packages: build/deb/*.deb"
	@echo 'make clean                      remove the build results'
	@echo 'make distclean                  remove the build results and the cache'

python:
	@test -x $(PYTHON) || { test $$(id -u) = 0 && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
		--no-install-recommends python3 >&2; } || \
		{ echo 'missing: python3; install with: sudo apt-get install python3' >&2; exit 1; }

.PHONY: FORCE all tools install $(PARTS) install-tools no-packages uninstall run shell test \
	deb bench uapi imports clean distclean help python
