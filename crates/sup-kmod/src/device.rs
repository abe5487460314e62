//! `/dev/supdrv`: an open file is a session, a request is an `ioctl`.
//!
//! # The way of a request
//! 1. The number says which function and how long the client's buffer is (`sup_abi::request::ioctl`).
//! 2. The header is copied in, once. Its sizes are checked against the buffer's and the limit.
//! 3. What follows it is copied behind this copy, and the rest of the driver's buffer is zeroed: small
//!    packets on the stack, long ones in memory of the driver.
//! 4. The dispatcher carries it out. If the packet was malformed, nothing is copied back.
//! 5. As many bytes as the answer's header says are copied out.
//!
//! A fast call of VMMR0 has numbers of its own and goes none of these ways: the argument is its only
//! parameter, and what the call returns its only answer.
//!
//! # When the driver is there
//! [`DRIVER`] is set by [`supdrv_start`] before the device exists, and cleared by [`supdrv_stop`] after
//! it is gone: the kernel calls that only when no file is open, no mapping is left, and no other module
//! uses the symbol by which it sends packets ([`idc`](crate::idc)). What the kernel tells of processors
//! comes between the two. Everything else here runs for an open file or for such a module, and so does all
//! code of modules.

use core::ffi::{c_int, c_long, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use sup_abi::Status;
use sup_abi::request::{HEADER_BYTES, Header, MAX_PACKET_BYTES, PROTOCOL_VERSION, ioctl};
use sup_alloc::{Arc, Vec};
use sup_core::host::{Host, LogLevel};
use sup_core::{Driver, PacketError, Session};
use sup_ring0::Ring0;
use sup_ring0::absolute::Segments;
use zerocopy::{FromBytes, IntoBytes};

use crate::calls::TaskCalls;
use crate::cpu;
use crate::host::KernelHost;
use crate::process::Client;
use crate::shim::log::{Line, log};
use crate::shim::user::UserAddress;

/// The running driver: the pointer of an `Arc` that was given away, or null.
static DRIVER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

type KernelSession = Session<KernelHost>;

/// Lets `work` use the driver without counting it; `None` while there is none.
#[inline(always)]
fn with_driver<T>(work: impl FnOnce(&Arc<Driver<KernelHost>>) -> T) -> Option<T> {
    // Acquire: pairs with the release in `supdrv_start`.
    let raw = NonNull::new(DRIVER.load(Ordering::Acquire))?;
    // SAFETY: `supdrv_start` gave away an `Arc` of this type, which `supdrv_stop` takes back only when
    // no file is open, no other module can send packets and the kernel tells of processors no more, hence
    // not while this runs; it is not dropped here.
    let driver = ManuallyDrop::new(unsafe { Arc::from_raw(raw) });
    Some(work(&driver))
}

impl Ring0 for KernelHost {
    type Calls = TaskCalls;

    fn driver() -> Option<Arc<Driver<Self>>> {
        with_driver(Arc::clone)
    }

    fn kernel_client() -> Client {
        Client::new()
    }

    fn segments(&self) -> Segments {
        self.start_segments()
    }

    fn address_bits() -> u32 {
        cpu::address_bits()
    }
}

/// Starts the driver. 0 or a negative `errno` value.
#[unsafe(no_mangle)]
extern "C" fn supdrv_start() -> c_int {
    match KernelHost::new().and_then(Driver::start) {
        Ok(driver) => {
            announce(&driver);
            // Release: pairs with the acquire in `with_driver`.
            DRIVER.store(Arc::into_raw(driver).as_ptr(), Ordering::Release);
            0
        }
        Err(status) => refusal(status),
    }
}

/// A line of log about a driver that has started.
#[inline(never)]
fn announce(driver: &Driver<KernelHost>) {
    let mut line = Line::new();
    let page = driver.gip_page();
    // A line that is full is cut.
    let _ = core::fmt::Write::write_fmt(
        &mut line,
        format_args!(
            "version {}, protocol {}.{}, {} processors, time stamp counter mode {}",
            env!("CARGO_PKG_VERSION"),
            PROTOCOL_VERSION >> 16,
            PROTOCOL_VERSION & 0xffff,
            driver.host().cpus().online,
            page.u32Mode.load(Ordering::Relaxed),
        ),
    );
    log(LogLevel::Info, line.as_str());
}

/// Stops the driver, after the device is gone.
#[unsafe(no_mangle)]
extern "C" fn supdrv_stop() {
    with_driver(|driver| driver.close_kernel_sessions());
    if let Some(raw) = NonNull::new(DRIVER.swap(core::ptr::null_mut(), Ordering::AcqRel)) {
        // SAFETY: `supdrv_start` gave away an `Arc` of this type; the swap takes it back once.
        drop(unsafe { Arc::<Driver<KernelHost>>::from_raw(raw) });
    }
}

/// The current processor is online: at the start, or because it came.
#[unsafe(no_mangle)]
extern "C" fn supdrv_cpu_comes() {
    with_driver(|driver| driver.cpu_comes(cpu::current()));
}

/// A processor goes offline.
#[unsafe(no_mangle)]
extern "C" fn supdrv_cpu_goes(cpu: u32) {
    if let Ok(index) = u16::try_from(cpu) {
        with_driver(|driver| driver.cpu_goes(index));
    }
}

/// Opens a session for the current process.
///
/// # Safety
/// `place` is writable.
#[unsafe(no_mangle)]
unsafe extern "C" fn supdrv_open(place: *mut *mut c_void) -> c_int {
    let opened = with_driver(|driver| driver.open_session(Client::new()));
    match opened.unwrap_or(Err(Status::VERR_INVALID_HANDLE)) {
        Ok(session) => {
            // SAFETY: by this function's contract the place is writable.
            unsafe { place.write(Arc::into_raw(session).as_ptr().cast()) };
            0
        }
        Err(status) => refusal(status),
    }
}

/// Closes a session: its last descriptor and its last running request are gone.
///
/// # Safety
/// `session` came from [`supdrv_open`] and is not used any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn supdrv_close(session: *mut c_void) {
    let Some(raw) = NonNull::new(session.cast::<()>()) else { return };
    // SAFETY: `supdrv_open` gave away an `Arc` of this type, and by this function's contract nobody
    // takes it back but this.
    let session: Arc<KernelSession> = unsafe { Arc::from_raw(raw) };
    with_driver(|driver| driver.close_session(session));
}

