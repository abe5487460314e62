//! The Global Information Page. `g_pSUPGlobalInfoPage` is in [`process`](crate::process).

#![expect(non_snake_case, reason = "the header's names")]

use std::ptr;

use sup_abi::{PhysAddr, SUPGLOBALINFOPAGE, Status};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::Out;
use crate::process;

c_functions! {
    /// Where the page is; NULL before `SUPR3Init` and after `SUPR3Term`.
    value fn SUPGetGIP() -> *mut SUPGLOBALINFOPAGE, or ptr::null_mut(); {
        process::gip()
    }

    /// Where the page is in physical memory.
    status fn SUPR3GipGetPhys(pHCPhys: *mut PhysAddr) {
        // SAFETY: the caller has room for an address there.
        let phys = unsafe { Out::required(pHCPhys) }?;
        phys.put(PhysAddr::NIL);
        let call = Call::begin().map_err(|_| Status::VERR_WRONG_ORDER)?;
        phys.put(call.gip.physical_address());
        Ok(Status::VINF_SUCCESS)
    }
}
