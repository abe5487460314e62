//! Ring-0 module images: loaded once, shared by sessions, called through their services.
//!
//! [`table`] keeps who loaded what; [`LoadedImage`] is one image with what runs in it. A module's own
//! code (its `ModuleInit`, `ModuleTerm`, services and destructors) runs with no lock held. A thread
//! that wants a name that is just coming or going waits until it has come to rest.
//!
//! ```text
//! (no entry) ── load ──▶ Busy ── ModuleInit succeeded ──▶ Live ── last reference ──▶ Busy ──▶ (no entry)
//!                          └───── any failure ──▶ (no entry)
//! ```
//! Identity is the name and the SHA-256 of the file without its signature: other bits under a loaded name
//! are refused. [`policy`] decides before all else whether a file may be loaded.
//!
//! An image in which a thread died stays `Live`, with a reference that nobody gives back ([`calls`]).
//!
//! Invariant: an image is unmapped when no session refers to it and no call runs in it; entry points
//! are visible only while it is `Live`.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrayvec::ArrayString;
use sup_abi::request::MESSAGE_BYTES;
use sup_abi::{IMAGE_NAME_CHARS_MAX, R0Ptr, Status};
use sup_alloc::Arc;
use sup_signature::ContentHash;

use self::calls::Code;
use self::policy::{Admitted, Signer};
use self::vmm::VmmEntries;
use crate::Deadline;
use crate::host::{EntryPoint, Host, Image, Interruption, Wait, WaitQueue};

pub(crate) mod calls;
mod linked;
mod list;
pub(crate) mod policy;
pub(crate) mod table;
pub(crate) mod vmm;

/// A sentence of bounded length. What does not fit is cut off at a word of the format.
pub type Message = ArrayString<{ MESSAGE_BYTES - 1 }>;

/// Why a module was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The status of the request.
    pub status: Status,
    /// The cause, as a sentence without its final stop; may be empty.
    pub message: Message,
}

impl LoadError {
    /// An error with a sentence.
    pub fn new(status: Status, sentence: fmt::Arguments<'_>) -> Self {
        let mut message = Message::new();
        // A sentence that is too long is cut.
        let _ = message.write_fmt(sentence);
        Self { status, message }
    }
}

impl From<Status> for LoadError {
    fn from(status: Status) -> Self {
        Self { status, message: Message::new() }
    }
}

impl From<sup_alloc::OutOfMemory> for LoadError {
    fn from(error: sup_alloc::OutOfMemory) -> Self {
        Status::from(error).into()
    }
}

/// The name of a module.
pub type ModuleName = ArrayString<IMAGE_NAME_CHARS_MAX>;

/// Checks a module's name.
///
/// # Errors
/// `VERR_INVALID_PARAMETER`: empty or with a character that names do not have;
/// `VERR_FILENAME_TOO_LONG`.
pub(crate) fn checked_name(name: &str) -> Result<ModuleName, LoadError> {
    const FORBIDDEN: &[u8] = b";:()[]{}/\\|&*%#@!~`\"'";
    if name.is_empty() {
        return Err(LoadError::new(
            Status::VERR_INVALID_PARAMETER,
            format_args!("the name of the module is empty"),
        ));
    }
    let is_bad = |c: char| FORBIDDEN.iter().any(|bad| char::from(*bad) == c) || c.is_control();
    if let Some(bad) = name.chars().find(|c| is_bad(*c)) {
        return Err(LoadError::new(
            Status::VERR_INVALID_PARAMETER,
            format_args!("the name of a module cannot contain {}", Shown(bad)),
        ));
    }
    ModuleName::from(name).map_err(|_| {
        LoadError::new(
            Status::VERR_FILENAME_TOO_LONG,
            format_args!(
                "the name of a module has at most {IMAGE_NAME_CHARS_MAX} bytes, this has {}",
                name.len()
            ),
        )
    })
}

/// A character for a person to read, whatever it is. (Not `Debug`, whose table of printable characters
/// can panic in the eyes of the compiler.)
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(character) = *self;
        if !character.is_control() {
            write!(f, "'{character}', ")?;
        }
        write!(f, "U+{:04X}", u32::from(character))
    }
}

