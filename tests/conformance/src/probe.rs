//! Loading modules over raw packets, and [`Probe`]: the module that does in ring 0 what it is told.

use std::sync::atomic::Ordering;

use sup::{R0Ptr, RingZeroView, SharedPages, Status};
use sup_abi::request::{
    CallService, CallServiceIn, FreeModule, GetSymbol, GetSymbolIn, HEADER_BYTES, ImageIn,
    LoadModule, LoadModuleIn, Request, padded, terminated,
};
use sup_abi::{SUPR0SERVICEREQHDR, SUPR0SERVICEREQHDR_MAGIC};
use sup_signature::PublicKey;
use sup_test_key::signed;
use zerocopy::IntoBytes;

use crate::backend::Backend;
use crate::case::{Stop, Verdict, check, same};
use crate::client::{Client, Packet};

macro_rules! images {
    ($($(#[$about:meta])* $name:ident = $file:literal;)*) => {$(
        $(#[$about])*
        pub(crate) const $name: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".r0"));
    )*};
}

images! {
    PROBE = "probe";
    /// Its `ModuleInit` returns `VERR_INTERNAL_ERROR`.
    FAIL_INIT = "fail_init";
    /// Its `ModuleInit` returns `VINF_OBJECT_DESTROYED`.
    INFORMED_INIT = "informed_init";
    /// Its `ModuleInit` waits for an event, see [`waiting_init`].
    WAITING_INIT = "waiting_init";
    /// Panics in its service, its destructors and its `ModuleTerm`.
    PANIC = "panic";
    /// Panics in its `ModuleInit` too.
    PANIC_INIT = "panic_init";
    /// Its `ModuleInit` registers an object and fails, see [`registering_init`].
    REGISTERING_INIT = "registering_init";
    /// Imports from VMMR0.
    IMPORTING = "importing";
    /// Reads the Global Information Page in each of the header's ways.
    GIP = "gip";
    /// Has probes of `supdrv/probe.h`.
    PROBES = "probes";
    /// Registers a tracer.
    TRACER = "tracer";
    THREAD_LOCAL = "thread_local";
    CONSTRUCTOR = "constructor";
    MISSING_IMPORT = "missing_import";
    /// Its service answers 42 if the weak import is missing.
    WEAK_IMPORT = "weak_import";
    NEEDS_LIBRARY = "needs_library";
}

/// The handler of the modules made of `init.c`.
pub(crate) const INIT_HANDLER: &str = "initServiceReqHandler";
/// The handler of the modules made of `panic.c`.
pub(crate) const PANIC_HANDLER: &str = "panicServiceReqHandler";
/// The handler of [`GIP`].
pub(crate) const GIP_HANDLER: &str = "gipServiceReqHandler";
/// The handler of [`IMPORTING`].
pub(crate) const IMPORTING_HANDLER: &str = "importingServiceReqHandler";
/// The handler of the modules made of `refused.c`.
pub(crate) const REFUSED_HANDLER: &str = "refusedServiceReqHandler";
/// The handler of [`PROBE`].
pub(crate) const PROBE_HANDLER: &str = "probeServiceReqHandler";

/// A module whose `ModuleInit` waits for an event, named by a session as ring 0 knows it and its handle.
pub(crate) fn waiting_init(session: u64, event: u32) -> Verdict<Vec<u8>> {
    with_words(WAITING_INIT, [session, event.into()])
}

/// A module whose `ModuleInit` registers an object of a session and fails.
pub(crate) fn registering_init(session: u64) -> Verdict<Vec<u8>> {
    with_words(REGISTERING_INIT, [session, 0])
}

/// An image of `init.c` that knows two words.
fn with_words(image: &[u8], words: [u64; 2]) -> Verdict<Vec<u8>> {
    /// Of `g_au64WaitFor` in `modules/init.c`.
    const MAGIC: [u64; 2] = [0x726f_6620_7469_6177, 0x2173_6569_6c61_6421];
    let magic = MAGIC.as_bytes();
    let place = image.windows(magic.len()).position(|bytes| bytes == magic);
    let place = place.ok_or_else(|| Stop::failed("the image has no place for the event"))?;
    let mut image = image.to_vec();
    image[place + magic.len()..][..size_of_val(&words)].copy_from_slice(words.as_bytes());
    Ok(image)
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) status: Status,
    pub(crate) base: R0Ptr,
    pub(crate) image_bytes: u32,
    pub(crate) was_loaded: bool,
    pub(crate) message: String,
    pub(crate) trust: u32,
    pub(crate) signer: PublicKey,
}

impl Client {
    /// The packet that loads `image`, signed with the tests' key.
    pub(crate) fn load_packet(&self, image: &[u8], name: &str, handler: &str) -> Verdict<Packet> {
        self.load_file_packet(&signed(image, name), name, handler)
    }

