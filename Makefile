# SPDX-License-Identifier: GPL-2.0
#
# With KDIR, make builds the modules against that prepared kernel tree. Without KDIR, all targets
# use an environment that tools/env sets up: see `make help`.

PYTHON ?= /usr/bin/python3
VFENCE_PWD ?= $(if $(PWD),$(PWD),$(CURDIR))
ENV = PYTHONDONTWRITEBYTECODE=1 VFENCE_PWD='$(VFENCE_PWD)' $(PYTHON) tools/env

ifdef KDIR
RUSTC ?= rustc
all:
	@command -v $(RUSTC) >/dev/null || \
		{ echo 'missing: $(RUSTC), the Rust compiler that built $(KDIR)' >&2; exit 1; }
	@grep -qsx CONFIG_RUST=y $(KDIR)/include/config/auto.conf || \
		{ echo '$(KDIR) is not a configured kernel tree with CONFIG_RUST=y' >&2; exit 1; }
	@test -e $(KDIR)/rust/libkernel.rmeta || \
		{ echo '$(KDIR) has no Rust metadata: run make modules_prepare there' >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
else
all: python
	@$(ENV) build
endif

# Everything but the modules is installed below PREFIX, and all of it below DESTDIR.
PREFIX ?= /usr
FILES = $(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-vfence.rules \
	$(addprefix $(DESTDIR)$(PREFIX)/include/,linux/vfence.h linux/sw_sync.h drm/vfence_drm.h)

# Applies a changed rule to nodes that exist, unless the files are for another system.
define apply_rules
@test -n '$(DESTDIR)' || test ! -e /run/udev/control || { udevadm control --reload && \
	udevadm trigger --action=add --sysname-match=vfence --sysname-match=udmabuf; }
endef

install: install-modules $(FILES)
	$(apply_rules)

$(DESTDIR)$(PREFIX)/lib/udev/rules.d/%: udev/% FORCE
	install -D -m 644 $< $@

$(DESTDIR)$(PREFIX)/include/%: include/uapi/% FORCE
	install -D -m 644 $< $@

ifdef KDIR
install-modules:
	@test -e modules.order || \
		{ echo 'nothing to install: run make KDIR=$(KDIR) first' >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH='$(DESTDIR)' \
		$(if $(DESTDIR),DEPMOD=true) modules_install
else
install-modules: python
	@$(ENV) install $(DESTDIR:%='%')
endif

uninstall:
	rm -f $(FILES)
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
	@$(ENV) test $(KERNEL:%=--kernel=%) $(if $(filter-out 0,$(CLIENTS)),--clients)

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
	@find . -path ./.git -prune -o -type f \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -path ./modules.order \
		-o -path ./Module.symvers -o -path './rust/*_generated.rs' \) -exec rm {} +
endif

distclean: clean python
	@$(ENV) distclean

help:
	@echo 'make KDIR=/path/to/built/linux  build vfence.ko and vfence_drm.ko for that kernel'
	@echo "make                            build them for Debian's kernel: build/stock/*.ko"
	@echo 'make run                        run the demonstration in a guest'
	@echo "make run CMD='…'                load the modules in a guest and run a command"
	@echo 'make run CLIENT=weston          start a compositor on vfence_drm, and a client on it'
	@echo 'make shell                      load the modules in a guest and run a shell'
	@echo 'make test                       run all tests, on the host and in both guests'
	@echo 'make test CLIENTS=1             test compositors and other clients, with vfence_drm'
	@echo "make run|shell|test KERNEL=…    Debian's kernels: stock, rt (PREEMPT_RT), 7.2;"
	@echo '                                debug: a kernel with lockdep and KASAN'
	@echo 'make bench                      compare vfence with sw_sync, in instructions'
	@echo 'make bench BASELINE=update      the same, and write the baseline for later runs'
	@echo 'make uapi                       generate the Rust structures from the UAPI headers'
	@echo 'make imports                    print the import graph of rust/'
	@echo 'make install [KDIR=…]           install the modules, the udev rules and the headers'
	@echo 'make uninstall                  remove them, from all kernels'
	@echo 'make clean                      remove the build results'
	@echo 'make distclean                  remove the build results and the cache'

python:
	@test -x $(PYTHON) || { test $$(id -u) = 0 && apt-get update -qq && \
		apt-get install -qq --yes --no-install-recommends python3 >&2; } || \
		{ echo 'missing: python3; install with: sudo apt-get install python3' >&2; exit 1; }

.PHONY: FORCE all install install-modules uninstall run shell test bench uapi imports clean \
	distclean help python
