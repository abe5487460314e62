//! Packets that lie where no packet should, and numbers that do not fit them.

use std::arch::asm;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::mm::MprotectFlags;
use sup::{PAGE_SIZE, Status};
use sup_abi::request::{
    Empty, Function, HEADER_BYTES, Header, LoadModule, LowAlloc, MAX_PACKET_BYTES, PageCountIn,
    Request, SemaphoreOp, SemaphoreOperation, Statistics, VtCaps, ioctl,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, event_input};
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::region::Region;

tests! { "packets":
    cannot_send_from_nowhere,
    a_packet_may_end_with_its_page,
    cannot_send_what_ends_too_early,
    cannot_answer_where_nothing_can_be_written,
    cannot_claim_more_than_the_number_tells,
    cannot_send_more_than_a_packet_holds,
    cannot_send_numbers_of_others,
    cannot_call_from_32_bits,
}

const STATISTICS: u32 = ioctl::number(Function::Statistics as u32, Statistics::BYTES_OUT);

fn cannot_send_from_nowhere(_observer: &Observer) -> Verdict {
    /// The end of what a process can have.
    const TOP: u64 = 1 << 47;
    let device = Device::open()?;
    let gone = Region::new(1)?;
    gone.unmap()?;
    for address in [
        0,
        8,
        gone.address(),
        TOP - PAGE_SIZE as u64,
        TOP - 8,
        TOP,
        // Not canonical, the kernel's memory, its code, the last words.
        1 << 62,
        0xffff_8880_0000_0000,
        0xffff_ffff_8100_0000,
        0xffff_ffff_ffff_f000,
        u64::MAX - 7,
        u64::MAX,
    ] {
        let whole = device.send_nothing(STATISTICS, address)?;
        same!(whole, Err(Errno::FAULT), "a packet at {address:#x}");
        let untold = ioctl::number(Function::LoadModule.into(), 0);
        let answer = device.send_nothing(untold, address)?;
        same!(answer, Err(Errno::FAULT), "an untold packet at {address:#x}");
    }
    device.statistics()?;
    Ok(())
}

/// Puts a packet so that it ends where the region ends; returns its offset.
fn put_at_the_end(region: &Region, packet: &[u8]) -> Verdict<usize> {
    let offset = region.bytes() - packet.len();
    region.put(offset, packet)?;
    Ok(offset)
}

fn a_packet_may_end_with_its_page(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = Region::new(1)?;
    // A header alone, and an answer as long as the packet.
    let event = device.event()?;
    let input = event_input(event, SemaphoreOperation::Signal, 0);
    let packet = device.packet::<SemaphoreOp>(&input, SemaphoreOp::BYTES_OUT);
    let offset = put_at_the_end(&region, packet.as_bytes())?;
    let number = ioctl::number(Function::SemaphoreOp.into(), SemaphoreOp::BYTES_IN);
    same!(device.send_region(number, &region, offset), Ok(()));
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS, "the wait for that signal");

    let packet = device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT);
    let offset = put_at_the_end(&region, packet.as_bytes())?;
    same!(device.send_region(STATISTICS, &region, offset), Ok(()));
    let header = region_header(&region, offset)?;
    same!((header.rc, header.bytes_out as usize), (0, Statistics::BYTES_OUT));

    // One byte less, and there is no header.
    let number = ioctl::number(Function::VtCaps.into(), VtCaps::BYTES_OUT);
    for missing in [1, 8, 16, 23] {
        let offset = region.bytes() - HEADER_BYTES + missing;
        same!(device.send_region(number, &region, offset), Err(Errno::FAULT), "{missing} missing");
    }
    Ok(())
}

fn region_header(region: &Region, offset: usize) -> Verdict<Header> {
    let page = region.get::<PAGE_SIZE>()?;
    let header = Header::read_from_prefix(&page[offset..]);
    Ok(header.map_err(|_| Stop::failed("the region ends before its header"))?.0)
}

