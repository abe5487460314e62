//! What the machine is like.

#![expect(non_snake_case, reason = "the header's names")]

use sup_abi::{SUPPAGINGMODE, Status};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::Out;

c_functions! {
    /// The paging mode of the host.
    value fn SUPR3GetPagingMode() -> SUPPAGINGMODE, or SUPPAGINGMODE::Invalid; {
        let mode = Call::begin().and_then(|call| Ok(call.session.paging_mode()?));
        mode.unwrap_or(SUPPAGINGMODE::Invalid)
    }

    /// The virtualisation capabilities of the host, or why there are none.
    status fn SUPR3QueryVTCaps(pfCaps: *mut u32) {
        // SAFETY: the caller has room for a number there.
        let caps = unsafe { Out::required(pfCaps) }?;
        caps.put(0);
        caps.put(Call::begin()?.session.vt_caps()?);
        Ok(Status::VINF_SUCCESS)
    }

    /// Whether the kernel is new enough to run with VT-x in use. Needs no driver, and no `SUPR3Init`.
    status fn SUPR3QueryVTxSupported() {
        sup::vtx_supported()?;
        Ok(Status::VINF_SUCCESS)
    }
}