    /// The packet that loads a file as it is.
    pub(crate) fn load_file_packet(
        &self,
        image: &[u8],
        name: &str,
        handler: &str,
    ) -> Verdict<Packet> {
        let input = LoadModuleIn {
            name: padded(name).ok_or_else(|| Stop::failed("the name is too long"))?,
            handler: padded(handler).ok_or_else(|| Stop::failed("the handler is too long"))?,
            image_bytes: image.len() as u32,
            reserved: 0,
            reserved2: 0,
        };
        Ok(self.packet_with_tail::<LoadModule>(&input, image))
    }

    /// Loads `image`, or finds out why not.
    #[track_caller]
    pub(crate) fn try_load(&self, image: &[u8], name: &str, handler: &str) -> Verdict<Load> {
        self.try_load_packet(&self.load_packet(image, name, handler)?)
    }

    /// Sends a packet that loads, and finds out why it did not.
    #[track_caller]
    pub(crate) fn try_load_packet(&self, packet: &Packet) -> Verdict<Load> {
        let answer = self.exchange(packet)?;
        let Some(output) = answer.output::<LoadModule>() else {
            return Err(Stop::failed("a load answers with a message, whatever its status"));
        };
        let message = terminated(&output.message).ok_or_else(|| Stop::failed("not terminated"))?;
        let load = Load {
            status: answer.status(),
            base: output.base,
            image_bytes: output.image_bytes,
            was_loaded: output.was_loaded != 0,
            message: message.to_owned(),
            trust: output.trust,
            signer: PublicKey(output.signer),
        };
        let is_empty = load.base.is_nil() && load.image_bytes == 0 && !load.was_loaded;
        check!(load.status.is_failure() == is_empty, "half an answer: {load:?}");
        Ok(load)
    }

    /// Loads `image`.
    #[track_caller]
    pub(crate) fn load(&self, image: &[u8], name: &str, handler: &str) -> Verdict<Load> {
        let load = self.try_load(image, name, handler)?;
        check!(load.status == Status::VINF_SUCCESS, "{name}: {}: {}", load.status, load.message);
        Ok(load)
    }

    /// Gives a module back.
    #[track_caller]
    pub(crate) fn free_module(&self, base: R0Ptr) -> Verdict<Status> {
        self.call::<FreeModule>(&ImageIn { base }).map(|(status, _)| status)
    }

    /// Looks a symbol up.
    #[track_caller]
    pub(crate) fn symbol(&self, base: R0Ptr, name: &str) -> Verdict<Result<R0Ptr, Status>> {
        let name = padded(name).ok_or_else(|| Stop::failed("the name is too long"))?;
        Ok(match self.call::<GetSymbol>(&GetSymbolIn { base, name })? {
            (Status::VINF_SUCCESS, Some(output)) => Ok(output.address),
            (status, _) => Err(status),
        })
    }

    /// The packet that calls a service; as much comes back as goes in.
    pub(crate) fn service_packet(
        &self,
        name: &str,
        operation: u32,
        argument: u64,
        request: &[u8],
    ) -> Verdict<Packet> {
        let name = padded(name).ok_or_else(|| Stop::failed("the name is too long"))?;
        let input = CallServiceIn { name, operation, argument };
        let bytes_out = CallService::BYTES_OUT + request.len();
        Ok(self.packet_with_tail::<CallService>(&input, request).with_bytes_out(bytes_out))
    }

    /// Calls a service; `request` is what it left of it.
    #[track_caller]
    pub(crate) fn call_service(
        &self,
        name: &str,
        operation: u32,
        argument: u64,
        request: &mut [u8],
    ) -> Verdict<Status> {
        let answer = self.exchange(&self.service_packet(name, operation, argument, request)?)?;
        let tail = answer.body.get(CallService::BYTES_OUT - HEADER_BYTES..).unwrap_or_default();
        check!(tail.len() == request.len(), "{} bytes of the packet came back", tail.len());
        request.copy_from_slice(tail);
        Ok(answer.status())
    }
}

/// A service's request of `bytes` bytes: the header, and zeros.
pub(crate) fn service_request(bytes: usize) -> Vec<u8> {
    let header = SUPR0SERVICEREQHDR { u32Magic: SUPR0SERVICEREQHDR_MAGIC, cbReq: bytes as u32 };
    let mut request = vec![0; bytes];
    let start = bytes.min(size_of::<SUPR0SERVICEREQHDR>());
    request[..start].copy_from_slice(&header.as_bytes()[..start]);
    request
}

/// A request to the probe with its first numbers.
pub(crate) fn probe_request<const N: usize>(numbers: [u64; N]) -> Vec<u8> {
    let mut request = service_request(size_of::<SUPR0SERVICEREQHDR>() + size_of::<Numbers>());
    let body = &mut request[size_of::<SUPR0SERVICEREQHDR>()..];
    body[..size_of_val(&numbers)].copy_from_slice(numbers.as_bytes());
    request
}

