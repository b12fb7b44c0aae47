# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Bindings for headers that the kernel's bindings crate leaves out, for
# rust/helpers/, and for the UAPI headers. The flags are those of the kernel's
# rust/Makefile.

# Only the bindings declare the helpers, as in the kernel's rust/Makefile.
no_declarations := -Wno-missing-prototypes -Wno-missing-declarations
CFLAGS_REMOVE_rust/helpers/helpers.o := -Wmissing-prototypes -Wmissing-declarations
CFLAGS_rust/helpers/helpers.o := $(no_declarations)
CFLAGS_REMOVE_rust/helpers/helpers_drm.o := -Wmissing-prototypes -Wmissing-declarations
CFLAGS_rust/helpers/helpers_drm.o := $(no_declarations)

# Options of GCC that libclang does not support.
bindgen_skip_c_flags := -mno-fp-ret-in-387 -mpreferred-stack-boundary=% -mskip-rax-setup \
	-mgeneral-regs-only -mindirect-branch=% -mindirect-branch-register -mfunction-return=% \
	-mrecord-mcount -mindirect-branch-cs-prefix -mstack-protector-guard% \
	-msign-return-address=% -mno-string -mno-strict-align -mstrict-align -mabi=lp64 \
	-mdirect-extern-access -mexplicit-relocs -mno-check-zero-division -fconserve-stack \
	-falign-jumps=% -falign-loops=% -femit-struct-debug-baseonly -fno-ipa-cp-clone \
	-fno-ipa-sra -fno-partial-inlining -fno-reorder-blocks -fno-allow-store-data-races \
	-fasan-shadow-offset=% -fzero-call-used-regs=% -fno-stack-clash-protection \
	-fno-inline-functions-called-once -fsanitize=bounds-strict -fstrict-flex-arrays=% \
	-fmin-function-alignment=% -fzero-init-padding-bits=% -fdiagnostics-show-context \
	-fdiagnostics-show-context=% --param=% --param asan-% \
	-fno-isolate-erroneous-paths-dereference

# Clang's target triples, as in the kernel's scripts/Makefile.clang.
bindgen_target_x86 := x86_64-linux-gnu
bindgen_target_arm64 := aarch64-linux-gnu
bindgen_target_riscv := riscv64-linux-gnu
bindgen_target_loongarch := loongarch64-linux-gnusf

ifdef CONFIG_CC_IS_CLANG
bindgen_c_flags = $(c_flags)
else
bindgen_c_flags = $(filter-out $(bindgen_skip_c_flags), $(c_flags)) \
	-w --target=$(bindgen_target_$(SRCARCH))
endif

quiet_cmd_bindgen = BINDGEN $@
      cmd_bindgen = mkdir -p $(dir $@); \
	$(BINDGEN) $< $(bindgen_flags) --rust-target 1.85 --use-core --with-derive-default \
		--ctypes-prefix ffi --no-layout-tests --no-debug '.*' --no-doc-comments \
		--enable-function-attribute-detection -o $@ -- \
		$(filter-out $(CC_FLAGS_LTO), $(bindgen_c_flags)) -fno-builtin -D__BINDGEN__ \
		-DMODULE $(bindgen_extra_c_flags) $(bindgen_then)

# All types come from the kernel's bindings, except for the allowlist.
$(obj)/rust/bindings_generated.rs: private bindgen_flags = --no-recursive-allowlist \
	--allowlist-function 'sync_file_(create|get_fence)|dma_fence_unwrap_(first|next)|crc32c' \
	--allowlist-function 'dma_fence_array_create|dma_fence_chain_init' \
	--allowlist-function 'kthread_(create_worker_on_node|destroy_worker|queue_work)' \
	--allowlist-var 'RUST_CONST_.*' \
	--allowlist-type 'sync_file|dma_fence_(unwrap|array|chain)|fault_attr' \
	--allowlist-type 'kthread_work(er|_func_t)?' \
	--opaque-type 'dma_fence_(array|chain)|fault_attr'
