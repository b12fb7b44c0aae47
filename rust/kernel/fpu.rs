// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The vector registers of the processor, for copies that are as wide as those of user space.
//!
//! C header: [`include/linux/fpu.h`](srctree/include/linux/fpu.h), and of x86
//! [`arch/x86/include/asm/fpu/api.h`](srctree/arch/x86/include/asm/fpu/api.h)
//!
//! The kernel does without these registers, which hold what user space has left in them. Whoever needs them says so: a [`Section`]
//! is theirs. It cannot be preempted, so it has to be short.

#[cfg(CONFIG_X86_64)]
use crate::bindings;
use kernel::types::NotThreadSafe;

/// While it lives, the vector registers may be used, and the task is not preempted.
struct Section(NotThreadSafe);

impl Section {
    /// Begins a section, if the registers are to be had.
    #[cfg(CONFIG_X86_64)]
    fn begin() -> Option<Self> {
        // SAFETY: There are no requirements.
        if !unsafe { bindings::irq_fpu_usable() } {
            return None;
        }
        // SAFETY: They may be used here. `drop()` ends it, in the same task.
        unsafe { bindings::kernel_fpu_begin() };
        Some(Self(NotThreadSafe))
    }
}

#[cfg(CONFIG_X86_64)]
impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: It has been begun.
        unsafe { bindings::kernel_fpu_end() };
    }
}

/// How many bytes are copied before others may have their turn.
#[cfg(CONFIG_X86_64)]
const SECTION: usize = 32 << 10;

/// Copies the first of `length` bytes, in whole blocks, by vector registers, and returns how many that were: none where these are not to be
/// had. Others may change the memory meanwhile. If both overlap, anything may be there afterwards.
///
/// # Safety
///
/// Both must be valid for so many bytes.
#[cfg(CONFIG_X86_64)]
pub(crate) unsafe fn copy_blocks(to: *mut u8, from: *const u8, length: usize) -> usize {
    // SAFETY: There are no requirements.
    let avx = unsafe { bindings::boot_cpu_has_avx() };
    let block = if avx { 256 } else { 64 };
    let whole = length - length % block;
    let mut done = 0;
    while done < whole {
        let blocks = (whole - done).min(SECTION) / block;
        let Some(_section) = Section::begin() else {
            break;
        };
        // SAFETY: By the requirements of this function, as many blocks of that size are there from here on, and there is one at least. The
        // section makes the registers ours, which the processor has if it is said to have them.
        unsafe {
            let (to, from) = (to.add(done), from.add(done));
            if avx {
                copy_by_avx(to, from, blocks);
            } else {
                copy_by_sse(to, from, blocks);
            }
        }
        done += blocks * block;
    }
    done
}

/// Copies blocks of 256 bytes.
///
/// # Safety
///
/// There must be so many, one at least, and the registers of AVX must be the caller's.
#[cfg(CONFIG_X86_64)]
unsafe fn copy_by_avx(to: *mut u8, from: *const u8, blocks: usize) {
    // SAFETY: By the requirements of this function. The compiler, which is told that the kernel has no such registers, keeps nothing in
    // them.
    unsafe {
        core::arch::asm!(
            "2:",
            "vmovdqu ymm0, [{from}]",
            "vmovdqu ymm1, [{from} + 32]",
            "vmovdqu ymm2, [{from} + 64]",
            "vmovdqu ymm3, [{from} + 96]",
            "vmovdqu ymm4, [{from} + 128]",
            "vmovdqu ymm5, [{from} + 160]",
            "vmovdqu ymm6, [{from} + 192]",
            "vmovdqu ymm7, [{from} + 224]",
            "vmovdqu [{to}], ymm0",
            "vmovdqu [{to} + 32], ymm1",
            "vmovdqu [{to} + 64], ymm2",
            "vmovdqu [{to} + 96], ymm3",
            "vmovdqu [{to} + 128], ymm4",
            "vmovdqu [{to} + 160], ymm5",
            "vmovdqu [{to} + 192], ymm6",
            "vmovdqu [{to} + 224], ymm7",
            "add {from}, 256",
            "add {to}, 256",
            "dec {blocks}",
            "jnz 2b",
            "vzeroupper",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            blocks = inout(reg) blocks => _,
            options(nostack),
        )
    };
}

