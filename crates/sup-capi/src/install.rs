//! `SUPR3Install` and `SUPR3Uninstall`, which need no session. Neighbour: `sup-install` does it all, and tells
//! each step to `supctl`; in C there is room for the status alone.

use sup_abi::Status;
use sup_install::{Machine, Mode, install, uninstall};

use crate::entry::c_functions;

c_functions! {
    /// Brings the driver onto this machine.
    status fn SUPR3Install() {
        install(&Machine, Mode::ForReal, &mut |_| ()).map(|()| Status::VINF_SUCCESS)
    }

    /// Takes the driver off this machine.
    status fn SUPR3Uninstall() {
        uninstall(&Machine, Mode::ForReal, &mut |_| ()).map(|()| Status::VINF_SUCCESS)
    }
}
