// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The export of memory in a new buffer.

use super::{
    buf::DmaBuf,
    exporter::{
        Exported,
        Exporter, //
    },
    ops::ExporterOps, //
};
use crate::{
    bindings,
    kernel_ext::vmalloc::Pages, //
};
use kernel::{
    error::from_err_ptr,
    fs::file::flags::O_RDWR,
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

impl DmaBuf {
    /// Exports memory. When the last reference to the buffer is dropped, the exporter is dropped in
    /// process context.
    ///
    /// Fails with `ENOENT` if the module is being unloaded, `ENFILE`, `ENOMEM`.
    pub(crate) fn export<T: Exporter>(exporter: T, pages: Arc<Pages>) -> Result<ARef<Self>> {
        // SAFETY: These are the operations of a buffer with an `Exported<T>`.
        unsafe { Self::export_with(exporter, pages, &ExporterOps::<T>::TABLE) }
    }

    /// Exports memory with the given operations.
    ///
    /// # Safety
    ///
    /// The operations must treat the buffer's private data as a pinned `KBox<Exported<T>>`, which
    /// `release` must free.
    pub(super) unsafe fn export_with<T: Exporter>(
        exporter: T,
        pages: Arc<Pages>,
        ops: &'static bindings::dma_buf_ops,
    ) -> Result<ARef<Self>> {
        let size = pages.size();
        let exported = Exported::new(exporter, pages);
        let exporter = KBox::pin_init(exported, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: `ExporterOps::release()` frees the box without moving its content.
        let exporter = KBox::into_raw(unsafe { Pin::into_inner_unchecked(exporter) });
        let info = bindings::dma_buf_export_info {
            exp_name: T::NAME.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops,
            size,
            // CAST: `O_RDWR` is 2.
            flags: O_RDWR as c_int,
            resv: core::ptr::null_mut(),
            priv_: exporter.cast(),
        };
        // SAFETY: `info` is valid. By the safety requirements of this function the operations match
        // the private data, which the buffer owns on success.
        match from_err_ptr(unsafe { bindings::dma_buf_export(&info) }) {
            // SAFETY: The function returned a new buffer with a reference, which `ARef` takes over.
            Ok(buf) => Ok(unsafe { Self::from_owned(buf) }),
            Err(error) => {
                // SAFETY: The pointer is from `KBox::into_raw()`, and the core did not keep it.
                drop(unsafe { Pin::new_unchecked(KBox::from_raw(exporter)) });
                Err(error)
            }
        }
    }
}
