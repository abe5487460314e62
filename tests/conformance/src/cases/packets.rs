//! The form of request packets: what every request checks before it does anything.

use sup::Status;
use sup_abi::request::{
    CallServiceIn, Function, GetSymbol, HEADER_BYTES, HEADER_FLAGS, HEADER_FLAGS_MASK, Header,
    INITIAL_COOKIE, LoadModule, LoadModuleIn, LowAlloc, PageAllocEx, PageAllocExIn, PageCountIn,
    Request, RequestInfo, SemaphoreCreate, SemaphoreCreateIn, SemaphoreOp, SemaphoreOpIn,
    SemaphoreQuery, TABLE, Tail, TracerOpenIn,
};
use sup_abi::{SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC};
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, cases, same};
use crate::client::{CONNECT, Client, Packet};

cases! { Packets {
    every_request_has_a_harmless_form:
        "Each request of the table is carried out when its packet is well-formed (spec 1.4).",
    cannot_use_wrong_driver_cookie:
        "A wrong driver cookie is refused by the transport, for every request (spec 1.4).",
    cannot_use_wrong_session_cookie:
        "A wrong session cookie is refused by the transport, for every request (spec 1.4).",
    cannot_use_cookie_of_another_session:
        "The cookie of another session is refused by the transport (spec 2.3).",
    cannot_use_wrong_flags:
        "The fixed part of the flags must be right, for every request (spec 1.2).",
    cannot_send_less_than_a_header:
        "Sizes below the header's own are refused by the transport, for every request (spec 1.4).",
    cannot_claim_more_than_the_packet_has:
        "Sizes above the packet's length are refused by the transport, for every request (spec \
         1.4).",
    cannot_send_packet_without_whole_header:
        "A packet that ends inside its header is refused by the transport (spec 1.4).",
    cannot_send_other_sizes:
        "A request without a tail has exactly its sizes, one byte more or less is refused (spec \
         1.4).",
    cannot_send_tail_of_another_size:
        "A tail has exactly the size that the fixed part gives it (spec 1.4).",
    cannot_send_unknown_function:
        "A number that is no request is VERR_GENERAL_FAILURE of the transport (spec 2.5).",
    unknown_function_comes_after_cookies:
        "Cookies are checked before the number of the request (spec 1.4).",
    cannot_set_reserved_fields: "Every byte of a reserved field must be zero (spec 1.4).",
    cannot_send_unterminated_names:
        "A name that no NUL ends, or that is not text, is refused by the transport (spec 6.4).",
    cannot_send_unknown_semaphore_kind:
        "An unknown kind of semaphore is refused by the transport (spec 3.8).",
    cannot_ask_for_memory_without_user_mapping:
        "PageAllocEx always maps into ring 3, and its flags are 0 or 1 (spec 4.4).",
}}

/// A well-formed packet of a request, which does no harm.
fn harmless(client: &Client, row: &RequestInfo) -> Packet {
    let mut input = vec![0; row.bytes_in - HEADER_BYTES];
    let mut cookies = client.cookies;
    match row.function {
        Function::Connect => {
            input.copy_from_slice(CONNECT.as_bytes());
            cookies[0] = INITIAL_COOKIE;
        }
        Function::PageAllocEx => {
            let zero =
                PageAllocExIn { pages: 0, kernel_mapping: 0, user_mapping: 1, reserved: [0; 2] };
            input.copy_from_slice(zero.as_bytes());
        }
        Function::SemaphoreCreate => {
            let operation = SemaphoreQuery::Resolution.into();
            let input_of =
                SemaphoreCreateIn { kind: 0, handle: 0, operation, reserved: 0, reserved2: 0 };
            input.copy_from_slice(input_of.as_bytes());
        }
        Function::CallVmmBig => {
            // A tail is a must: the head of VMMR0's packet.
            let tail = SUPVMMR0REQHDR { u32Magic: SUPVMMR0REQHDR_MAGIC, cbReq: 8 };
            input.extend_from_slice(tail.as_bytes());
            let bytes_out = row.bytes_out + size_of_val(&tail);
            return Packet::new(row.function, cookies, &input, bytes_out);
        }
        // Texts, of which there is at least the end of the last.
        Function::LoggerSettings => input.push(0),
        _ => {}
    }
    Packet::new(row.function, cookies, &input, row.bytes_out)
}

/// Refuses what `spoil` makes of every request's harmless packet.
fn for_every_request(
    backend: &dyn Backend,
    what: &str,
    spoil: impl Fn(&RequestInfo, Packet) -> Vec<Packet>,
) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    for row in TABLE {
        for packet in spoil(row, harmless(&client, row)) {
            client.refused(&packet, Status::VERR_INVALID_PARAMETER, what)?;
        }
        client.exchange(&harmless(&client, row))?;
    }
    same!(client.totals()?, before);
    Ok(())
}

fn every_request_has_a_harmless_form(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "harmless", |_, _| Vec::new())
}