$(obj)/rust/bindings_generated.rs: $(src)/rust/bindings/bindings_helper.h FORCE
	$(call if_changed_dep,bindgen)

helpers_flags := --blocklist-type '.*' --allowlist-var '' --allowlist-function 'rust_helper_.*'
# /g: without rustfmt, all declarations are on one line.
helpers_names = ; sed -Ei \
	's/pub fn rust_helper_([a-zA-Z0-9_]*)/\#[link_name = "rust_helper_\1"]\n    pub fn \1/g' $@

$(obj)/rust/helpers_generated.rs: private bindgen_flags = $(helpers_flags)
$(obj)/rust/helpers_generated.rs: private bindgen_extra_c_flags = $(no_declarations)
$(obj)/rust/helpers_generated.rs: private bindgen_then = $(helpers_names)
$(obj)/rust/helpers_generated.rs: $(src)/rust/helpers/helpers.c FORCE
	$(call if_changed_dep,bindgen)

uapi_traits := zerocopy_derive::FromBytes,zerocopy_derive::IntoBytes
uapi_traits := $(uapi_traits),zerocopy_derive::Immutable,zerocopy_derive::KnownLayout
uapi_flags = --allowlist-file '.*/$(1)' \
	--with-derive-custom-struct '.*(vfence|sw_sync)_.*=$(uapi_traits)'

$(obj)/rust/uapi_generated.rs: private bindgen_flags = $(call uapi_flags,linux/(vfence|sw_sync).h)
$(obj)/rust/uapi_generated.rs: private bindgen_extra_c_flags = -I$(src)/include/uapi
$(obj)/rust/uapi_generated.rs: $(src)/rust/uapi/uapi_helper.h FORCE
	$(call if_changed_dep,bindgen)

# The bindings of vfence_drm.ko.
$(obj)/rust/drm_bindings_generated.rs: private bindgen_flags = --no-recursive-allowlist \
	--allowlist-function 'drm_syncobj_(add_point|create|find|find_fence|replace_fence)' \
	--allowlist-function 'drm_mode_size_dumb|drm_driver_color_mode_format' \
	--allowlist-type 'drm_syncobj' --opaque-type 'drm_syncobj' \
	--allowlist-var 'RUST_CONST_DRM_.*|DRM_FORMAT_INVALID'
$(obj)/rust/drm_bindings_generated.rs: $(src)/rust/bindings/drm_bindings_helper.h FORCE
	$(call if_changed_dep,bindgen)

$(obj)/rust/drm_helpers_generated.rs: private bindgen_flags = $(helpers_flags)
$(obj)/rust/drm_helpers_generated.rs: private bindgen_extra_c_flags = $(no_declarations)
$(obj)/rust/drm_helpers_generated.rs: private bindgen_then = $(helpers_names)
$(obj)/rust/drm_helpers_generated.rs: $(src)/rust/helpers/drm.c FORCE
	$(call if_changed_dep,bindgen)

$(obj)/rust/drm_uapi_generated.rs: private bindgen_flags = $(call uapi_flags,drm/vfence_drm.h)
$(obj)/rust/drm_uapi_generated.rs: private bindgen_extra_c_flags = -I$(src)/include/uapi
$(obj)/rust/drm_uapi_generated.rs: $(src)/rust/uapi/drm_uapi_helper.h FORCE
	$(call if_changed_dep,bindgen)

bindgen_results := $(addprefix rust/, \
	bindings_generated.rs helpers_generated.rs uapi_generated.rs)
bindgen_drm_results := $(addprefix rust/, \
	drm_bindings_generated.rs drm_helpers_generated.rs drm_uapi_generated.rs)
targets += $(bindgen_results) $(bindgen_drm_results)
clean-files += $(bindgen_results) $(bindgen_drm_results)

$(obj)/rust/vfence_main.o: $(addprefix $(obj)/, $(bindgen_results))
$(obj)/rust/vfence_drm_main.o: $(addprefix $(obj)/, $(bindgen_results) $(bindgen_drm_results))
