//! A descriptor passed over a socket to a process that is no relative of the opener.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::Signal;
use sup::{R3Ptr, Status};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::region::Region;

tests! { "passing":
    a_passed_descriptor_works_there,
    a_descriptor_on_its_way_keeps_the_session,
}

const PAGES: usize = 4;

/// What goes with the descriptor.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Letter {
    cookies: [u32; 2],
    event: u32,
    reserved: u32,
    /// The sender's memory, at its address there.
    memory: u64,
}

/// Opens a session, uses it, and sends it away.
fn send_session(socket: &UnixStream) -> Verdict<Device> {
    let device = Device::open()?;
    let event = device.event()?;
    check!(device.clock_page()?.is_clock_page()?);
    device.word_page()?;
    let memory = device.allocate(Service::Low, PAGES as u32)?;
    memory.fill(0x11)?;
    let (cookies, memory) = (device.cookies(), memory.address());
    let letter = Letter { cookies, event, reserved: 0, memory };
    let descriptors = [device.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    check!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [IoSlice::new(letter.as_bytes())];
    same!(sendmsg(socket, &bytes, &mut ancillary, SendFlags::empty())?, size_of::<Letter>());
    Ok(device)
}

fn receive_session(socket: &UnixStream) -> Verdict<(Device, Letter)> {
    let mut bytes = [0; size_of::<Letter>()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
    same!(got.bytes, size_of::<Letter>());
    let file: Option<OwnedFd> = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let file = file.ok_or_else(|| Stop::failed("the socket brought no descriptor"))?;
    let letter = Letter::read_from_bytes(&bytes).map_err(|_| Stop::failed("a short letter"))?;
    Ok((Device::adopt(file, letter.cookies), letter))
}

/// All that a session is good for, in this process.
fn works_here(device: &Device, event: u32) -> Verdict {
    check!(device.clock_page()?.is_clock_page()?, "no clock in this process");
    let words = device.word_page()?;
    check!(words.can_read()?, "no state words in this process");
    let before = words.get::<8>()?;
    device.signal(event)?;
    check!(words.get::<8>()? != before, "the words at {:#x} do not change", words.address());
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS);
    for service in Service::ALL {
        let memory = device.allocate(service, 2)?;
        memory.fill(0x22)?;
        check!(memory.is_all(0x22)?);
        device.free(service, &memory)?;
        check!(!memory.can_read()?, "{service:?}: freed memory can be read");
    }
    Ok(())
}

fn a_passed_descriptor_works_there(observer: &Observer) -> Verdict {
    let sessions = observer.sessions()?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut sender = Child::start(|| {
        let _device = send_session(&theirs)?;
        // Lives until it is killed.
        (&theirs).read_exact(&mut [0])?;
        Ok(())
    })?;
    let (device, letter) = receive_session(&ours)?;
    same!(observer.sessions()?, sessions + 1);
    works_here(&device, letter.event)?;

    // What the sender has at that address is its own business.
    let there = Region::of_driver(R3Ptr::new(letter.memory), PAGES);
    check!(!there.can_read()?, "the sender's memory is in this process too");
    there.map_anew()?;
    there.fill(0x33)?;
    sender.send(Signal::KILL)?;
    same!(sender.wait()?, End::Killed(libc::SIGKILL));
    same!(observer.sessions()?, sessions + 1, "sessions after the sender died");
    works_here(&device, letter.event)?;
    same!(device.statistics()?.session.memory_pages, PAGES as u64, "pages of the dead sender");
    device.free(Service::Low, &there)?;
    same!(device.statistics()?.session.memory_pages, 0);
    check!(there.is_all(0x33)?, "the free of the sender's memory took this process' own");
    drop(device);
    same!(observer.sessions()?, sessions);
    Ok(())
}

fn a_descriptor_on_its_way_keeps_the_session(observer: &Observer) -> Verdict {
    let before = observer.look()?;
    let (ours, theirs) = UnixStream::pair()?;
    Child::start(|| send_session(&theirs).map(drop))?.finish()?;
    // Nobody has it but the socket.
    same!(observer.sessions()?, before.counts.sessions + 1);
    (&theirs).flush()?;
    drop(theirs);
    let (device, letter) = receive_session(&ours)?;
    works_here(&device, letter.event)?;
    drop(device);
    same!(observer.sessions()?, before.counts.sessions);
    Child::start(|| {
        let (ours, theirs) = UnixStream::pair()?;
        send_session(&theirs)?;
        // It dies on its way, with both ends of the socket.
        drop((ours, theirs));
        Ok(())
    })?
    .finish()?;
    observer.wait_for(&before)
}