fn cannot_use_wrong_driver_cookie(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "with a wrong cookie", |_, packet| {
        [0, 1, 1 << 31]
            .map(|change| {
                packet.clone().with_header(|header| match change {
                    0 => header.cookie = 0,
                    bit => header.cookie ^= bit,
                })
            })
            .into()
    })
}

fn cannot_use_wrong_session_cookie(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "with a wrong session cookie", |row, packet| {
        if row.function == Function::Connect {
            return Vec::new();
        }
        [1, 1 << 31]
            .map(|bit| packet.clone().with_header(|header| header.session_cookie ^= bit))
            .into()
    })
}

fn cannot_use_cookie_of_another_session(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    for row in TABLE.iter().filter(|row| row.function != Function::Connect) {
        let packet = harmless(&second, row);
        first.refused(&packet, Status::VERR_INVALID_PARAMETER, "with another session's cookie")?;
    }
    first.still_works()?;
    second.still_works()
}

fn cannot_use_wrong_flags(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "with wrong flags", |_, packet| {
        let fixed_bits = (0..32).map(|bit| 1 << bit).filter(|bit| HEADER_FLAGS_MASK & bit != 0);
        let wrong = fixed_bits.map(|bit| HEADER_FLAGS ^ bit).chain([0, u32::MAX]);
        wrong.map(|flags| packet.clone().with_header(|header| header.flags = flags)).collect()
    })
}

/// The packet with each of `sizes` as the size of its input, then of its output.
fn with_sizes(packet: &Packet, sizes: &[u32]) -> Vec<Packet> {
    let change = |size: u32, field: fn(&mut Header) -> &mut u32| {
        packet.clone().with_header(|header| *field(header) = size)
    };
    let input = sizes.iter().map(|size| change(*size, |header| &mut header.bytes_in));
    let output = sizes.iter().map(|size| change(*size, |header| &mut header.bytes_out));
    input.chain(output).collect()
}

fn cannot_send_less_than_a_header(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "smaller than a header", |_, packet| {
        with_sizes(&packet, &[0, 1, HEADER_BYTES as u32 - 1])
    })
}

fn needs_length(backend: &dyn Backend) -> Verdict {
    if backend.can(Feature::PacketLength) {
        return Ok(());
    }
    Err(Stop::Skipped("a packet of this transport is as long as its header says".to_owned()))
}

fn cannot_claim_more_than_the_packet_has(backend: &dyn Backend) -> Verdict {
    needs_length(backend)?;
    for_every_request(backend, "larger than itself", |_, packet| {
        let length = packet.bytes.len() as u32;
        with_sizes(&packet, &[length + 1, 1 << 24, 1 << 31, u32::MAX])
    })
}

fn cannot_send_packet_without_whole_header(backend: &dyn Backend) -> Verdict {
    needs_length(backend)?;
    for_every_request(backend, "without a whole header", |_, mut packet| {
        (0..HEADER_BYTES)
            .rev()
            .map(|length| {
                packet.bytes.truncate(length);
                packet.clone()
            })
            .collect()
    })
}

fn cannot_send_other_sizes(backend: &dyn Backend) -> Verdict {
    for_every_request(backend, "of another size", |row, packet| {
        let mut packets = Vec::new();
        let header = Header::read_from_prefix(&packet.bytes);
        let right_out = header.map_or(row.bytes_out, |(header, _)| header.bytes_out as usize);
        for change in [-8, -1, 1, 8, 4096] {
            let size = |right: usize| {
                right.checked_add_signed(change).filter(|size| *size >= HEADER_BYTES)
            };
            // A tail would be just that. What LowAlloc answers depends on its count.
            if let (Some(bytes_in), Tail::None) = (size(row.bytes_in), row.tail_in) {
                packets.push(packet.clone().with_bytes_in(bytes_in));
            }
            if let Some(bytes_out) = size(right_out) {
                packets.push(packet.clone().with_bytes_out(bytes_out));
            }
        }
        packets
    })
}

