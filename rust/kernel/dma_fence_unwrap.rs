// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fences inside containers.
//!
//! C header: [`include/linux/dma-fence-unwrap.h`](srctree/include/linux/dma-fence-unwrap.h)

use super::dma_fence::Fence;
use crate::bindings;
use core::ptr::NonNull;
use kernel::sync::aref::ARef;

/// Returns the fences inside `head`.
///
/// The containers are `dma_fence_array` and `dma_fence_chain`. For any other fence, this is the
/// fence itself. Signalled links of a chain are skipped, including their errors.
pub(crate) fn unwrap(head: &Fence) -> Unwrap<'_> {
    Unwrap { head, cursor: None }
}

/// The iterator of [`unwrap`].
///
/// # Invariants
///
/// `cursor` was initialised by `dma_fence_unwrap_first()`, and owns the reference in its `chain`,
/// which may be null.
pub(crate) struct Unwrap<'a> {
    head: &'a Fence,
    cursor: Option<bindings::dma_fence_unwrap>,
}

impl Unwrap<'_> {
    /// Returns the link of a chain if the fence that the iterator returned last is the first one of
    /// that link. The link signals when this fence and those that the iterator has yet to return
    /// have signalled.
    pub(crate) fn link(&self) -> Option<&Fence> {
        let cursor = self.cursor.as_ref().filter(|cursor| cursor.index == 0)?;
        let chain = NonNull::new(cursor.chain)?.cast::<Fence>();
        // SAFETY: By the type invariants the cursor owns a reference to the fence, until it moves
        // on.
        let chain = unsafe { chain.as_ref() };
        chain.is_chain().then_some(chain)
    }
}

impl Iterator for Unwrap<'_> {
    type Item = ARef<Fence>;

    fn next(&mut self) -> Option<ARef<Fence>> {
        let fence = match &mut self.cursor {
            None => {
                // INVARIANT: The function below initialises the cursor.
                let cursor = self.cursor.insert(bindings::dma_fence_unwrap::default());
                // SAFETY: The head is a valid fence, and the cursor is valid for writes.
                unsafe { bindings::dma_fence_unwrap_first(self.head.as_raw(), cursor) }
            }
            Some(cursor) if cursor.chain.is_null() => return None,
            // SAFETY: By the type invariants the cursor is initialised. It is not at its end.
            Some(cursor) => unsafe { bindings::dma_fence_unwrap_next(cursor) },
        };
        let fence = NonNull::new(fence)?.cast::<Fence>();
        // SAFETY: Until the cursor moves on, its `chain` holds a reference to the outermost
        // container, and each container holds references to its fences.
        Some(unsafe { fence.as_ref() }.into())
    }
}

impl Drop for Unwrap<'_> {
    fn drop(&mut self) {
        if let Some(cursor) = &self.cursor {
            // SAFETY: By the type invariants the cursor owns the reference, which may be null.
            unsafe { bindings::dma_fence_put(cursor.chain) };
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_unwrap)]
mod tests {
    use super::*;
    use crate::kernel_ext::{
        dma_fence::{
            fixture::pending,
            Context, //
        },
        dma_fence_array::array,
        dma_fence_chain::chain, //
    };
    use kernel::prelude::*;

    #[test]
    fn fence_that_is_no_container_is_returned() -> Result {
        let fence = pending()?;
        let mut leaves = unwrap(fence.fence());
        assert_eq!(
            leaves.next().map(|leaf| leaf.as_raw()),
            Some(fence.fence().as_raw())
        );
        assert!(leaves.next().is_none());
        assert!(leaves.next().is_none());
        // An iterator that is dropped early drops its reference.
        drop(unwrap(fence.fence()).next());
        Ok(())
    }

    /// Asserts that exactly these fences are inside `head`, in this order.
    fn assert_leaves(head: &Fence, expected: &[&Fence]) {
        let mut leaves = unwrap(head);
        for fence in expected {
            let leaf = leaves.next();
            assert!(
                leaf.is_some_and(|leaf| leaf.as_raw() == fence.as_raw() && !leaf.is_container())
            );
        }
        assert!(leaves.next().is_none());
    }

    fn list(fences: &[&Fence]) -> Result<KVec<ARef<Fence>>> {
        let mut list = KVec::new();
        for fence in fences {
            list.push((*fence).into(), GFP_KERNEL)?;
        }
        Ok(list)
    }

    #[test]
    fn array_is_iterated_in_order() -> Result {
        let (one, two) = (pending()?, pending()?);
        let fences = [one.fence(), two.fence()];
        let array = array(list(&fences)?, Context::new(), 1)?;
        assert_leaves(&array, &fences);
        Ok(())
    }

    #[test]
    fn chain_is_iterated_from_its_last_link() -> Result {
        let (one, two) = (pending()?, pending()?);
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), two.fence().into(), 2)?;
        assert_leaves(&second, &[two.fence(), one.fence()]);
        Ok(())
    }

    #[test]
    fn signalled_link_is_skipped() -> Result {
        let (one, two) = (pending()?, pending()?);
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), two.fence().into(), 2)?;
        one.complete(Err(EIO), 1);
        assert_leaves(&second, &[two.fence()]);
        Ok(())
    }

    #[test]
    fn array_in_a_chain_is_iterated() -> Result {
        let (one, two, three) = (pending()?, pending()?, pending()?);
        let array = array(list(&[two.fence(), three.fence()])?, Context::new(), 1)?;
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first), array, 2)?;
        assert_leaves(&second, &[two.fence(), three.fence(), one.fence()]);
        Ok(())
    }

    #[test]
    fn link_is_that_of_the_first_fence() -> Result {
        let (one, two, three) = (pending()?, pending()?, pending()?);
        let array = array(list(&[two.fence(), three.fence()])?, Context::new(), 1)?;
        let first = chain(None, one.fence().into(), 1)?;
        let second = chain(Some(first.clone()), array, 2)?;
        let mut leaves = unwrap(&second);
        assert!(leaves.link().is_none());
        for expected in [Some(&second), None, Some(&first), None] {
            leaves.next();
            assert_eq!(
                leaves.link().map(Fence::as_raw),
                expected.map(|link| link.as_raw())
            );
        }
        let mut leaf = unwrap(one.fence());
        leaf.next();
        assert!(leaf.link().is_none());
        Ok(())
    }

    #[test]
    fn returned_fence_outlives_the_iterator() -> Result {
        let (one, two) = (pending()?, pending()?);
        let array = array(list(&[one.fence(), two.fence()])?, Context::new(), 1)?;
        let mut leaves = unwrap(&array);
        let leaf = leaves.next().ok_or(EINVAL)?;
        drop(leaves);
        drop(array);
        assert_eq!(leaf.as_raw(), one.fence().as_raw());
        Ok(())
    }
}