/// Carries out a request: 0 or a negative `errno` value. For a fast call its status, which the kernel
/// passes on as if it were one.
///
/// # Safety
/// `session` came from [`supdrv_open`] and is not closed before this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn supdrv_ioctl(session: *mut c_void, number: u32, argument: u64) -> c_long {
    let Some(raw) = NonNull::new(session.cast::<()>()) else {
        return refusal(Status::VERR_INVALID_HANDLE).into();
    };
    if let Some(operation) = ioctl::parse_fast(number) {
        // SAFETY: by this function's contract the session came from `supdrv_open` and is not closed
        // before this returns.
        let session = unsafe { session_of(raw) };
        // The processor is the argument's lower half, all that the number has room to speak of.
        return session.call_vmm_fast(operation, argument as u32).raw().into();
    }
    // SAFETY: by this function's contract the session came from `supdrv_open` and is not closed before
    // this returns.
    unsafe { packet_ioctl(raw, number, UserAddress(argument)) }
}

/// The part of [`supdrv_ioctl`] that needs a buffer. A fast call goes past it, and past its frame.
///
/// # Safety
/// That of [`session_of`], until this returns.
#[inline(never)]
unsafe fn packet_ioctl(session: NonNull<()>, number: u32, user: UserAddress) -> c_long {
    // SAFETY: by this function's contract the session came from `supdrv_open` and is not closed before
    // this returns.
    let session = unsafe { session_of(session) };
    match request(&session, number, user) {
        Ok(()) => 0,
        Err(PacketError(status)) => refusal(status).into(),
    }
}

/// The session, for use without counting it.
///
/// # Safety
/// `raw` came from [`supdrv_open`], and is not closed while the result is used.
#[inline(always)]
unsafe fn session_of(raw: NonNull<()>) -> ManuallyDrop<Arc<KernelSession>> {
    // SAFETY: `supdrv_open` gave away an `Arc` of this type, which by this function's contract
    // `supdrv_close` takes back only later; it is not dropped here.
    ManuallyDrop::new(unsafe { Arc::from_raw(raw) })
}

/// What a call of the kernel's returns when it fails with a status.
fn refusal(status: Status) -> c_int {
    ioctl::errno_of(status).wrapping_neg()
}

/// The packet breaks a rule of the transport.
const MALFORMED: PacketError = PacketError(Status::VERR_INVALID_PARAMETER);
/// The packet lies where ring 3 has no memory.
const FAULT: PacketError = PacketError(Status::VERR_INVALID_POINTER);