fn cannot_send_tail_of_another_size(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let refused =
        |packet: &Packet, what: &str| client.refused(packet, Status::VERR_INVALID_PARAMETER, what);
    for (claimed, sent) in [(0, 1), (1, 0), (100, 99), (100, 101), (u32::MAX, 100), (1 << 31, 0)] {
        let input = LoadModuleIn { image_bytes: claimed, ..named(b"x") };
        let packet = client.packet_with_tail::<LoadModule>(&input, &vec![0; sent]);
        refused(&packet, "with an image of another size")?;
    }
    for (pages, bytes) in [(0, 8), (1, 0), (1, 7), (1, 9), (2, 8), (u32::MAX, 0), (1 << 29, 0)] {
        let low = client.packet::<LowAlloc>(&PageCountIn { pages, reserved: 0 });
        refused(&low.with_bytes_out(LowAlloc::BYTES_OUT + bytes), "with room for other pages")?;
        let input = PageAllocExIn { pages, kernel_mapping: 1, user_mapping: 1, reserved: [0; 2] };
        let page = client.packet::<PageAllocEx>(&input);
        refused(&page.with_bytes_out(PageAllocEx::BYTES_OUT + bytes), "with room for other pages")?;
    }
    let request = crate::probe::service_request(16);
    let call = client.service_packet("nobody", 0, 0, &request)?;
    let size = call.bytes.len();
    refused(&call.clone().with_bytes_out(size - 1), "that answers less than it asks")?;
    refused(&call.with_bytes_out(size + 1), "that answers more than it asks")?;
    same!(client.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

fn cannot_send_unknown_function(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let is_known = |number: u32| TABLE.iter().any(|row| u32::from(row.function) == number);
    let numbers = (0..300).chain([0x1_0001, 1 << 31, u32::MAX]).filter(|number| !is_known(*number));
    for function in numbers {
        let statistics = client.packet::<sup_abi::request::Statistics>(&sup_abi::request::Empty {});
        let packet = Packet { function, ..statistics };
        client.refused(&packet, Status::VERR_GENERAL_FAILURE, "that nobody knows")?;
    }
    client.still_works()
}

fn unknown_function_comes_after_cookies(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let statistics = client.packet::<sup_abi::request::Statistics>(&sup_abi::request::Empty {});
    let unknown = Packet { function: 99, ..statistics };
    let wrong = unknown.with_header(|header| header.session_cookie ^= 1);
    client.refused(&wrong, Status::VERR_INVALID_PARAMETER, "without a cookie")
}

fn named(name: &[u8]) -> LoadModuleIn {
    let mut input =
        LoadModuleIn { name: [0; 32], handler: [0; 64], image_bytes: 0, reserved: 0, reserved2: 0 };
    input.name[..name.len()].copy_from_slice(name);
    input
}

fn cannot_set_reserved_fields(backend: &dyn Backend) -> Verdict {
    use std::mem::offset_of;
    // Request, offset of the field in its input, size of the field.
    let fields = [
        (Function::LoadModule, offset_of!(LoadModuleIn, reserved), 12),
        (Function::LowAlloc, offset_of!(PageCountIn, reserved), 4),
        (Function::ContAlloc, offset_of!(PageCountIn, reserved), 4),
        (Function::PageAllocEx, offset_of!(PageAllocExIn, reserved), 2),
        (Function::TracerOpen, offset_of!(TracerOpenIn, reserved), 4),
        (Function::SemaphoreOp, offset_of!(SemaphoreOpIn, reserved), 4),
        (Function::SemaphoreCreate, offset_of!(SemaphoreCreateIn, handle), 4),
        (Function::SemaphoreCreate, offset_of!(SemaphoreCreateIn, reserved), 12),
    ];
    for_every_request(backend, "with something in a reserved field", |row, packet| {
        let of_this = fields.iter().filter(|(function, ..)| *function == row.function);
        of_this
            .flat_map(|(_, offset, size)| HEADER_BYTES + offset..HEADER_BYTES + offset + size)
            .map(|position| {
                let mut packet = packet.clone();
                packet.bytes[position] = 0x80;
                packet
            })
            .collect()
    })
}

fn cannot_send_unterminated_names(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let refused =
        |packet: &Packet| client.refused(packet, Status::VERR_INVALID_PARAMETER, "with a bad name");
    refused(&client.packet::<LoadModule>(&LoadModuleIn { name: [b'x'; 32], ..named(b"") }))?;
    refused(&client.packet::<LoadModule>(&LoadModuleIn { handler: [b'x'; 64], ..named(b"x") }))?;
    refused(&client.packet::<LoadModule>(&named(b"\xff\xfe")))?;
    for name in [[b'x'; 64], [0xff; 64]] {
        let input = sup_abi::request::GetSymbolIn { base: sup::R0Ptr::NIL, name };
        refused(&client.packet::<GetSymbol>(&input))?;
    }
    let input = CallServiceIn { name: [b'x'; 28], operation: 0, argument: 0 };
    refused(&client.packet::<sup_abi::request::CallService>(&input))?;
    client.still_works()
}

fn cannot_send_unknown_semaphore_kind(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in [2, 0x100, u32::MAX] {
        let what = "with an unknown kind";
        let input = SemaphoreOpIn { kind, handle: 1, operation: 3, reserved: 0, timeout: 0 };
        let packet = client.packet::<SemaphoreOp>(&input);
        client.refused(&packet, Status::VERR_INVALID_PARAMETER, what)?;
        let input = SemaphoreCreateIn { kind, handle: 0, operation: 0, reserved: 0, reserved2: 0 };
        let packet = client.packet::<SemaphoreCreate>(&input);
        client.refused(&packet, Status::VERR_INVALID_PARAMETER, what)?;
    }
    same!(client.statistics()?.session.handles, 0);
    Ok(())
}

fn cannot_ask_for_memory_without_user_mapping(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (kernel_mapping, user_mapping) in [(0, 0), (1, 0), (2, 1), (1, 2), (0xff, 0xff)] {
        let input = PageAllocExIn { pages: 1, kernel_mapping, user_mapping, reserved: [0; 2] };
        let bytes_out = PageAllocEx::BYTES_OUT + 8;
        let packet = client.packet::<PageAllocEx>(&input).with_bytes_out(bytes_out);
        client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with other mappings")?;
    }
    client.still_works()
}
