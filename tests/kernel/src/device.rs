//! [`Device`]: a session with the kernel's driver, without the library, which would not let a test
//! misbehave.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::io::Errno;
use sup::backend::DEVICE;
use sup::{PAGE_SIZE, R0Ptr, Status};
use sup_abi::request::{
    AddressIn, CONNECT_MAGIC, Connect, ConnectIn, ContAlloc, ContAllocOut, ContFree, Empty, GipMap,
    HEADER_BYTES, HEADER_FLAGS, Header, INITIAL_COOKIE, LockPages, LockPagesIn, LowAlloc, LowFree,
    MemoryOut, PROTOCOL_VERSION, PageAllocEx, PageAllocExIn, PageCountIn, PageFree, PageProtect,
    PageProtectIn, Request, SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp,
    SemaphoreOpIn, SemaphoreOperation, SemaphoreQuery, SemaphoreWords, SemaphoreWordsIn,
    Statistics, StatisticsOut, UnlockPages, ioctl,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::check::{Stop, Verdict, same};
use crate::region::Region;

/// An open device and the cookies of its session.
#[derive(Debug)]
pub(crate) struct Device {
    file: OwnedFd,
    cookies: [u32; 2],
}

/// The services that allocate memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Low,
    Contiguous,
    Anywhere,
}

impl Service {
    pub(crate) const ALL: [Self; 3] = [Self::Low, Self::Contiguous, Self::Anywhere];
}

/// A packet with its header, in words so that it is aligned.
pub(crate) type Packet = Vec<u64>;