/// Bytes of the longest packet that needs no memory of the driver. The largest fixed one is shorter.
const SMALL_PACKET_BYTES: u32 = 320;
const SMALL_PACKET_WORDS: usize = words_of(SMALL_PACKET_BYTES);
const HEADER_WORDS: usize = HEADER_BYTES / size_of::<u64>();
const _: () = assert!(HEADER_BYTES.is_multiple_of(size_of::<u64>()));

/// How many words hold so many bytes.
const fn words_of(bytes: u32) -> usize {
    // Wider than the bytes, so that it is exact.
    (bytes as usize).saturating_add(7) / 8
}

/// One request. The status of the error is the transport's.
#[inline]
fn request(
    session: &Arc<KernelSession>,
    number: u32,
    user: UserAddress,
) -> Result<(), PacketError> {
    let (function, buffer_bytes) =
        ioctl::parse(number).ok_or(PacketError(Status::VERR_GENERAL_FAILURE))?;
    let mut buffer = [const { MaybeUninit::<u64>::uninit() }; SMALL_PACKET_WORDS];
    let (start, rest) = buffer.split_first_chunk_mut::<HEADER_WORDS>().ok_or(MALFORMED)?;
    let head = user.read_header(start).map_err(|_| FAULT)?;
    let header: &Header = zerocopy::transmute_ref!(head);
    let bytes_in = header.bytes_in;
    let bytes = bytes_in.max(header.bytes_out);
    let input = bytes_in.checked_sub(HEADER_BYTES as u32).ok_or(MALFORMED)?;
    if buffer_bytes != 0 && bytes as usize > buffer_bytes {
        return Err(MALFORMED);
    }
    let mut long = None;
    let packet: &mut [u64] = if bytes > SMALL_PACKET_BYTES {
        long.insert(long_packet(user, header, words_of(bytes))?)
    } else {
        let words = words_of(bytes);
        if input != 0 {
            user.offset(HEADER_BYTES).read_words(rest, input).map_err(|_| FAULT)?;
        }
        let mut index = words_of(bytes_in);
        while let Some(word) = buffer.get_mut(index).filter(|_| index < words) {
            // SAFETY: the word is this function's own. (Volatile, so that a few stores do not become a
            // call of memset, which costs more.)
            unsafe { word.as_mut_ptr().write_volatile(0) };
            index = index.saturating_add(1);
        }
        // SAFETY: header, input and the loop just initialised the first `words` words, which are in the
        // array, since the packet is small.
        unsafe { core::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), words) }
    };
    let answered = dispatch(session, function, packet.as_mut_bytes())?;
    if answered > SMALL_PACKET_BYTES {
        let answer = packet.as_bytes().get(..answered as usize).ok_or(MALFORMED)?;
        return user.write(answer).map_err(|_| FAULT);
    }
    user.write_words(packet, answered).map_err(|_| FAULT)
}

/// The packet that is too long for the stack: what the client sent, in so many words.
#[cold]
#[inline(never)]
fn long_packet(user: UserAddress, header: &Header, words: usize) -> Result<Vec<u64>, PacketError> {
    if words > words_of(MAX_PACKET_BYTES as u32) {
        return Err(PacketError(Status::VERR_TOO_MUCH_DATA));
    }
    let mut packet: Vec<u64> = Vec::new();
    packet.try_resize(words, 0).map_err(Status::from)?;
    let to = packet.as_mut_bytes();
    to.get_mut(..HEADER_BYTES).ok_or(MALFORMED)?.copy_from_slice(header.as_bytes());
    let rest = to.get_mut(HEADER_BYTES..header.bytes_in as usize).ok_or(MALFORMED)?;
    user.offset(HEADER_BYTES).read(rest).map_err(|_| FAULT)?;
    Ok(packet)
}

/// Hands a packet to the running driver; returns how many bytes of it are the answer.
#[inline]
fn dispatch(
    session: &Arc<KernelSession>,
    function: u32,
    packet: &mut [u8],
) -> Result<u32, PacketError> {
    with_driver(|driver| driver.dispatch(session, function, packet))
        .unwrap_or(Err(PacketError(Status::VERR_INVALID_HANDLE)))?;
    let (answer, _) = Header::read_from_prefix(packet).map_err(|_| MALFORMED)?;
    Ok(answer.bytes_out)
}
