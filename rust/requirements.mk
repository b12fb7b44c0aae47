# SPDX-License-Identifier: GPL-2.0
#
# Stops a build that cannot succeed before it compiles anything, with a line for each reason. Kbuild
# includes this file, so each caller gets the lines: make KDIR=…, make -C KDIR M=…, DKMS.

define newline


endef
unquoted = $(subst ",,$(1))
stop_if = $(if $(1),$(error vfence cannot be built for Linux $(KERNELRELEASE):$(1)))

# The kernel. Nothing else would help one that is too old or lacks an option.
reasons :=
ifneq ($(filter 0 1 2 3 4 5 6,$(VERSION))$(filter 7.0 7.1,$(VERSION).$(PATCHLEVEL)),)
reasons := $(newline)  it needs Linux 7.2 or newer
else
ifneq ($(CONFIG_RUST),y)
reasons := $(reasons)$(newline)  the kernel has no CONFIG_RUST=y
endif
ifneq ($(CONFIG_SYNC_FILE),y)
reasons := $(reasons)$(newline)  the kernel has no CONFIG_SYNC_FILE=y, like Debian's cloud kernels
endif
ifeq ($(filter y m,$(CONFIG_CRC32)),)
reasons := $(reasons)$(newline)  the kernel has no CONFIG_CRC32
endif
endif
$(call stop_if,$(reasons))

# The tree. Headers packages of distributions have neither the Rust sources nor what is compiled
# from them, and cannot be completed: make modules_prepare deletes files of theirs.
ifeq ($(wildcard $(objtree)/rust/libkernel.rmeta),)
ifeq ($(wildcard $(srctree)/rust/kernel/lib.rs),)
reasons := $(newline)  a distribution's headers lack the kernel's Rust metadata: on Debian run \
	make without KDIR, or install vfence-dkms or vfence-modules-$(KERNELRELEASE); elsewhere \
	set KDIR to a kernel tree of your own
else
reasons := $(newline)  the tree has no rust/libkernel.rmeta: build the kernel, or run \
	make modules_prepare in $(objtree)
endif
endif
# For a symbol that it does not find, modpost prints an error, or a warning if the caller asks so.
ifeq ($(wildcard $(objtree)/Module.symvers)$(KBUILD_MODPOST_WARN),)
reasons := $(reasons)$(newline)  the tree has no Module.symvers, which make modules_prepare does \
	not make: build the kernel and its modules, or copy the file of that build to $(objtree)
endif
$(call stop_if,$(reasons))

# The tools. Another version of the C compiler will do if it knows the same options, which the major
# version decides; Rust metadata is for one version of rustc.
rustc_wanted := $(call unquoted,$(CONFIG_RUSTC_VERSION_TEXT))
rustc_found := $(shell $(RUSTC) --version 2>/dev/null)
ifeq ($(rustc_found),)
reasons := $(reasons)$(newline)  missing: $(RUSTC); $(rustc_wanted) has built the kernel
else ifneq ($(rustc_found),$(rustc_wanted))
reasons := $(reasons)$(newline)  $(RUSTC) is $(rustc_found), but $(rustc_wanted) has built the \
	kernel: set RUSTC to that one
endif

bindgen_oldest := $(shell sh $(srctree)/scripts/min-tool-version.sh bindgen 2>/dev/null)
bindgen_found := $(shell $(BINDGEN) --version 2>/dev/null | sed -n 's/^bindgen \([0-9.]*\).*/\1/p')
ifeq ($(bindgen_found),)
reasons := $(reasons)$(newline)  missing: $(BINDGEN)$(bindgen_oldest:%=, % or newer)
else ifneq ($(bindgen_found),$(shell printf '%s\n' $(bindgen_oldest) $(bindgen_found) | \
	sort -V | tail -n 1))
reasons := $(reasons)$(newline)  $(BINDGEN) is $(bindgen_found), but the kernel needs \
	$(bindgen_oldest) or newer
endif

cc_wanted := $(call unquoted,$(CONFIG_CC_VERSION_TEXT))
cc_found := $(shell LC_ALL=C $(CC) --version 2>/dev/null | head -n 1)
cc_is_clang := $(if $(findstring clang,$(cc_found)),y)
gcc_major := $(firstword $(subst ., ,$(shell $(CC) -dumpversion 2>/dev/null)))
ifeq ($(cc_found),)
reasons := $(reasons)$(newline)  missing: $(CC); $(cc_wanted) has built the kernel
else ifneq ($(cc_is_clang),$(CONFIG_CC_IS_CLANG))
reasons := $(reasons)$(newline)  $(CC) is $(cc_found), but $(cc_wanted) has built the kernel: \
	$(if $(cc_is_clang),leave out,add) LLVM=1
else ifeq ($(cc_is_clang)$(filter $(gcc_major)%,$(CONFIG_GCC_VERSION)),)
reasons := $(reasons)$(newline)  $(CC) is $(cc_found), but $(cc_wanted) has built the kernel: \
	set CC to that one
endif
$(call stop_if,$(reasons))
