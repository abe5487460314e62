//! `/dev/supdrv`: an open file is a session, a request is an `ioctl`.
//!
//! # The way of a request
//! 1. The number says which function and how long the client's buffer is (`sup_abi::request::ioctl`).
//! 2. The header is copied in, once. Its sizes are checked against the buffer's and the limit.
//! 3. What follows it is copied behind this copy, and the rest of the driver's buffer is zeroed: small
//!    packets on the stack, larger ones in memory of the driver.
//! 4. The dispatcher carries it out. If the packet was malformed, nothing is copied back.
//! 5. As many bytes as the answer's header says are copied out.
//!
//! # When the driver is there
//! [`DRIVER`] is set by [`supdrv_start`] before the device exists, and cleared by [`supdrv_stop`] after
//! it is gone: the kernel calls that only when no file is open and no mapping is left. Everything else
//! here runs for an open file, and so does all code of modules.

use core::ffi::{c_int, c_long, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use sup_abi::Status;
use sup_abi::request::{HEADER_BYTES, Header, MAX_PACKET_BYTES, PROTOCOL_VERSION};
use sup_alloc::{Arc, Vec};
use sup_core::host::LogLevel;
use sup_core::{Driver, Session};
use sup_ring0::Ring0;
use zerocopy::{FromBytes, IntoBytes};

use crate::host::KernelHost;
use crate::process::Client;
use crate::shim::log::{Line, log};
use crate::shim::user::UserAddress;

/// The running driver: the pointer of an `Arc` that was given away, or null.
static DRIVER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

type KernelSession = Session<KernelHost>;

/// The longest packet that needs no memory of the driver, in words. The largest fixed one is shorter.
const SMALL_PACKET_WORDS: usize = 40;

/// Lets `work` use the driver without counting it; `None` while there is none.
#[inline]
fn with_driver<T>(work: impl FnOnce(&Arc<Driver<KernelHost>>) -> T) -> Option<T> {
    // Acquire: pairs with the release in `supdrv_start`.
    let raw = NonNull::new(DRIVER.load(Ordering::Acquire))?;
    // SAFETY: `supdrv_start` gave away an `Arc` of this type, which `supdrv_stop` takes back only when
    // no file is open, hence not while this runs; it is not dropped here.
    let driver = ManuallyDrop::new(unsafe { Arc::from_raw(raw) });
    Some(work(&driver))
}

impl Ring0 for KernelHost {
    fn driver() -> Option<Arc<Driver<Self>>> {
        with_driver(Arc::clone)
    }
}

/// Starts the driver. 0 or a negative `errno` value.
#[unsafe(no_mangle)]
extern "C" fn supdrv_start() -> c_int {
    match KernelHost::new().and_then(Driver::start) {
        Ok(driver) => {
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
                    page.cOnlineCpus.load(Ordering::Relaxed),
                    page.u32Mode.load(Ordering::Relaxed),
                ),
            );
            log(LogLevel::Info, line.as_str());
            // Release: pairs with the acquire in `with_driver`.
            DRIVER.store(Arc::into_raw(driver).as_ptr(), Ordering::Release);
            0
        }
        Err(status) => ioctl::errno_of(status).wrapping_neg(),
    }
}