/// Lets threads wait until a name in the table has come to rest.
pub(crate) struct Rest<H: Host> {
    queue: H::WaitQueue,
    is_busy: AtomicBool,
}

impl<H: Host> Rest<H> {
    fn busy() -> Self {
        Self { queue: H::WaitQueue::default(), is_busy: AtomicBool::new(true) }
    }

    fn set(&self, is_busy: bool) {
        // Release: pairs with the acquire in `wait`.
        self.is_busy.store(is_busy, Ordering::Release);
        if !is_busy {
            self.queue.wake_all();
        }
    }

    fn wait(&self) -> Result<(), Status> {
        let wait = Wait { deadline: Deadline::Never, interruption: Interruption::Allowed };
        // Acquire: pairs with the release in `set`.
        let at_rest = || (!self.is_busy.load(Ordering::Acquire)).then_some(());
        self.queue.wait(wait, at_rest).map_err(Status::from)
    }
}

/// A module image, as long as anybody refers to it or runs in it.
pub(crate) struct LoadedImage<H: Host> {
    name: ModuleName,
    hash: ContentHash,
    signer: Signer,
    image: Code<H>,
    term: Option<EntryPoint>,
    /// `None` for every other module than the VMM.
    vmm: Option<VmmEntries>,
    /// The VMM, if the image imports from it: counted among its dependents.
    provider: Option<Arc<LoadedImage<H>>>,
    /// Address of the service request handler, 0 while there is none.
    handler: AtomicU64,
    /// What the module knows itself by.
    module: R0Ptr,
}

impl<H: Host> LoadedImage<H> {
    #[inline(never)]
    pub(crate) fn try_new(
        name: ModuleName,
        admitted: &Admitted<'_>,
        image: H::Image,
        module: R0Ptr,
        vmm: Option<VmmEntries>,
        provider: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, sup_alloc::OutOfMemory> {
        let term = image.entry_point("ModuleTerm");
        let image = Code::try_new(image)?;
        Arc::try_new(Self {
            vmm,
            name,
            hash: admitted.hash,
            signer: admitted.signer,
            image,
            term,
            provider,
            handler: AtomicU64::new(0),
            module,
        })
    }

    pub(crate) fn vmm_entries(&self) -> Option<VmmEntries> {
        self.vmm
    }

    pub(crate) fn image(&self) -> &H::Image {
        &self.image
    }

    /// Makes the image a service, or finds that it is one with this handler already.
    ///
    /// # Errors
    /// `VERR_SYMBOL_NOT_FOUND` if there is no such function, `VERR_INVALID_PARAMETER` if the service has
    /// another handler.
    fn set_handler(&self, handler: &str) -> Result<(), LoadError> {
        if handler.is_empty() {
            return Ok(());
        }
        let Some(EntryPoint(entry)) = self.image.entry_point(handler) else {
            return Err(LoadError::new(
                Status::VERR_SYMBOL_NOT_FOUND,
                format_args!("the module exports no function '{handler}' to handle requests"),
            ));
        };
        // AcqRel: pairs with the acquire in `handler`; the image was written before.
        match self.handler.compare_exchange(0, entry.get(), Ordering::AcqRel, Ordering::Acquire) {
            Err(other) if other != entry.get() => Err(LoadError::new(
                Status::VERR_INVALID_PARAMETER,
                format_args!("the module handles requests with another function than '{handler}'"),
            )),
            _ => Ok(()),
        }
    }

    fn handler(&self) -> Option<EntryPoint> {
        // Acquire: pairs with the release in `set_handler`.
        match self.handler.load(Ordering::Acquire) {
            0 => None,
            address => Some(EntryPoint(R0Ptr::new(address))),
        }
    }

    /// Calls `ModuleInit`, if there is one.
    fn initialise(&self) -> Result<(), LoadError> {
        let Some(init) = self.image.entry_point("ModuleInit") else { return Ok(()) };
        let status = self.image.call_init(init, self.module);
        if status.is_failure() {
            return Err(LoadError::new(status, format_args!("ModuleInit returned {status}")));
        }
        Ok(())
    }

    /// Calls `ModuleTerm`, if there is one.
    fn terminate(&self) {
        if let Some(term) = self.term {
            self.image.call_term(term, self.module);
        }
    }
}