/// The body of every request to the probe.
type Numbers = [u64; 8];

/// Operations of the probe, see `modules/probe.c`.
pub(crate) mod op {
    pub(crate) const INVERT: u32 = 0;
    pub(crate) const REGISTER: u32 = 1;
    pub(crate) const ADD_REF: u32 = 2;
    pub(crate) const ADD_REF_EX: u32 = 3;
    pub(crate) const RELEASE: u32 = 4;
    pub(crate) const VERIFY: u32 = 5;
    pub(crate) const SEMAPHORE: u32 = 6;
    pub(crate) const READ: u32 = 7;
    pub(crate) const WRITE: u32 = 8;
    pub(crate) const FACTS: u32 = 9;
    pub(crate) const VT_CAPS: u32 = 10;
    pub(crate) const STRINGS: u32 = 11;
    pub(crate) const SCOREBOARD: u32 = 12;
    pub(crate) const MEMORY: u32 = 13;
    pub(crate) const GIP: u32 = 14;
    pub(crate) const ABSOLUTES: u32 = 15;
    pub(crate) const ENABLE_VTX: u32 = 16;
    pub(crate) const COMPONENT: u32 = 17;
    pub(crate) const PRINT: u32 = 18;
}

/// The session that the probe acts in: the caller's.
pub(crate) const OWN: u64 = 0;
/// No session has this name.
pub(crate) const NO_SESSION: u64 = 0x00de_ad00_0000;

/// The probe, loaded by a session under its own name.
pub(crate) struct Probe<'a> {
    client: &'a Client,
    pub(crate) base: R0Ptr,
}

/// The name under which [`Probe::load`] loads it.
pub(crate) const PROBE_NAME: &str = "probe";

impl<'a> Probe<'a> {
    #[track_caller]
    pub(crate) fn load(client: &'a Client) -> Verdict<Self> {
        let base = client.load(PROBE, PROBE_NAME, PROBE_HANDLER)?.base;
        Ok(Self { client, base })
    }

    /// Asks for an operation; returns its status and the numbers of the packet afterwards. The first
    /// number is the session to act in.
    #[track_caller]
    pub(crate) fn ask(&self, operation: u32, numbers: &[u64]) -> Verdict<(Status, Numbers)> {
        let mut values: Numbers = [0; 8];
        values[..numbers.len()].copy_from_slice(numbers);
        let mut request = probe_request(values);
        let status = self.client.call_service(PROBE_NAME, operation, 0, &mut request)?;
        values.as_mut_bytes().copy_from_slice(&request[size_of::<SUPR0SERVICEREQHDR>()..]);
        Ok((status, values))
    }

    /// [`ask`](Self::ask) for the status alone.
    #[track_caller]
    pub(crate) fn status(&self, operation: u32, numbers: &[u64]) -> Verdict<Status> {
        self.ask(operation, numbers).map(|(status, _)| status)
    }

    /// Registers an object of the caller's session; returns its handle.
    #[track_caller]
    pub(crate) fn register(&self, user: u64) -> Verdict<u64> {
        match self.ask(op::REGISTER, &[OWN, 1, user])? {
            (Status::VINF_SUCCESS, numbers) => Ok(numbers[7]),
            (status, _) => Err(Stop::failed(format_args!("SUPR0ObjRegister: {status}"))),
        }
    }

    #[track_caller]
    pub(crate) fn free(&self) -> Verdict<Status> {
        self.client.free_module(self.base)
    }
}

/// Memory where the probe notes what happens: destructors, and its own end. It belongs to a session of
/// its own, and has to be made before the client whose close is to be seen, so that it goes after it.
pub(crate) struct Board {
    words: SharedPages,
}

impl Board {
    /// What `ModuleTerm` notes if it gets the handle that `ModuleInit` got.
    pub(crate) const TERM: u64 = 0xfeed;

    pub(crate) fn new(backend: &dyn Backend) -> Verdict<Self> {
        let words = backend.open()?.shared_pages(1, RingZeroView::Mapped)?;
        Ok(Self { words })
    }

    /// The probe notes here from now on.
    pub(crate) fn give_to(&self, probe: &Probe<'_>) -> Verdict {
        let status = probe.status(op::SCOREBOARD, &[OWN, self.words.r0_address().get()])?;
        same!(status, Status::VINF_SUCCESS);
        Ok(())
    }

    /// What was noted so far.
    pub(crate) fn notes(&self) -> Vec<u64> {
        let word = |index: usize| self.words.words()[index].load(Ordering::SeqCst);
        (1..=word(0) as usize).map(word).collect()
    }
}