/// Copies blocks of 64 bytes.
///
/// # Safety
///
/// There must be so many, one at least, and the registers of SSE, which every processor of the architecture has, must be the caller's.
#[cfg(CONFIG_X86_64)]
unsafe fn copy_by_sse(to: *mut u8, from: *const u8, blocks: usize) {
    // SAFETY: By the requirements of this function. The compiler, which is told that the kernel has no such registers, keeps nothing in
    // them.
    unsafe {
        core::arch::asm!(
            "2:",
            "movdqu xmm0, [{from}]",
            "movdqu xmm1, [{from} + 16]",
            "movdqu xmm2, [{from} + 32]",
            "movdqu xmm3, [{from} + 48]",
            "movdqu [{to}], xmm0",
            "movdqu [{to} + 16], xmm1",
            "movdqu [{to} + 32], xmm2",
            "movdqu [{to} + 48], xmm3",
            "add {from}, 64",
            "add {to}, 64",
            "dec {blocks}",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            blocks = inout(reg) blocks => _,
            options(nostack),
        )
    };
}

/// Copies nothing: only x86-64 is known here.
///
/// # Safety
///
/// There are no requirements.
#[cfg(not(CONFIG_X86_64))]
pub(crate) unsafe fn copy_blocks(_to: *mut u8, _from: *const u8, _length: usize) -> usize {
    0
}

#[kernel::macros::kunit_tests(vfence_fpu)]
mod tests {
    use super::*;
    use kernel::prelude::*;

    const SIZE: usize = 100_000;

    /// Calls `copy` to copy `length` bytes from `offset` on, and looks at those that it says it has copied and at those around them.
    fn check(
        offset: usize,
        length: usize,
        copy: impl FnOnce(*mut u8, *const u8, usize) -> usize,
    ) -> Result<usize> {
        let mut from = KVVec::from_elem(0_u8, SIZE, GFP_KERNEL)?;
        for (index, byte) in from.iter_mut().enumerate() {
            *byte = (index * 7 % 251) as u8;
        }
        let mut to = KVVec::from_elem(0xff_u8, SIZE, GFP_KERNEL)?;
        let copied = copy(
            to.as_mut_ptr().wrapping_add(2),
            from.as_ptr().wrapping_add(offset),
            length,
        );
        let (before, rest) = to.split_at(2);
        let (new, after) = rest.split_at(copied);
        assert!(before.iter().all(|byte| *byte == 0xff));
        assert!(after.iter().all(|byte| *byte == 0xff));
        assert!(from.get(offset..offset + copied) == Some(new));
        Ok(copied)
    }

    #[test]
    fn whole_blocks_are_copied_and_nothing_else() -> Result {
        for (offset, length) in [
            (0, SIZE - 2),
            (1, SIZE - 3),
            (5, 63),
            (3, 256),
            (0, 0),
            (9, 257),
        ] {
            // SAFETY: Both have that much.
            let copied = check(offset, length, |to, from, length| unsafe {
                copy_blocks(to, from, length)
            })?;
            assert!(copied <= length);
            if cfg!(CONFIG_X86_64) {
                assert!(length - copied < 256);
            }
        }
        Ok(())
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn processors_without_avx_copy_too() -> Result {
        let copied = check(3, 64 * 500, |to, from, length| {
            let Some(_section) = Section::begin() else {
                return 0;
            };
            // SAFETY: Both have that much, and the section is ours.
            unsafe { copy_by_sse(to, from, length / 64) };
            length
        })?;
        assert_eq!(copied, 64 * 500);
        Ok(())
    }
}
