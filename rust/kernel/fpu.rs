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

/// How many bytes are copied before others may have their turn, and how many at once.
#[cfg(CONFIG_X86_64)]
const SECTION: usize = 32 << 10;
#[cfg(CONFIG_X86_64)]
const BLOCK: usize = 64;

/// Copies the first of `length` bytes, in whole blocks, by vector registers, and returns how many that were: none where these are not to be
/// had. Others may change the memory meanwhile. If both overlap, anything may be there afterwards.
///
/// # Safety
///
/// Both must be valid for so many bytes.
#[cfg(CONFIG_X86_64)]
pub(crate) unsafe fn copy_blocks(to: *mut u8, from: *const u8, length: usize) -> usize {
    let whole = length - length % BLOCK;
    let mut done = 0;
    while done < whole {
        let blocks = (whole - done).min(SECTION) / BLOCK;
        let Some(_section) = Section::begin() else {
            break;
        };
        // SAFETY: By the requirements of this function, as many blocks are there from here on, and there is one at least. Every
        // processor of the architecture has these registers. The section makes them ours; the compiler, which is told that the kernel has
        // none, keeps nothing in them.
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
                from = inout(reg) from.add(done) => _,
                to = inout(reg) to.add(done) => _,
                blocks = inout(reg) blocks => _,
                options(nostack),
            )
        };
        done += blocks * BLOCK;
    }
    done
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

    #[test]
    fn whole_blocks_are_copied_and_nothing_else() -> Result {
        const SIZE: usize = 200_000;

        let mut from = KVVec::from_elem(0_u8, SIZE, GFP_KERNEL)?;
        for (index, byte) in from.iter_mut().enumerate() {
            *byte = (index * 7 % 251) as u8;
        }
        for (offset, length) in [(0, SIZE), (1, SIZE - 3), (5, 63), (3, 64), (0, 0), (9, 65)] {
            let mut to = KVVec::from_elem(0xff_u8, SIZE, GFP_KERNEL)?;
            // SAFETY: Both have more than that from there on.
            let copied = unsafe {
                copy_blocks(
                    to.as_mut_ptr().add(2),
                    from.as_ptr().add(offset),
                    length - length.min(2),
                )
            };
            let (before, rest) = to.split_at(2);
            let (new, after) = rest.split_at(copied);
            assert!(copied <= length && copied % 64 == 0);
            assert!(before.iter().all(|byte| *byte == 0xff));
            assert!(after.iter().all(|byte| *byte == 0xff));
            assert!(from.get(offset..offset + copied) == Some(new));
            if cfg!(CONFIG_X86_64) {
                assert!(length - copied < 64 + 2);
            }
        }
        Ok(())
    }
}