fn cannot_send_what_ends_too_early(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = Region::new(1)?;
    let event = device.event()?;
    let input = event_input(event, SemaphoreOperation::Signal, 0);
    let packet = device.packet::<SemaphoreOp>(&input, SemaphoreOp::BYTES_OUT);
    let number = ioctl::number(Function::SemaphoreOp.into(), SemaphoreOp::BYTES_IN);
    for there in [HEADER_BYTES, HEADER_BYTES + 8, HEADER_BYTES + 23] {
        let offset = put_at_the_end(&region, &packet.as_bytes()[..there])?;
        let answer = device.send_region(number, &region, offset);
        same!(answer, Err(Errno::FAULT), "{there} bytes of a packet");
    }
    same!(device.wait(event, 0)?, Status::VERR_TIMEOUT, "a signal that was never sent");

    // A packet that takes memory of the driver.
    for claimed in [1000, PAGE_SIZE * 3, 1 << 20] {
        let header = Header {
            bytes_in: claimed as u32,
            ..header_of::<LoadModule>(&device, LoadModule::BYTES_OUT)?
        };
        let offset = put_at_the_end(&region, &[header.as_bytes(), &[0; 200]].concat())?;
        let number = ioctl::number(Function::LoadModule.into(), 0);
        let answer = device.send_region(number, &region, offset);
        same!(answer, Err(Errno::FAULT), "{claimed} bytes claimed");
    }
    same!(device.statistics()?.session.image_references, 0);
    Ok(())
}

/// The header of a well-formed packet.
fn header_of<R: Request>(device: &Device, bytes_out: usize) -> Verdict<Header> {
    let input = zerocopy::FromZeros::new_zeroed();
    let packet = device.packet::<R>(&input, bytes_out);
    let header = Header::read_from_prefix(packet.as_bytes());
    Ok(header.map_err(|_| Stop::failed("a packet without a header"))?.0)
}

fn cannot_answer_where_nothing_can_be_written(observer: &Observer) -> Verdict {
    let before = observer.look()?;
    let device = Device::open()?;
    let region = Region::new(1)?;
    let packet = device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT);
    region.put(0, packet.as_bytes())?;
    region.protect(MprotectFlags::READ)?;
    same!(device.send_region(STATISTICS, &region, 0), Err(Errno::FAULT));
    check!(region.get::<120>()?[..] == packet.as_bytes()[..120], "the packet changed");

    // What was made and could not be told is the session's all the same.
    region.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
    let bytes_out = LowAlloc::BYTES_OUT + 8;
    let packet = device.packet::<LowAlloc>(&PageCountIn { pages: 1, reserved: 0 }, bytes_out);
    region.put(0, packet.as_bytes())?;
    region.protect(MprotectFlags::READ)?;
    let number = ioctl::number(Function::LowAlloc.into(), bytes_out);
    same!(device.send_region(number, &region, 0), Err(Errno::FAULT));

    // An answer whose end is not there.
    region.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
    let header = header_of::<Statistics>(&device, Statistics::BYTES_OUT)?;
    for there in [HEADER_BYTES, HEADER_BYTES + 48, Statistics::BYTES_OUT - 1] {
        region.fill(0)?;
        let offset = region.bytes() - there;
        region.put(offset, header.as_bytes())?;
        let answer = device.send_region(STATISTICS, &region, offset);
        same!(answer, Err(Errno::FAULT), "room for {there} bytes of an answer");
    }
    drop(device);
    observer.wait_for(&before)
}

fn cannot_claim_more_than_the_number_tells(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = Region::new(8)?;
    let good = header_of::<Statistics>(&device, Statistics::BYTES_OUT)?;
    let told = Statistics::BYTES_OUT as u32;
    let refused = Err(Errno::INVAL);
    for (bytes_in, bytes_out, told, expected) in [
        (24, told, told, Ok(())),
        // More room than needed is no mistake.
        (24, told, told + 1, Ok(())),
        (24, told, 16_383, Ok(())),
        (24, told, 0, Ok(())),
        (24, told, told - 1, refused),
        (24, told, 24, refused),
        (24, told, 1, refused),
        (24, told + 1, told, refused),
        (24, u32::MAX, told, refused),
        (told + 1, told, told, refused),
        (u32::MAX, told, told, refused),
        (u32::MAX, u32::MAX, 16_383, refused),
        (23, told, told, refused),
        (0, told, told, refused),
        (0, 0, told, refused),
        (24, 0, told, refused),
        (24, 23, told, refused),
    ] {
        let header = Header { bytes_in, bytes_out, ..good };
        region.put(0, header.as_bytes())?;
        let number = ioctl::number(Function::Statistics.into(), told as usize);
        let answer = device.send_region(number, &region, 0);
        same!(answer, expected, "{bytes_in} bytes in, {bytes_out} out, {told} told");
    }
    Ok(())
}

