//! The driver's loggers.

use sup::Status;
use sup_abi::request::{
    LoggerAction, LoggerKind, LoggerSettings, LoggerSettingsIn, LoggerState, LoggerStateIn,
    terminated,
};

use crate::backend::Backend;
use crate::case::{Verdict, cases, same};
use crate::client::Client;

cases! { Logger {
    the_debug_logger_comes_and_goes:
        "Created once, changed while it is there, destroyed at any time (spec 6.5).",
    the_release_logger_stays:
        "It is created once, and never destroyed (spec 6.5).",
    no_text_is_an_error:
        "Whatever flags and groups say (spec 6.5).",
    a_destruction_has_no_texts:
        "A text that comes with it is invalid, before anything else is looked at (spec 6.5).",
    settings_are_told_as_they_are:
        "Of a logger that is there, to everybody, with the names of its groups (spec 6.5).",
    cannot_send_texts_without_end:
        "The last byte is a NUL, and every text begins inside (spec 6.5).",
}}

/// The packet with three texts, one behind the other.
fn packet(
    client: &Client,
    kind: LoggerKind,
    action: LoggerAction,
    [flags, groups, destination]: [&str; 3],
) -> crate::client::Packet {
    let mut strings = Vec::new();
    let mut put = |text: &str| {
        let offset = strings.len() as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        offset
    };
    let input = LoggerSettingsIn {
        which: kind.into(),
        what: action.into(),
        flags_offset: put(flags),
        groups_offset: put(groups),
        destination_offset: put(destination),
    };
    client.packet_with_tail::<LoggerSettings>(&input, &strings)
}

fn ask(
    client: &Client,
    kind: LoggerKind,
    action: LoggerAction,
    texts: [&str; 3],
) -> Verdict<Status> {
    Ok(client.exchange(&packet(client, kind, action, texts))?.status())
}

const SILENT: [&str; 3] = ["disabled", "", ""];
const NOTHING: [&str; 3] = [""; 3];

fn the_debug_logger_comes_and_goes(backend: &dyn Backend) -> Verdict {
    use LoggerAction::{Create, Destroy, Settings};
    let client = Client::connect(backend)?;
    let of = |client: &Client, action, texts| ask(client, LoggerKind::Debug, action, texts);
    let ask = |action, texts| of(&client, action, texts);
    same!(ask(Settings, SILENT)?, Status::VERR_NOT_FOUND);
    same!(ask(Create, SILENT)?, Status::VINF_SUCCESS);
    same!(ask(Create, SILENT)?, Status::VERR_ALREADY_EXISTS);
    same!(ask(Settings, ["", "all.e.l2", "stdout"])?, Status::VINF_SUCCESS);
    // It is the driver's, so another session finds it.
    let other = Client::connect(backend)?;
    same!(of(&other, Create, SILENT)?, Status::VERR_ALREADY_EXISTS);
    drop(other);
    same!(ask(Destroy, NOTHING)?, Status::VINF_SUCCESS);
    same!(ask(Destroy, NOTHING)?, Status::VINF_SUCCESS);
    same!(ask(Settings, SILENT)?, Status::VERR_NOT_FOUND);
    Ok(())
}

fn the_release_logger_stays(backend: &dyn Backend) -> Verdict {
    use LoggerAction::{Create, Destroy, Settings};
    let client = Client::connect(backend)?;
    let ask = |action, texts| ask(&client, LoggerKind::Release, action, texts);
    same!(ask(Destroy, NOTHING)?, Status::VERR_ACCESS_DENIED);
    // Another run of the suite may have left it: it lives as long as the driver.
    let created = ask(Create, ["", "all", ""])?;
    if created != Status::VINF_SUCCESS {
        same!(created, Status::VERR_ALREADY_EXISTS);
    }
    same!(ask(Create, NOTHING)?, Status::VERR_ALREADY_EXISTS);
    same!(ask(Settings, ["", "all", ""])?, Status::VINF_SUCCESS);
    same!(ask(Destroy, NOTHING)?, Status::VERR_ACCESS_DENIED);
    Ok(())
}

fn no_text_is_an_error(backend: &dyn Backend) -> Verdict {
    use LoggerAction::{Create, Destroy, Settings};
    let client = Client::connect(backend)?;
    let ask = |action, texts| ask(&client, LoggerKind::Debug, action, texts);
    same!(ask(Create, ["disabled", "nobody.at.all", ""])?, Status::VINF_SUCCESS);
    let long = "x".repeat(16_000);
    for text in ["no", "+", "!~-no", "\u{fe}\u{7f}", ";;;", "a=", "*", "**", "=.=", &long] {
        same!(ask(Settings, [text, text, text])?, Status::VINF_SUCCESS, "{text}");
    }
    same!(ask(Destroy, NOTHING)?, Status::VINF_SUCCESS);
    Ok(())
}

fn a_destruction_has_no_texts(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in [LoggerKind::Debug, LoggerKind::Release] {
        for texts in [["x", "", ""], ["", "x", ""], ["", "", "x"]] {
            let status = ask(&client, kind, LoggerAction::Destroy, texts)?;
            same!(status, Status::VERR_INVALID_PARAMETER);
        }
    }
    Ok(())
}

fn settings_are_told_as_they_are(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let input = LoggerStateIn { which: LoggerKind::Debug.into() };
    let none = client.get::<LoggerState>(&input)?;
    same!((none.is_there, none.flags, none.groups), (0, 0, [0; _]));
    let texts = ["tsc pid", "sup.e.l2 sup_drv=0x80000001", ""];
    same!(ask(&client, LoggerKind::Debug, LoggerAction::Create, texts)?, Status::VINF_SUCCESS);
    let told = client.get::<LoggerState>(&input)?;
    same!(ask(&client, LoggerKind::Debug, LoggerAction::Destroy, NOTHING)?, Status::VINF_SUCCESS);
    same!((told.is_there, told.flags), (1, 0x2002_0000));
    let names = told.names.map(|name| terminated(&name).unwrap_or("?").to_owned());
    let mut expected = [("DEFAULT", 0), ("SUP", 7), ("SUP_DRV", 0x8000_0001)].to_vec();
    expected.resize(names.len(), ("", 0));
    same!(names.iter().map(String::as_str).zip(told.groups).collect::<Vec<_>>(), expected);
    same!(told.group_count, 3);
    // A logger that there cannot be.
    let packet = client.packet::<LoggerState>(&LoggerStateIn { which: 2 });
    client.refused(&packet, Status::VERR_INVALID_PARAMETER, "a third logger")
}

fn cannot_send_texts_without_end(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let good = LoggerSettingsIn {
        which: 0,
        what: 0,
        flags_offset: 0,
        groups_offset: 0,
        destination_offset: 0,
    };
    let refused = |input: LoggerSettingsIn, strings: &[u8], what: &str| {
        let packet = client.packet_with_tail::<LoggerSettings>(&input, strings);
        client.refused(&packet, Status::VERR_INVALID_PARAMETER, what)
    };
    refused(good, b"", "without a text")?;
    refused(good, b"a", "without an end")?;
    refused(LoggerSettingsIn { flags_offset: 2, ..good }, b"a\0", "with flags behind")?;
    refused(LoggerSettingsIn { groups_offset: 2, ..good }, b"a\0", "with groups behind")?;
    refused(LoggerSettingsIn { destination_offset: 9, ..good }, b"a\0", "with a place behind")?;
    refused(LoggerSettingsIn { which: 2, ..good }, b"a\0", "for a third logger")?;
    refused(LoggerSettingsIn { what: 3, ..good }, b"a\0", "to do what nobody knows")?;
    client.still_works()
}
