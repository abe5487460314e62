//! Opening a session, agreeing on the protocol, closing it.

use std::collections::HashSet;

use sup::{Counts, RingZeroView, Status};
use sup_abi::request::{
    Connect, ConnectIn, ConnectOut, Empty, GipMap, INITIAL_COOKIE, PROTOCOL_VERSION, Request,
    SemaphoreKind,
};
use zerocopy::IntoBytes;

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::{Answer, CONNECT, Client, Packet, exchange, figures};

cases! { Session {
    versions_are_negotiated:
        "The same major version and a minimum that the driver has connect, whatever version is \
         requested (spec 2.3).",
    cannot_connect_with_wrong_magic:
        "A wrong magic string is VERR_INVALID_MAGIC in the answer, the transport succeeds (spec \
         2.3).",
    cannot_connect_with_too_new_version:
        "A minimum above the driver's version is VERR_VERSION_MISMATCH, with all ones and the \
         driver's version in the output (spec 2.3).",
    cannot_connect_with_another_major_version:
        "Another major version is VERR_VERSION_MISMATCH, older ones too (spec 2.3).",
    cannot_connect_with_wrong_cookie:
        "The first request carries the initial cookie, anything else is refused by the transport \
         (spec 2.3).",
    connecting_again_changes_nothing:
        "A session that connects twice gets the same answer twice (spec 2.3).",
    cookies_are_random:
        "Session cookies and ids are random and differ between sessions (spec 2.3).",
    nothing_in_the_answer_is_an_address:
        "The answer names the session by an opaque number, not by an address of the driver's \
         (spec 2.3).",
    sessions_are_counted:
        "Statistics count the open sessions, and the caller's own things apart (spec 2.5).",
    many_sessions_live_side_by_side:
        "Two hundred sessions own separate things and close in any order (spec 2.5).",
    closing_takes_everything_back:
        "A session that is closed with memory, semaphores, modules, objects and the GIP in use \
         leaves nothing (spec 2.5).",
    clones_of_a_session_keep_it_open:
        "The library's session closes with the last thing that it gave out (spec 2.5).",
    opening_and_closing_races:
        "Sessions can be opened and closed by many threads at once (spec 2.5).",
}}

fn connect(backend: &dyn Backend, cookie: u32, input: &ConnectIn) -> Verdict<Answer> {
    let raw = backend.raw()?;
    let bytes_out = Connect::BYTES_OUT;
    let packet = Packet::new(Connect::FUNCTION, [cookie, 7], input.as_bytes(), bytes_out);
    exchange(&*raw, &packet)
}

fn versions_are_negotiated(backend: &dyn Backend) -> Verdict {
    for requested_version in [PROTOCOL_VERSION, 0, u32::MAX] {
        let answer = connect(backend, INITIAL_COOKIE, &ConnectIn { requested_version, ..CONNECT })?;
        same!(answer.status(), Status::VINF_SUCCESS);
        let output = output(&answer)?;
        same!(output.session_version, PROTOCOL_VERSION);
        same!(output.driver_version, PROTOCOL_VERSION);
        check!(output.export_count > 0, "modules can import nothing");
    }
    Ok(())
}

fn output(answer: &Answer) -> Verdict<ConnectOut> {
    answer.output::<Connect>().ok_or_else(|| Stop::failed("no output"))
}

fn cannot_connect_with_wrong_magic(backend: &dyn Backend) -> Verdict {
    for position in 0..CONNECT.magic.len() {
        let mut input = CONNECT;
        input.magic[position] ^= 0x20;
        let answer = connect(backend, INITIAL_COOKIE, &input)?;
        same!(answer.transport, Status::VINF_SUCCESS);
        same!(answer.status(), Status::VERR_INVALID_MAGIC);
        check!(answer.body.is_empty(), "an answer to a stranger");
    }
    Ok(())
}

fn refused_version(backend: &dyn Backend, minimum_version: u32) -> Verdict {
    let answer = connect(backend, INITIAL_COOKIE, &ConnectIn { minimum_version, ..CONNECT })?;
    same!(answer.transport, Status::VINF_SUCCESS);
    same!(answer.status(), Status::VERR_VERSION_MISMATCH, "version {minimum_version:#x}");
    let output = output(&answer)?;
    same!(output.cookie, u32::MAX);
    same!(output.session_cookie, u32::MAX);
    same!(output.session_version, u32::MAX);
    same!(output.driver_version, PROTOCOL_VERSION);
    same!(output.export_count, 0);
    same!(output.session.0, 0);
    Ok(())
}

fn cannot_connect_with_too_new_version(backend: &dyn Backend) -> Verdict {
    refused_version(backend, PROTOCOL_VERSION + 1)?;
    refused_version(backend, PROTOCOL_VERSION | 0xffff)
}

fn cannot_connect_with_another_major_version(backend: &dyn Backend) -> Verdict {
    for version in [0, PROTOCOL_VERSION - 0x1_0000, PROTOCOL_VERSION + 0x1_0000, u32::MAX] {
        refused_version(backend, version)?;
    }
    Ok(())
}

fn cannot_connect_with_wrong_cookie(backend: &dyn Backend) -> Verdict {
    let connected = Client::connect(backend)?;
    for cookie in [0, !INITIAL_COOKIE, INITIAL_COOKIE ^ 1, connected.cookies[0]] {
        let answer = connect(backend, cookie, &CONNECT)?;
        same!(answer.transport, Status::VERR_INVALID_PARAMETER, "cookie {cookie:#x}");
    }
    connected.still_works()
}

