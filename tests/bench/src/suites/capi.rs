//! The suite `capi`: what the C library costs beside the Rust one that it stands on.
//!
//! The shared library is loaded, and its functions are called through pointers, as a program's calls go
//! through its table of imports. It has a driver of its own, beside the one of the Rust library in this
//! process; each side uses its own.

use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, ensure};
use sup::{Session, Timeout};
use sup_modules::HELLO;
use sup_modules::hello::{OP_NOP, SERVICE_HANDLER};

use super::open_session;
use super::shared_object::{ObjectFile, SharedObject};
use crate::figure::{Figure, Goal, Skip};
use crate::measure::{Pair, compare, each};

/// Where `cargo xtask bench` says that the library is.
const LIBRARY: &str = "SUP_BENCH_LIBRARY";
/// What a C call may cost beyond the Rust one, in nanoseconds.
const BEYOND_NS: f64 = 5.0;
/// What beginning and ending may cost, in microseconds.
const INIT_TERM_US: f64 = 2000.0;

pub(super) fn skips() -> Vec<Skip> {
    let reason = || format!("{LIBRARY} does not say where libsup.so is; `cargo xtask bench` does");
    match env::var_os(LIBRARY) {
        Some(_) => Vec::new(),
        None => vec![Skip { name: "calls from C", reason: reason() }],
    }
}

pub(super) fn run() -> Result<Vec<Figure>> {
    let Some(path) = env::var_os(LIBRARY) else { return Ok(Vec::new()) };
    let library = Library::load(Path::new(&path))?;
    // First, while no session keeps either driver running.
    let mut figures = vec![init_and_term(&library)?];
    ensure!(library.init() == 0, "SUPR3Init");
    let session = open_session()?;
    figures.extend([
        signal(&library, &session)?,
        signal_and_wait(&library, &session)?,
        create_and_close(&library, &session)?,
        service_call(&library, &session)?,
    ]);
    ensure!(library.term() == 0, "SUPR3Term");
    Ok(figures)
}

/// Any pointer of the header's; its functions look at what they get.
type Pointer = *mut c_void;

/// The functions that are measured, as the header declares them: handles are pointers, the flag of
/// `SUPR3Term` an int.
macro_rules! library {
    ($($field:ident: fn($($argument:ty),*) = $name:literal,)*) => {
        struct Library {
            $($field: unsafe extern "C" fn($($argument),*) -> c_int,)*
            /// Keeps the code where it is.
            _object: SharedObject,
        }

        impl Library {
            fn load(path: &Path) -> Result<Self> {
                let object = ObjectFile::new(path)?.open()?;
                Ok(Self {
                    $($field: {
                        let address = address(&object, $name)?;
                        // SAFETY: there is the function of that name in the header, whose arguments and
                        // result have the sizes and classes of those here. `_object` keeps it loaded.
                        unsafe {
                            std::mem::transmute::<
                                *const c_void,
                                unsafe extern "C" fn($($argument),*) -> c_int,
                            >(address)
                        }
                    },)*
                    _object: object,
                })
            }
        }
    };
}

library! {
    init: fn(Pointer) = c"SUPR3Init",
    term: fn(c_int) = c"SUPR3Term",
    create: fn(Pointer, *mut Pointer) = c"SUPSemEventCreate",
    close: fn(Pointer, Pointer) = c"SUPSemEventClose",
    signal: fn(Pointer, Pointer) = c"SUPSemEventSignal",
    wait: fn(Pointer, Pointer, u32) = c"SUPSemEventWaitNoResume",
    load_service: fn(*const c_char, *const c_char, *const c_char, *mut Pointer) = c"SUPR3LoadServiceModule",
    call: fn(*const c_char, usize, u32, u64, Pointer) = c"SUPR3CallR0Service",
}

fn address(object: &SharedObject, name: &CStr) -> Result<*const c_void> {
    let address = object.symbol(name).with_context(|| format!("the library has no {name:?}"))?;
    Ok(ptr::with_exposed_provenance(address))
}

impl Library {
    fn init(&self) -> c_int {
        // SAFETY: NULL says that the session is not asked for.
        unsafe { (self.init)(ptr::null_mut()) }
    }

    fn term(&self) -> c_int {
        // SAFETY: no pointer is passed.
        unsafe { (self.term)(0) }
    }