/// Stops the driver, after the device is gone.
#[unsafe(no_mangle)]
extern "C" fn supdrv_stop() {
    if let Some(raw) = NonNull::new(DRIVER.swap(core::ptr::null_mut(), Ordering::AcqRel)) {
        // SAFETY: `supdrv_start` gave away an `Arc` of this type; the swap takes it back once.
        drop(unsafe { Arc::<Driver<KernelHost>>::from_raw(raw) });
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
        Err(status) => ioctl::errno_of(status).wrapping_neg(),
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

/// Carries out a request. 0 or a negative `errno` value.
///
/// # Safety
/// `session` came from [`supdrv_open`] and is not closed before this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn supdrv_ioctl(session: *mut c_void, number: u32, argument: u64) -> c_long {
    let Some(raw) = NonNull::new(session.cast::<()>()) else { return -ENXIO };
    // SAFETY: `supdrv_open` gave away an `Arc` of this type, which `supdrv_close` takes back only after
    // this returned; it is not dropped here.
    let session = ManuallyDrop::new(unsafe { Arc::<KernelSession>::from_raw(raw) });
    match request(&session, number, UserAddress(argument)) {
        Ok(()) => 0,
        Err(errno) => c_long::from(errno).wrapping_neg(),
    }
}

const ENXIO: c_long = 6;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const E2BIG: i32 = 7;
const ENOMEM: i32 = 12;

/// One request; the error is an `errno` value.
fn request(session: &Arc<KernelSession>, number: u32, packet: UserAddress) -> Result<(), i32> {
    let (function, buffer_bytes) = ioctl::parse(number).ok_or(ENOTTY)?;
    let mut header = [0_u8; HEADER_BYTES];
    packet.read(&mut header).map_err(|_| EFAULT)?;
    let (sizes, _) = Header::read_from_prefix(&header).map_err(|_| EINVAL)?;
    let bytes_in = sizes.bytes_in as usize;
    let bytes = bytes_in.max(sizes.bytes_out as usize);
    if bytes_in < HEADER_BYTES || (buffer_bytes != 0 && bytes > buffer_bytes) {
        return Err(EINVAL);
    }
    if bytes > MAX_PACKET_BYTES {
        return Err(E2BIG);
    }
    let request =
        ClientPacket { session, function, user: packet, header: &header, bytes_in, bytes };
    if bytes <= size_of::<[u64; SMALL_PACKET_WORDS]>() {
        request.carry_out_on_stack()
    } else {
        request.carry_out_in_memory()
    }
}

/// A packet whose header is here and whose sizes are plausible.
struct ClientPacket<'a> {
    session: &'a Arc<KernelSession>,
    function: u32,
    user: UserAddress,
    header: &'a [u8; HEADER_BYTES],
    /// At least a header's.
    bytes_in: usize,
    /// The larger of input and output.
    bytes: usize,
}

impl ClientPacket<'_> {
    /// For a packet of at most [`SMALL_PACKET_WORDS`].
    #[inline]
    fn carry_out_on_stack(&self) -> Result<(), i32> {
        let mut buffer = [const { MaybeUninit::<u64>::uninit() }; SMALL_PACKET_WORDS];
        let words = self.bytes.div_ceil(size_of::<u64>());
        for word in buffer.iter_mut().take(words) {
            word.write(0);
        }
        // SAFETY: the first `words` words were just written, and the array has that many, since the
        // packet is small.
        let words = unsafe {
            core::slice::from_raw_parts_mut(
                buffer.as_mut_ptr().cast::<u64>(),
                words.min(SMALL_PACKET_WORDS),
            )
        };
        self.carry_out(words.as_mut_bytes())
    }

    /// For a packet of any size.
    #[cold]
    #[inline(never)]
    fn carry_out_in_memory(&self) -> Result<(), i32> {
        let mut words: Vec<u64> = Vec::new();
        words.try_resize(self.bytes.div_ceil(size_of::<u64>()), 0).map_err(|_| ENOMEM)?;
        self.carry_out(words.as_mut_bytes())
    }

    /// `buffer` is zeroed, aligned to 8 bytes and as long as the packet, rounded up to words.
    #[inline]
    fn carry_out(&self, buffer: &mut [u8]) -> Result<(), i32> {
        let buffer = buffer.get_mut(..self.bytes).ok_or(EINVAL)?;
        let (head, rest) = buffer.split_at_mut_checked(HEADER_BYTES).ok_or(EINVAL)?;
        head.copy_from_slice(self.header);
        let input = self.bytes_in.saturating_sub(HEADER_BYTES);
        if input != 0 {
            let rest = rest.get_mut(..input).ok_or(EINVAL)?;
            self.user.offset(HEADER_BYTES).read(rest).map_err(|_| EFAULT)?;
        }
        let dispatched = with_driver(|driver| driver.dispatch(self.session, self.function, buffer));
        match dispatched {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(ioctl::errno_of(error.0)),
            None => return Err(EINVAL),
        }
        let (answer, _) = Header::read_from_prefix(buffer).map_err(|_| EINVAL)?;
        let output = buffer.get(..answer.bytes_out as usize).ok_or(EINVAL)?;
        self.user.write(output).map_err(|_| EFAULT)
    }
}

mod ioctl {
    use sup_abi::Status;
    pub(crate) fn parse(number: u32) -> Option<(u32, usize)> {
        (number >> 30 == 3 && (number >> 8) & 0xff == 0x53)
            .then_some((number & 0xff, ((number >> 16) & 0x3fff) as usize))
    }
    pub(crate) fn errno_of(status: Status) -> i32 {
        match status {
            Status::VERR_INVALID_PARAMETER => 22,
            Status::VERR_NO_MEMORY => 12,
            Status::VERR_GENERAL_FAILURE => 25,
            _ => 1,
        }
    }
}