fn cannot_send_more_than_a_packet_holds(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = Region::new(1)?;
    let number = ioctl::number(Function::LoadModule.into(), 0);
    let good = header_of::<LoadModule>(&device, LoadModule::BYTES_OUT)?;
    let limit = MAX_PACKET_BYTES as u32;
    for (bytes_in, bytes_out) in [
        (limit + 1, good.bytes_out),
        (good.bytes_in, limit + 1),
        (i32::MAX as u32, good.bytes_out),
        (u32::MAX, u32::MAX),
        (24, u32::MAX),
    ] {
        let header = Header { bytes_in, bytes_out, ..good };
        region.put(0, header.as_bytes())?;
        let answer = device.send_region(number, &region, 0);
        same!(answer, Err(Errno::TOOBIG), "{bytes_in} bytes in, {bytes_out} out");
    }
    // The most that is allowed, of which most is not there.
    let header = Header { bytes_in: limit, ..good };
    region.put(0, header.as_bytes())?;
    same!(device.send_region(number, &region, 0), Err(Errno::FAULT));
    Ok(())
}

fn cannot_send_numbers_of_others(_observer: &Observer) -> Verdict {
    const TYPE_SHIFT: u32 = 8;
    const DIRECTION_SHIFT: u32 = 30;
    let device = Device::open()?;
    let region = Region::new(8)?;
    let packet = device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT);
    let another_kind = (0..8).map(|bit| STATISTICS ^ 1 << (TYPE_SHIFT + bit));
    let another_way = (1..4).map(|ways| STATISTICS ^ ways << DIRECTION_SHIFT);
    let unknown = [0, 2, 3, 34, 35, 39, 42, 100, 255]
        .map(|function| ioctl::number(function, Statistics::BYTES_OUT));
    for number in another_kind.chain(another_way).chain(unknown).chain([0, 1, u32::MAX]) {
        region.put(0, packet.as_bytes())?;
        let answer = device.send_region(number, &region, 0);
        same!(answer, Err(Errno::NOTTY), "number {number:#x}");
        check!(region.get::<120>()?[..] == packet.as_bytes()[..120], "{number:#x} wrote something");
    }
    Ok(())
}

/// `ioctl` as a program of 32 bits calls it.
fn ioctl_of_32_bits(device: &Device, number: u32, address: u32) -> i32 {
    const IOCTL: i64 = 54;
    let file = i64::from(device.as_fd().as_raw_fd());
    let result: i64;
    // SAFETY: the kernel saves what this does not name but r8 to r11; rbx, which is LLVM's own, is put
    // back. Packets of the address lie in a region, which is no Rust object. A kernel without the call
    // ends the process.
    unsafe {
        asm!(
            "xchg rbx, {file}",
            "int 0x80",
            "xchg rbx, {file}",
            file = inout(reg) file => _,
            inlateout("rax") IOCTL => result,
            in("rcx") u64::from(number),
            in("rdx") u64::from(address),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result as i32
}

fn cannot_call_from_32_bits(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let region = Region::below_4_gib(1)?;
    let packet = device.packet::<Statistics>(&Empty {}, Statistics::BYTES_OUT);
    region.put(0, packet.as_bytes())?;
    let address = u32::try_from(region.address())?;
    // Not a mistake of the packet's.
    same!(device.send_region(STATISTICS, &region, 0), Ok(()));
    region.put(0, packet.as_bytes())?;
    let mut child = Child::start(|| {
        same!(ioctl_of_32_bits(&device, STATISTICS, address), -libc::ENOTTY);
        Ok(())
    })?;
    if child.wait()? == End::Killed(libc::SIGSEGV) {
        return Err(Stop::Skipped(
            "this kernel has no calls of 32 bits; CONFIG_IA32_EMULATION=y and not ia32_emulation=0 \
             give it them"
                .to_owned(),
        ));
    }
    child.finish()?;
    check!(region.get::<120>()?[..] == packet.as_bytes()[..120], "the packet changed");
    Ok(())
}
