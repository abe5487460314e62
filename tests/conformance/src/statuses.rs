//! Which status every request can answer, and which of them were seen.
//!
//! Every answer to a raw packet is noted. After all cases have run in one process, [`unseen`] names the
//! statuses that no case provoked, so that a new status of the driver needs a case here, or a reason in
//! [`UNPROVOKED`].

use std::collections::BTreeSet;

use parking_lot::Mutex;
use sup::Status;
use sup::backend::Kind;
use sup_abi::request::Function;

use crate::backend::Backend;

/// A request, and the statuses that it answers; those of a service's own aside.
type Row = (Function, &'static [Status]);

/// What each request can answer, once its packet is well-formed.
pub const STATUSES: &[Row] = {
    use Function as F;
    use Status as S;
    &[
        (F::Connect, &[S::VINF_SUCCESS, S::VERR_INVALID_MAGIC, S::VERR_VERSION_MISMATCH]),
        (
            F::LoadModule,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_PARAMETER,
                S::VERR_INTERNAL_ERROR,
                S::VERR_BAD_EXE_FORMAT,
                S::VERR_SYMBOL_NOT_FOUND,
                S::VERR_ALREADY_EXISTS,
                S::VERR_INTERRUPTED,
                S::VERR_PERMISSION_DENIED,
                S::VERR_ACCESS_DENIED,
                S::VERR_VERSION_MISMATCH,
                S::VERR_NOT_SUPPORTED,
                S::VERR_NO_EXEC_MEMORY,
                S::VERR_NO_MEMORY,
            ],
        ),
        (F::FreeModule, &[S::VINF_SUCCESS, S::VERR_INVALID_HANDLE, S::VERR_DANGLING_OBJECTS]),
        (F::GetSymbol, &[S::VINF_SUCCESS, S::VERR_INVALID_HANDLE, S::VERR_SYMBOL_NOT_FOUND]),
        (F::CallVmm, &[S::VINF_SUCCESS, S::VERR_WRONG_ORDER]),
        (
            F::LowAlloc,
            &[
                S::VINF_SUCCESS,
                S::VERR_PAGE_COUNT_OUT_OF_RANGE,
                S::VERR_NO_LOW_MEMORY,
                S::VERR_NO_MEMORY,
            ],
        ),
        (F::LowFree, &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER]),
        (
            F::PageAllocEx,
            &[
                S::VINF_SUCCESS,
                S::VERR_PAGE_COUNT_OUT_OF_RANGE,
                S::VERR_NO_MEMORY,
                S::VERR_NO_PHYS_MEMORY,
            ],
        ),
        (F::PageFree, &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER]),
        (
            F::PageMapKernel,
            &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER, S::VERR_MAP_FAILED, S::VERR_NO_MEMORY],
        ),
        (
            F::PageProtect,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_PARAMETER,
                S::VERR_NOT_SUPPORTED,
                S::VERR_PERMISSION_DENIED,
                S::VERR_NO_MEMORY,
            ],
        ),
        (
            F::LockPages,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_PARAMETER,
                S::VERR_OUT_OF_RANGE,
                S::VERR_LOCK_FAILED,
                S::VERR_NO_MEMORY,
            ],
        ),
        (F::UnlockPages, &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER]),
        (
            F::ContAlloc,
            &[
                S::VINF_SUCCESS,
                S::VERR_PAGE_COUNT_OUT_OF_RANGE,
                S::VERR_NO_CONT_MEMORY,
                S::VERR_NO_MEMORY,
            ],
        ),
        (F::ContFree, &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER]),
        (F::GetPagingMode, &[S::VINF_SUCCESS]),
        (
            F::SetVm,
            &[S::VINF_SUCCESS, S::VERR_WRONG_ORDER, S::VERR_ALREADY_EXISTS, S::VERR_ACCESS_DENIED],
        ),
        (F::GipMap, &[S::VINF_SUCCESS, S::VERR_MAP_FAILED, S::VERR_NO_MEMORY]),
        (F::GipUnmap, &[S::VINF_SUCCESS]),
        (F::CallService, &[S::VINF_SUCCESS, S::VERR_SUPDRV_SERVICE_NOT_FOUND]),
        (
            F::LoggerSettings,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_PARAMETER,
                S::VERR_NOT_FOUND,
                S::VERR_ALREADY_EXISTS,
                S::VERR_ACCESS_DENIED,
            ],
        ),
        (
            F::TracerOpen,
            &[
                S::VINF_SUCCESS,
                S::VERR_SUPDRV_TRACER_ALREADY_OPENED,
                S::VERR_SUPDRV_TRACER_NOT_PRESENT,
            ],
        ),
        (
            F::TracerClose,
            &[S::VINF_SUCCESS, S::VERR_SUPDRV_TRACER_NOT_OPENED, S::VERR_SUPDRV_TRACER_NOT_PRESENT],
        ),
        (F::TracerIoCtl, &[S::VERR_SUPDRV_TRACER_NOT_OPENED, S::VERR_SUPDRV_TRACER_NOT_PRESENT]),
        (
            F::TracerRegisterUserModule,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_PARAMETER,
                S::VERR_ACCESS_DENIED,
                S::VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG,
                S::VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT,
                S::VERR_SUPDRV_VTG_MAGIC,
                S::VERR_SUPDRV_VTG_BITS,
                S::VERR_SUPDRV_VTG_BAD_HDR_MISC,
                S::VERR_SUPDRV_VTG_ALREADY_REGISTERED,
            ],
        ),
        (F::TracerDeregisterUserModule, &[S::VINF_SUCCESS, S::VERR_NOT_FOUND]),
        (F::TracerFire, &[S::VINF_SUCCESS]),
        (
            F::SemaphoreOp,
            &[
                S::VINF_SUCCESS,
                S::VINF_OBJECT_DESTROYED,
                S::VERR_INVALID_HANDLE,
                S::VERR_INVALID_FUNCTION,
                S::VERR_INTERRUPTED,
                S::VERR_TIMEOUT,
                S::VERR_SEM_DESTROYED,
            ],
        ),
        (
            F::SemaphoreCreate,
            &[
                S::VINF_SUCCESS,
                S::VERR_INVALID_FUNCTION,
                S::VERR_NO_MORE_HANDLES,
                S::VERR_NO_MEMORY,
            ],
        ),
        (F::ModulePolicy, &[S::VINF_SUCCESS]),
        (F::CallVmmBig, &[S::VINF_SUCCESS, S::VERR_WRONG_ORDER]),
        (F::Statistics, &[S::VINF_SUCCESS]),
        (
            F::SemaphoreWords,
            &[S::VINF_SUCCESS, S::VERR_INVALID_PARAMETER, S::VERR_MAP_FAILED, S::VERR_NO_MEMORY],
        ),
        (F::CallVmmFast, &[S::VINF_SUCCESS, S::VERR_INTERNAL_ERROR]),
        (F::ListModules, &[S::VINF_SUCCESS, S::VERR_NOT_FOUND]),
        (F::LoggerState, &[S::VINF_SUCCESS]),
    ]
};

