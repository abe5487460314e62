//! Many threads at once on one session, and one that changes what another is sending.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sup::Status;
use sup_abi::request::{
    Empty, Function, HEADER_BYTES, Request, SemaphoreOperation, Statistics, ioctl,
};
use zerocopy::IntoBytes;

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::region::Region;

tests! { "threads":
    sixteen_threads_share_a_descriptor,
    a_packet_may_change_while_it_is_read,
}

const THREADS: u32 = 16;

/// What a thread does again and again while others do the same.
fn one_round(device: &Device, round: u32) -> Verdict {
    let service = Service::ALL[round as usize % 3];
    let memory = device.allocate(service, 1 + round % 4)?;
    check!(memory.can_write()?, "{service:?}: no memory");
    let event = device.event()?;
    device.signal(event)?;
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS);
    let own = Device::open()?;
    let other = own.event()?;
    same!(own.wait(other, 1000)?, Status::VERR_TIMEOUT);
    let twin = device.duplicate()?;
    check!(device.clock_page()?.is_clock_page()?);
    drop(own);
    twin.free(service, &memory)?;
    let closed = twin.operate(event, SemaphoreOperation::Close, 0)?;
    check!(closed.is_success(), "close: {closed}");
    Ok(())
}

fn sixteen_threads_share_a_descriptor(_observer: &Observer) -> Verdict {
    const ROUNDS: u32 = 60;
    let device = Device::open()?;
    thread::scope(|scope| {
        let all: Vec<_> = (0..THREADS)
            .map(|number| {
                let device = &device;
                scope.spawn(move || {
                    (0..ROUNDS).try_for_each(|round| one_round(device, number + round))
                })
            })
            .collect();
        all.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Stop::failed("a thread panicked")))
        })
    })?;
    let counts = device.statistics()?.session;
    same!((counts.handles, counts.memory_blocks, counts.memory_pages), (0, 0, 0));
    Ok(())
}

/// Sizes for the header, some of which fit the buffer and most do not.
const SIZES: [u32; 8] = [24, Statistics::BYTES_OUT as u32, 0, 25, 320, 4096, 16 << 20, u32::MAX];

/// Where the two sizes stand in the header.
const BYTES_IN_OFFSET: usize = 8;
const BYTES_OUT_OFFSET: usize = 12;

fn a_packet_may_change_while_it_is_read(_observer: &Observer) -> Verdict {
    const TRIES: u32 = 1_000_000;
    const ENOUGH: u32 = 20_000;
    /// A slow machine does not get to all of them.
    const TIME: Duration = Duration::from_secs(20);
    const GUARD: u8 = 0x5c;

    let device = Device::open()?;
    let region = Region::new(2)?;
    region.fill(GUARD)?;
    let packet = device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT);
    // The packet ends with the first page; what lies behind it is the guard's.
    let offset = sup::PAGE_SIZE - Statistics::BYTES_OUT;
    let number = ioctl::number(Function::Statistics.into(), Statistics::BYTES_OUT);
    let size_at = |place: usize| -> &AtomicU32 {
        let address = region.address() + (offset + place) as u64;
        // SAFETY: the region is mapped, readable and writable, until the end of this process, the place is
        // aligned, and the other threads and the kernel change it as memory, which atomics allow.
        unsafe { AtomicU32::from_ptr(address as usize as *mut u32) }
    };
    let is_over = AtomicBool::new(false);
    let [mut carried_out, mut refused] = [0_u32; 2];
    thread::scope(|scope| {
        let sizes = [size_at(BYTES_IN_OFFSET), size_at(BYTES_OUT_OFFSET)];
        let is_over = &is_over;
        scope.spawn(move || {
            let mut step = 0_usize;
            // Relaxed: the flag orders nothing else.
            while !is_over.load(Ordering::Relaxed) {
                step = step.wrapping_add(1);
                // Most of the time well-formed, so that both sides of every check are met.
                let [input, output] = match step % 3 {
                    0 => [24, Statistics::BYTES_OUT as u32],
                    1 => [24, SIZES[step / 3 % SIZES.len()]],
                    _ => [SIZES[step / 3 % SIZES.len()], Statistics::BYTES_OUT as u32],
                };
                sizes[0].store(input, Ordering::Relaxed);
                sizes[1].store(output, Ordering::Relaxed);
            }
        });
        let begin = Instant::now();
        let verdict = (0..TRIES).try_for_each(|tries| {
            if tries % 64 == 0 {
                if tries >= ENOUGH && begin.elapsed() > TIME {
                    return Ok(());
                }
                region.put(offset, &packet.as_bytes()[..HEADER_BYTES])?;
                check!(region.part(1, 1).get::<64>()? == [GUARD; 64], "written behind the packet");
            }
            match device.send_region(number, &region, offset) {
                Ok(()) => carried_out += 1,
                Err(Errno::INVAL | Errno::TOOBIG) => refused += 1,
                Err(errno) => return Err(Stop::failed(format_args!("transport {errno}"))),
            }
            Ok(())
        });
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
        verdict
    })?;
    check!(carried_out + refused >= ENOUGH, "only {carried_out} and {refused} requests");
    check!(
        carried_out > 0 && refused > 0,
        "the sizes did not change in time: {carried_out} carried out, {refused} refused"
    );
    check!(region.part(1, 1).is_all(GUARD)?, "written behind the packet");
    device.statistics()?;
    Ok(())
}