    fn create(&self) -> Result<Pointer> {
        let mut event = ptr::null_mut();
        // SAFETY: there is room for a handle.
        succeeded(unsafe { (self.create)(ptr::null_mut(), &raw mut event) })?;
        Ok(event)
    }

    #[inline(always)]
    fn close(&self, event: Pointer) -> Result<()> {
        // SAFETY: the session is ignored, and a handle is a number.
        succeeded(unsafe { (self.close)(ptr::null_mut(), event) })
    }

    #[inline(always)]
    fn signal(&self, event: Pointer) -> Result<()> {
        // SAFETY: the session is ignored, and a handle is a number.
        succeeded(unsafe { (self.signal)(ptr::null_mut(), event) })
    }

    #[inline(always)]
    fn wait(&self, event: Pointer) -> Result<()> {
        // SAFETY: the session is ignored, and a handle is a number.
        succeeded(unsafe { (self.wait)(ptr::null_mut(), event, 1000) })
    }
}

#[inline(always)]
fn succeeded(status: c_int) -> Result<()> {
    ensure!(status >= 0, "a call from C answered {status}");
    Ok(())
}

fn init_and_term(library: &Library) -> Result<Figure> {
    let pair = compare(
        each(|| succeeded(library.init()).and_then(|()| succeeded(library.term()))),
        each(|| open_session().map(drop)),
    )?;
    let compared_to = "a session opened and dropped in Rust".into();
    let (pair, goal) = (pair.scaled(1e-3, 1e-3), Some(Goal::Median(INIT_TERM_US)));
    Ok(Figure { name: "SUPR3Init + SUPR3Term".into(), unit: "us", compared_to, pair, goal })
}

fn signal(library: &Library, session: &Session) -> Result<Figure> {
    let (from_c, event) = (library.create()?, session.event()?);
    let pair =
        compare(each(|| library.signal(black_box(from_c))), each(|| black_box(&event).signal()))?;
    library.close(from_c)?;
    Ok(figure("SUPSemEventSignal", "EventSemaphore::signal", pair, 1.0))
}

fn signal_and_wait(library: &Library, session: &Session) -> Result<Figure> {
    let (from_c, event) = (library.create()?, session.event()?);
    let pair = compare(
        each(|| {
            let event = black_box(from_c);
            library.signal(event)?;
            library.wait(event)
        }),
        each(|| -> Result<()> {
            let event = black_box(&event);
            event.signal()?;
            Ok(event.wait(Timeout::Millis(1000))?)
        }),
    )?;
    library.close(from_c)?;
    Ok(figure("signal + SUPSemEventWaitNoResume", "signal + wait", pair, 2.0))
}

fn create_and_close(library: &Library, session: &Session) -> Result<Figure> {
    let pair = compare(
        each(|| library.create().and_then(|event| library.close(event))),
        each(|| session.event().map(drop)),
    )?;
    Ok(figure("SUPSemEventCreate + Close", "the same in Rust", pair, 2.0))
}

fn service_call(library: &Library, session: &Session) -> Result<Figure> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(HELLO.image)?;
    let path = CString::new(file.path().as_os_str().as_encoded_bytes())?;
    let (name, handler) = (CString::new(HELLO.name)?, CString::new(SERVICE_HANDLER)?);
    let mut base = ptr::null_mut();
    // SAFETY: three terminated strings, and room for an address.
    let loaded = unsafe {
        (library.load_service)(path.as_ptr(), name.as_ptr(), handler.as_ptr(), &raw mut base)
    };
    succeeded(loaded)?;
    let service = session.load_service_image(HELLO.image, HELLO.name, SERVICE_HANDLER)?;
    let length = name.as_bytes().len();
    let pair = compare(
        each(|| {
            // SAFETY: a string with its length, and no packet.
            succeeded(unsafe {
                (library.call)(name.as_ptr(), length, OP_NOP, black_box(0), ptr::null_mut())
            })
        }),
        each(|| black_box(&service).call(OP_NOP, black_box(0)).map(|_| ())),
    )?;
    Ok(figure("SUPR3CallR0Service", "ServiceModule::call", pair, 1.0))
}

fn figure(name: &str, compared_to: &str, pair: Pair, calls: f64) -> Figure {
    let goal = Some(Goal::Beyond(calls * BEYOND_NS));
    Figure { name: name.into(), unit: "ns", compared_to: compared_to.into(), pair, goal }
}