/// A status that no case can provoke, and why.
#[derive(Debug, Clone, Copy)]
pub struct Unprovoked {
    /// The request.
    pub function: Function,
    /// The status.
    pub status: Status,
    /// The backend that it cannot be provoked in; `None` for all.
    pub backend: Option<Kind>,
    /// Why.
    pub why: &'static str,
}

/// What no case can provoke.
pub const UNPROVOKED: &[Unprovoked] = {
    use Function as F;
    use Status as S;
    const HEAP: &str = "the driver's heap would have to be empty: its unit tests do that";
    const fn row(
        function: Function,
        status: Status,
        backend: Option<Kind>,
        why: &'static str,
    ) -> Unprovoked {
        Unprovoked { function, status, backend, why }
    }
    &[
        row(F::LoadModule, S::VERR_NO_MEMORY, None, HEAP),
        row(F::LowAlloc, S::VERR_NO_MEMORY, None, HEAP),
        row(F::ContAlloc, S::VERR_NO_MEMORY, None, HEAP),
        row(F::PageMapKernel, S::VERR_NO_MEMORY, None, HEAP),
        row(
            F::PageProtect,
            S::VERR_NO_MEMORY,
            None,
            "the host would have to be out of memory for its mappings: the kernel's tests do that",
        ),
        row(
            F::LockPages,
            S::VERR_NO_MEMORY,
            None,
            "the suite runs as root, whom no limit on locked memory binds",
        ),
        row(
            F::PageProtect,
            S::VERR_PERMISSION_DENIED,
            Some(Kind::Embedded),
            "in a process a module has no other rights than who loads it",
        ),
        row(F::SemaphoreCreate, S::VERR_NO_MEMORY, None, HEAP),
        row(F::SemaphoreWords, S::VERR_NO_MEMORY, None, HEAP),
        row(F::GipMap, S::VERR_NO_MEMORY, None, "no thread would have to be left for the timer"),
        row(
            F::LoadModule,
            S::VERR_PERMISSION_DENIED,
            Some(Kind::Embedded),
            "in a process a module has no other rights than who loads it",
        ),
        row(
            F::LoadModule,
            S::VERR_NOT_SUPPORTED,
            Some(Kind::Embedded),
            "unless SUP_MODULE_POLICY says so, a process loads what was not made for the kernel",
        ),
        row(
            F::LoadModule,
            S::VERR_NO_EXEC_MEMORY,
            Some(Kind::Kernel),
            "the kernel's address space for code does not run out",
        ),
        row(
            F::SemaphoreWords,
            S::VERR_MAP_FAILED,
            Some(Kind::Embedded),
            "the words are the driver's own memory, which the process has already",
        ),
    ]
};

/// Function, transport status, request status (zero if the transport failed).
static SEEN: Mutex<BTreeSet<(u32, i32, i32)>> = Mutex::new(BTreeSet::new());

/// Notes an answer.
pub(crate) fn note(function: u32, transport: Status, request: Status) {
    let request = if transport == Status::VINF_SUCCESS { request.raw() } else { 0 };
    SEEN.lock().insert((function, transport.raw(), request));
}

/// What [`STATUSES`] lists and nobody saw, nor excuses in [`UNPROVOKED`]; and what was seen although it
/// is excused.
pub fn unseen(backend: &dyn Backend) -> Vec<String> {
    let seen = SEEN.lock();
    let is_seen = |function: Function, status: Status| {
        seen.contains(&(function.into(), Status::VINF_SUCCESS.raw(), status.raw()))
    };
    let is_excused = |function: Function, status: Status| {
        UNPROVOKED.iter().any(|row| {
            (row.function, row.status) == (function, status)
                && row.backend.is_none_or(|kind| kind == backend.kind())
        })
    };
    let mut complaints = Vec::new();
    for (function, statuses) in STATUSES {
        let malformed = Status::VERR_INVALID_PARAMETER.raw();
        if !seen.contains(&(u32::from(*function), malformed, 0)) {
            complaints.push(format!("{function:?} was never sent malformed"));
        }
        for status in *statuses {
            match (is_seen(*function, *status), is_excused(*function, *status)) {
                (false, false) => complaints.push(format!("{function:?} never answered {status}")),
                (true, true) => complaints.push(format!("{function:?} did answer {status}")),
                _ => {}
            }
        }
    }
    complaints
}
