# SPDX-License-Identifier: GPL-2.0
#
# The kernel crates of older kernels lack parts of the API of the newest one. Each part has a line
# of Rust that compiles only with a crate that has the part. compat/lib.rs adds the parts whose
# lines do not compile. If nothing is missing, compat.args is empty and lib.rs is not used.

compat_parts := barrier_types dma_fence_enable_signaling errnos newtype_enums \
	param_value_ref poll_cond_var_box rcu_functions spin_lock_irq this_module

compat_probe_barrier_types := use kernel::sync::barrier::Read as _;
compat_probe_dma_fence_enable_signaling := \
	use kernel::bindings::dma_fence_enable_signaling as _;
compat_probe_errnos := use kernel::error::code::ECANCELED as _;
compat_probe_newtype_enums := \
	const _: kernel::bindings::dma_data_direction = \
		kernel::bindings::dma_data_direction::DMA_NONE;
compat_probe_param_value_ref := \
	const _: fn(&kernel::module_param::ModuleParamAccess<u32>) -> &u32 = \
		kernel::module_param::ModuleParamAccess::value_ref;
compat_probe_poll_cond_var_box := use kernel::sync::poll::PollCondVarBox as _;
compat_probe_rcu_functions := use kernel::sync::rcu::synchronize_rcu as _;
compat_probe_spin_lock_irq := use kernel::sync::SpinLockIrq as _;
compat_probe_this_module := use kernel::module::this_module as _;

# Compiles Rust on standard input with the kernel crate.
compat_rustc = $(RUSTC) $(rust_flags) --cap-lints=allow -Zunstable-options \
	-Zcrate-attr=no_std --sysroot=/dev/null -L $(objtree)/rust --extern kernel \
	--crate-type rlib --crate-name compat_probe --emit=metadata=$@.probe -

# -Zalways-encode-mir: without it, rustc, which makes no object here, would leave out the inline
# functions.
quiet_cmd_compat = PROBE   $@
      cmd_compat = \
	mkdir -p $(@D); \
	echo 'use kernel as _;' | $(compat_rustc); \
	{ $(foreach part,$(compat_parts), \
		echo '$(compat_probe_$(part))' | $(compat_rustc) 2>/dev/null || \
			echo '--cfg=lacks="$(part)"';) } >$@.lacks; \
	: >$@; \
	test ! -s $@.lacks || { \
		$(rust_common_cmd) -Zalways-encode-mir --crate-name vfence_compat @$@.lacks \
			$(patsubst %,--check-cfg='cfg(lacks$(comma)values("%"))',$(compat_parts)) \
			--emit=metadata=$(@D)/libvfence_compat.rmeta $<; \
		echo '--extern=kernel=$(abspath $(@D))/libvfence_compat.rmeta' >$@; \
	}

$(obj)/rust/compat.args: $(src)/rust/compat/lib.rs $(objtree)/rust/libkernel.rmeta FORCE
	+$(call if_changed,compat)

targets += rust/compat.args
clean-files += rust/compat.args rust/compat.args.lacks rust/compat.args.probe \
	rust/libvfence_compat.rmeta

$(obj)/rust/vfence_main.o $(obj)/rust/vfence_drm_main.o: $(obj)/rust/compat.args
RUSTFLAGS_rust/vfence_main.o := @$(abspath $(obj))/rust/compat.args
RUSTFLAGS_rust/vfence_drm_main.o := @$(abspath $(obj))/rust/compat.args