fn connecting_again_changes_nothing(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let mut packet = client.packet::<Connect>(&CONNECT);
    packet = packet.with_header(|header| header.cookie = INITIAL_COOKIE);
    let again = output(&client.send(&packet)?)?;
    same!(again.as_bytes(), client.connected.as_bytes());
    client.still_works()
}

fn cookies_are_random(backend: &dyn Backend) -> Verdict {
    let clients: Verdict<Vec<_>> = (0..16).map(|_| Client::connect(backend)).collect();
    let clients = clients?;
    let ids: HashSet<_> = clients.iter().map(|client| client.connected.session.0).collect();
    let cookies: HashSet<_> = clients.iter().map(|client| client.cookies[1]).collect();
    same!(ids.len(), clients.len(), "different session ids");
    check!(cookies.len() >= clients.len() - 1, "session cookies repeat");
    check!(!ids.contains(&0), "a session id is zero");
    // Sixteen equal bits at one place in sixteen numbers: once in 2^240 by chance.
    for shift in [0, 16, 32, 48] {
        let parts: HashSet<_> = ids.iter().map(|id| (id >> shift) as u16).collect();
        check!(parts.len() > 1, "bits {shift} and up of the session ids are all the same");
    }
    let drivers: HashSet<_> = clients.iter().map(|client| client.cookies[0]).collect();
    same!(drivers.len(), 1, "cookies of one driver");
    Ok(())
}

fn nothing_in_the_answer_is_an_address(backend: &dyn Backend) -> Verdict {
    let clients: Verdict<Vec<_>> = (0..16).map(|_| Client::connect(backend)).collect();
    // The upper 17 bits of every address are the same; of 16 random numbers not all are so.
    let looks_like_address = |number: u64| number >> 47 == 0 || number >> 47 == 0x1_ffff;
    let clients = clients?;
    check!(!clients.iter().all(|client| looks_like_address(client.connected.session.0)));
    check!(clients.iter().all(|client| client.connected.reserved == 0));
    Ok(())
}

fn sessions_are_counted(backend: &dyn Backend) -> Verdict {
    let first = Client::connect(backend)?;
    let before = first.statistics()?;
    let second = Client::connect(backend)?;
    let with_second = first.statistics()?;
    same!(with_second.driver.sessions, before.driver.sessions + 1);
    same!(with_second.session.sessions, 1);
    second.create(SemaphoreKind::Event)?;
    same!(first.statistics()?.driver.handles, before.driver.handles + 1);
    same!(first.statistics()?.session.handles, 0);
    same!(second.statistics()?.session.handles, 1);
    drop(second);
    same!(first.totals()?, figures(&before.driver));
    Ok(())
}

fn many_sessions_live_side_by_side(backend: &dyn Backend) -> Verdict {
    let observer = Client::connect(backend)?;
    let before = observer.totals()?;
    let mut clients = Vec::new();
    for number in 0..200 {
        let client = Client::connect(backend)?;
        for _ in 0..number % 3 {
            // Numbers belong to their session: each one starts anew.
            check!(client.create(SemaphoreKind::EventMulti)? <= 3);
        }
        clients.push(client);
    }
    for (number, client) in clients.iter().enumerate() {
        same!(client.statistics()?.session.handles, number as u64 % 3);
    }
    while !clients.is_empty() {
        drop(clients.swap_remove(clients.len() / 3));
    }
    same!(observer.totals()?, before);
    Ok(())
}

fn closing_takes_everything_back(backend: &dyn Backend) -> Verdict {
    let observer = Client::connect(backend)?;
    let before = observer.totals()?;
    let client = Client::connect(backend)?;
    for pages in 1..=3 {
        super::memory::allocate_some(&client, pages)?;
    }
    for _ in 0..600 {
        client.create(SemaphoreKind::Event)?;
    }
    let probe = crate::probe::Probe::load(&client)?;
    for number in 0..10 {
        probe.register(number)?;
    }
    client.get::<GipMap>(&Empty {})?;
    let Counts { objects, handles, memory_blocks, memory_pages, image_references, .. } =
        client.statistics()?.session;
    same!(
        [objects, handles, memory_blocks, memory_pages, image_references],
        [10, 600, 9, 3 * (1 + 2 + 3), 1]
    );
    drop(client);
    same!(observer.totals()?, before);
    Ok(())
}

fn clones_of_a_session_keep_it_open(backend: &dyn Backend) -> Verdict {
    let observer = Client::connect(backend)?;
    let before = observer.totals()?;
    let session = backend.open()?;
    let clone = session.clone();
    let event = session.event()?;
    let memory = session.shared_pages(1, RingZeroView::None)?;
    drop(session);
    drop(clone);
    same!(observer.totals()?[0], before[0] + 1);
    event.signal()?;
    event.wait(sup::Timeout::Poll)?;
    drop(event);
    same!(memory.words()[0].load(std::sync::atomic::Ordering::Relaxed), 0);
    drop(memory);
    same!(observer.totals()?, before);
    Ok(())
}

fn opening_and_closing_races(backend: &dyn Backend) -> Verdict {
    let work = || -> Verdict {
        for _ in 0..50 {
            let client = Client::connect(backend)?;
            client.create(SemaphoreKind::Event)?;
            client.get::<GipMap>(&Empty {})?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Stop::failed("a thread panicked"))?)
    })?;
    let observer = Client::connect(backend)?;
    same!(observer.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}