/// Sends whatever lies at an address.
///
/// # Errors
/// What the kernel answers.
///
/// # Safety
/// As many bytes as the number tells, or as the larger size in the header there if it tells none, are no
/// memory that Rust knows of, or are borrowed exclusively.
unsafe fn exchange(file: BorrowedFd<'_>, number: u32, address: u64) -> Result<(), Errno> {
    // SAFETY: the driver reads and writes no more than this function's contract speaks of; another device
    // refuses the number.
    match unsafe { libc::ioctl(file.as_raw_fd(), number.into(), address) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

impl Device {
    /// Opens a session that no program inherits.
    pub(crate) fn open() -> Verdict<Self> {
        let file =
            File::options().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(DEVICE)?;
        let mut device = Self { file: file.into(), cookies: [INITIAL_COOKIE, 0] };
        let input = ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        };
        let connected = device.get::<Connect>(&input)?;
        device.cookies = [connected.cookie, connected.session_cookie];
        Ok(device)
    }

    /// A session that somebody else opened.
    pub(crate) fn adopt(file: OwnedFd, cookies: [u32; 2]) -> Self {
        Self { file, cookies }
    }

    /// Another descriptor of the same open file.
    pub(crate) fn duplicate(&self) -> Verdict<Self> {
        Ok(Self { file: self.file.try_clone()?, cookies: self.cookies })
    }

    /// The cookies of driver and session.
    pub(crate) fn cookies(&self) -> [u32; 2] {
        self.cookies
    }

    /// Closes this descriptor under the feet of whoever uses it: its number is `/dev/null` from now on.
    pub(crate) fn replace_by_null(&self) -> Verdict {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // SAFETY: both are descriptors of this process; the number that changes its meaning stays an open
        // descriptor of its owner.
        let result = unsafe { libc::dup2(null.as_raw_fd(), self.file.as_raw_fd()) };
        if result == -1 { Err(io::Error::last_os_error().into()) } else { Ok(()) }
    }

    /// A well-formed packet, with room for an answer of `bytes_out`.
    pub(crate) fn packet<R: Request>(&self, input: &R::In, bytes_out: usize) -> Packet {
        let bytes_in = R::BYTES_IN;
        let header = Header {
            cookie: self.cookies[0],
            session_cookie: self.cookies[1],
            bytes_in: bytes_in as u32,
            bytes_out: bytes_out as u32,
            flags: HEADER_FLAGS,
            rc: Status::VERR_INTERNAL_ERROR.raw(),
        };
        let mut packet = vec![0_u64; bytes_in.max(bytes_out).div_ceil(size_of::<u64>())];
        let bytes = packet.as_mut_bytes();
        bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        bytes[HEADER_BYTES..bytes_in].copy_from_slice(input.as_bytes());
        packet
    }

    /// Sends a packet whose length the number tells.
    ///
    /// # Errors
    /// The transport's, as the kernel says it.
    pub(crate) fn send<R: Request>(&self, packet: &mut [u64]) -> Result<(), Errno> {
        let bytes = packet.as_bytes().len().min(ioctl::BUFFER_BYTES_MAX);
        let number = ioctl::number(R::FUNCTION.into(), bytes);
        // SAFETY: the number tells the packet's length or less, and it is borrowed exclusively.
        unsafe { exchange(self.file.as_fd(), number, packet.as_mut_ptr() as u64) }
    }

    /// Sends what lies in a region from `offset` on, under any number.
    ///
    /// # Errors
    /// The transport's, as the kernel says it.
    pub(crate) fn send_region(
        &self,
        number: u32,
        region: &Region,
        offset: usize,
    ) -> Result<(), Errno> {
        // SAFETY: a region is memory that Rust knows nothing of; behind it lies nothing, or a packet
        // there claims more than the driver takes.
        unsafe { exchange(self.file.as_fd(), number, region.address() + offset as u64) }
    }

    /// Sends what lies at an address where nothing lies.
    ///
    /// # Errors
    /// The transport's, as the kernel says it.
    pub(crate) fn send_nothing(&self, number: u32, address: u64) -> Verdict<Result<(), Errno>> {
        if Region::can_read_at(address)? {
            return Err(Stop::failed(format_args!("there is memory at {address:#x}")));
        }
        // SAFETY: nothing of this process lies at the address, as was just seen, and a header is read
        // before anything is written.
        Ok(unsafe { exchange(self.file.as_fd(), number, address) })
    }

    /// Carries out a request with room for an answer of `bytes_out`; returns its status, and what was
    /// answered.
    #[track_caller]
    pub(crate) fn exchange<R: Request>(
        &self,
        input: &R::In,
        bytes_out: usize,
    ) -> Verdict<(Status, Option<R::Out>)> {
        let mut packet = self.packet::<R>(input, bytes_out);
        if let Err(errno) = self.send::<R>(&mut packet) {
            return Err(Stop::failed(format_args!("{:?}: transport {errno}", R::FUNCTION)));
        }
        let (header, body) = Header::read_from_prefix(packet.as_bytes())
            .map_err(|_| Stop::failed("the packet is shorter than its header"))?;
        let output = R::Out::read_from_prefix(body).ok().map(|(output, _)| output);
        Ok((Status::new(header.rc), output.filter(|_| header.bytes_out as usize >= R::BYTES_OUT)))
    }

    /// Carries out a request without a tail; returns its status.
    #[track_caller]
    pub(crate) fn status<R: Request>(&self, input: &R::In) -> Verdict<Status> {
        Ok(self.exchange::<R>(input, R::BYTES_OUT)?.0)
    }

    /// Carries out a request without a tail that must succeed.
    #[track_caller]
    pub(crate) fn get<R: Request>(&self, input: &R::In) -> Verdict<R::Out> {
        succeeded::<R>(self.exchange::<R>(input, R::BYTES_OUT)?)
    }

    /// The counts of the driver and of this session.
    #[track_caller]
    pub(crate) fn statistics(&self) -> Verdict<StatisticsOut> {
        self.get::<Statistics>(&Empty {})
    }

    /// Allocates memory.
    #[track_caller]
    pub(crate) fn allocate(&self, service: Service, pages: u32) -> Verdict<Region> {
        match self.try_allocate(service, pages)? {
            Ok(region) => Ok(region),
            Err(status) => Err(Stop::failed(format_args!("{service:?}, {pages} pages: {status}"))),
        }
    }

    /// Allocates memory, which may fail.
    #[track_caller]
    pub(crate) fn try_allocate(
        &self,
        service: Service,
        pages: u32,
    ) -> Verdict<Result<Region, Status>> {
        let bytes_out = size_of::<u64>() * pages as usize;
        let count = PageCountIn { pages, reserved: 0 };
        let (status, address) = match service {
            Service::Low => {
                let answer = self.exchange::<LowAlloc>(&count, LowAlloc::BYTES_OUT + bytes_out)?;
                (answer.0, answer.1.map(|output: MemoryOut| output.r3))
            }
            Service::Contiguous => {
                let answer = self.exchange::<ContAlloc>(&count, ContAlloc::BYTES_OUT)?;
                (answer.0, answer.1.map(|output: ContAllocOut| output.r3))
            }
            Service::Anywhere => {
                let input =
                    PageAllocExIn { pages, kernel_mapping: 0, user_mapping: 1, reserved: [0; 2] };
                let answer =
                    self.exchange::<PageAllocEx>(&input, PageAllocEx::BYTES_OUT + bytes_out)?;
                (answer.0, answer.1.map(|output: MemoryOut| output.r3))
            }
        };
        match (status.is_success(), address) {
            (true, Some(address)) => Ok(Ok(Region::of_driver(address, pages as usize))),
            (true, None) => {
                Err(Stop::failed(format_args!("{service:?}: success without an address")))
            }
            (false, _) => Ok(Err(status)),
        }
    }

    /// Frees memory by its address.
    #[track_caller]
    pub(crate) fn free(&self, service: Service, region: &Region) -> Verdict {
        let input = AddressIn { r3: region.r3() };
        let status = match service {
            Service::Low => self.status::<LowFree>(&input),
            Service::Contiguous => self.status::<ContFree>(&input),
            Service::Anywhere => self.status::<PageFree>(&input),
        }?;
        same!(status, Status::VINF_SUCCESS, "free {service:?}");
        Ok(())
    }

    /// Locks memory of this process, which may fail; the physical address of each page.
    #[track_caller]
    pub(crate) fn lock(&self, region: &Region) -> Verdict<Result<Vec<u64>, Status>> {
        let pages = region.bytes() / PAGE_SIZE;
        let bytes_out = LockPages::BYTES_OUT + pages * size_of::<u64>();
        let input = LockPagesIn { r3: region.r3(), pages: pages as u32, reserved: 0 };
        let mut packet = self.packet::<LockPages>(&input, bytes_out);
        self.send::<LockPages>(&mut packet)?;
        let (header, _) = Header::read_from_prefix(packet.as_bytes())
            .map_err(|_| Stop::failed("the packet is shorter than its header"))?;
        let status = Status::new(header.rc);
        let addresses = packet.split_off(LockPages::BYTES_OUT / size_of::<u64>());
        Ok(if status.is_success() { Ok(addresses) } else { Err(status) })
    }

    /// Unlocks what was locked at an address; the status.
    #[track_caller]
    pub(crate) fn unlock(&self, region: &Region) -> Verdict<Status> {
        self.status::<UnlockPages>(&AddressIn { r3: region.r3() })
    }

    /// Changes what this process may do with some pages of memory from anywhere.
    #[track_caller]
    pub(crate) fn protect(&self, memory: &Region, pages: Range<u32>, bits: u32) -> Verdict<Status> {
        let bytes = |pages: u32| pages * PAGE_SIZE as u32;
        self.status::<PageProtect>(&PageProtectIn {
            r3: memory.r3(),
            r0: R0Ptr::NIL,
            offset: bytes(pages.start),
            bytes: bytes(pages.end - pages.start),
            protection: bits,
            reserved: 0,
        })
    }

    /// Maps the clock's page: its first page, to be exact.
    #[track_caller]
    pub(crate) fn clock_page(&self) -> Verdict<Region> {
        Ok(Region::of_driver(self.get::<GipMap>(&Empty {})?.r3, 1))
    }

    /// Maps the page of the state words of the first semaphores.
    #[track_caller]
    pub(crate) fn word_page(&self) -> Verdict<Region> {
        let input = SemaphoreWordsIn { page: 0, reserved: 0 };
        Ok(Region::of_driver(self.get::<SemaphoreWords>(&input)?.r3, 1))
    }

    /// Creates an event that resets itself.
    #[track_caller]
    pub(crate) fn event(&self) -> Verdict<u32> {
        let input = SemaphoreCreateIn {
            kind: SemaphoreKind::Event.into(),
            handle: 0,
            operation: SemaphoreQuery::Create.into(),
            reserved: 0,
            reserved2: 0,
        };
        Ok(self.get::<SemaphoreCreate>(&input)?.value)
    }

    /// Operates on an event.
    #[track_caller]
    pub(crate) fn operate(
        &self,
        event: u32,
        operation: SemaphoreOperation,
        timeout: u64,
    ) -> Verdict<Status> {
        self.status::<SemaphoreOp>(&event_input(event, operation, timeout))
    }

    /// Signals an event.
    #[track_caller]
    pub(crate) fn signal(&self, event: u32) -> Verdict {
        same!(self.operate(event, SemaphoreOperation::Signal, 0)?, Status::VINF_SUCCESS);
        Ok(())
    }

    /// Waits for an event, so many nanoseconds, all ones for ever.
    #[track_caller]
    pub(crate) fn wait(&self, event: u32, nanoseconds: u64) -> Verdict<Status> {
        self.operate(event, SemaphoreOperation::WaitNanos, nanoseconds)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The input that operates on an event.
pub(crate) fn event_input(
    event: u32,
    operation: SemaphoreOperation,
    timeout: u64,
) -> SemaphoreOpIn {
    SemaphoreOpIn {
        kind: SemaphoreKind::Event.into(),
        handle: event,
        operation: operation.into(),
        reserved: 0,
        timeout,
    }
}

#[track_caller]
fn succeeded<R: Request>(answer: (Status, Option<R::Out>)) -> Verdict<R::Out> {
    match answer {
        (status, Some(output)) if status.is_success() => Ok(output),
        (status, _) => Err(Stop::failed(format_args!("{:?}: {status}", R::FUNCTION))),
    }
}
