//! The driver's loggers: what it tells in the host's log, and what stands before it.
//!
//! There are two for the whole driver, so only who may bring code into ring 0 changes them. What the texts
//! mean is in docs/logger.md; no text is an error.

use std::num::NonZeroU32;

use sup_abi::Status;
use sup_abi::request::{
    HEADER_BYTES, LOGGER_STRING_BYTES_MAX, LoggerAction, LoggerSettings, LoggerSettingsIn,
    LoggerStateOut, Request, terminated,
};
use sup_core::logger::{FlagsText, GroupText};
use zerocopy::IntoBytes;

pub use sup_abi::request::LoggerKind;

use crate::Session;
use crate::error::{Error, Result};

const CALL: &str = "LoggerSettings";

/// What a logger is told, each as a text; empty texts say nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggerTexts<'a> {
    /// Flags, as `tsc pid nodisabled`.
    pub flags: &'a str,
    /// Groups, as `all.e.l2 -sup`.
    pub groups: &'a str,
    /// Where to, which the driver ignores: it has the host's log.
    pub destination: &'a str,
}

/// The settings of a logger, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggerState {
    /// Else it has no flags, and all groups are off.
    pub is_there: bool,
    /// Flags, as the specification numbers them.
    pub flags: u32,
    /// Each group of messages with its bits.
    pub groups: Vec<(String, u32)>,
    /// Lines a second that each module may print, and the loggers may let through; `None`: as many as come.
    pub print_limit: Option<NonZeroU32>,
}

impl LoggerState {
    /// The flags as a text that makes them, as `tsc pid`.
    pub fn flags_text(&self) -> String {
        FlagsText(self.flags).to_string()
    }

    /// The groups that are not off as a text that makes them, as `SUP.e.l2 SUP_DRV.e`.
    pub fn groups_text(&self) -> String {
        let on = self.groups.iter().filter(|(_, bits)| *bits != 0);
        let texts = on.map(|(name, bits)| GroupText { name, bits: *bits }.to_string());
        texts.collect::<Vec<_>>().join(" ")
    }
}

impl From<LoggerStateOut> for LoggerState {
    fn from(output: LoggerStateOut) -> Self {
        let groups = output.names.iter().zip(output.groups).take(output.group_count as usize);
        let groups = groups.filter_map(|(name, bits)| Some((terminated(name)?.to_owned(), bits)));
        Self {
            is_there: output.is_there != 0,
            flags: output.flags,
            groups: groups.collect(),
            print_limit: NonZeroU32::new(output.print_limit),
        }
    }
}

impl Session {
    /// The settings of a logger. Everybody may know them.
    ///
    /// # Errors
    /// Only those of the transport.
    pub fn logger_state(&self, kind: LoggerKind) -> Result<LoggerState> {
        use sup_abi::request::{LoggerState as Request, LoggerStateIn};
        let input = LoggerStateIn { which: kind.into() };
        self.connection().call::<Request>(&input).map(LoggerState::from)
    }

    /// Changes the settings of a logger. Corresponds to `SUPR3LoggerSettings`.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if there is no such logger; `VERR_PERMISSION_DENIED` for who may not bring code into
    /// ring 0; `VERR_INVALID_PARAMETER` for a text with a NUL, and for more than 16 339 bytes of texts.
    pub fn logger_settings(&self, kind: LoggerKind, texts: LoggerTexts<'_>) -> Result<()> {
        self.logger(kind, LoggerAction::Settings, texts)
    }

    /// Creates a logger: all groups are off but those of its text. Corresponds to `SUPR3LoggerCreate`.
    ///
    /// # Errors
    /// `VERR_ALREADY_EXISTS`; else those of [`Session::logger_settings`].
    pub fn logger_create(&self, kind: LoggerKind, texts: LoggerTexts<'_>) -> Result<()> {
        self.logger(kind, LoggerAction::Create, texts)
    }

    /// Destroys the debug logger, if there is one. Corresponds to `SUPR3LoggerDestroy`.
    ///
    /// # Errors
    /// `VERR_ACCESS_DENIED` for the release logger, which stays; `VERR_PERMISSION_DENIED`.
    pub fn logger_destroy(&self, kind: LoggerKind) -> Result<()> {
        self.logger(kind, LoggerAction::Destroy, LoggerTexts::default())
    }

    fn logger(&self, kind: LoggerKind, action: LoggerAction, texts: LoggerTexts<'_>) -> Result<()> {
        let (strings, [flags, groups, destination]) = packed(texts)?;
        let input = LoggerSettingsIn {
            which: kind.into(),
            what: action.into(),
            flags_offset: flags,
            groups_offset: groups,
            destination_offset: destination,
        };
        let bytes_in = LoggerSettings::BYTES_IN + strings.len();
        let mut buffer = vec![0_u64; bytes_in.div_ceil(size_of::<u64>())];
        let packet = &mut buffer.as_mut_bytes()[..bytes_in];
        packet[HEADER_BYTES..LoggerSettings::BYTES_IN].copy_from_slice(input.as_bytes());
        packet[LoggerSettings::BYTES_IN..].copy_from_slice(&strings);
        let (status, _) = self.connection().send::<LoggerSettings>(
            packet,
            bytes_in,
            LoggerSettings::BYTES_OUT,
        )?;
        match status.ok() {
            Ok(_) => Ok(()),
            Err(status) => Err(Error::new(CALL, status, explanation(kind, status))),
        }
    }
}

/// The texts one behind the other, each with a NUL; an empty one is the last NUL.
fn packed(texts: LoggerTexts<'_>) -> Result<(Vec<u8>, [u32; 3])> {
    let refuse = |detail: String| Err(Error::new(CALL, Status::VERR_INVALID_PARAMETER, detail));
    let all = [texts.flags, texts.groups, texts.destination];
    if all.iter().any(|text| text.contains('\0')) {
        return refuse("a text has a NUL inside".to_owned());
    }
    let mut strings = Vec::new();
    let mut offsets = all.map(|text| {
        let offset = strings.len();
        if !text.is_empty() {
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
        }
        offset
    });
    if strings.is_empty() {
        strings.push(0);
    }
    if strings.len() > LOGGER_STRING_BYTES_MAX {
        let detail = format!(
            "the texts take {} bytes, {LOGGER_STRING_BYTES_MAX} are the most",
            strings.len()
        );
        return refuse(detail);
    }
    for (offset, text) in offsets.iter_mut().zip(all) {
        if text.is_empty() {
            *offset = strings.len() - 1;
        }
    }
    // Less than the limit.
    Ok((strings, offsets.map(|offset| offset as u32)))
}

fn explanation(kind: LoggerKind, status: Status) -> String {
    let name = match kind {
        LoggerKind::Debug => "debug",
        LoggerKind::Release => "release",
    };
    match status {
        Status::VERR_NOT_FOUND => format!("there is no {name} logger; create it first"),
        Status::VERR_ALREADY_EXISTS => format!("there is a {name} logger; change its settings"),
        Status::VERR_ACCESS_DENIED => "the release logger stays once it is there".to_owned(),
        Status::VERR_PERMISSION_DENIED => {
            "the loggers are the machine's: changing them takes CAP_SYS_MODULE".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_texts_are_the_last_nul() {
        let (strings, offsets) = packed(LoggerTexts::default()).unwrap();
        assert_eq!((strings.as_slice(), offsets), (&b"\0"[..], [0; 3]));
        let texts = LoggerTexts { groups: "all", ..LoggerTexts::default() };
        let (strings, offsets) = packed(texts).unwrap();
        assert_eq!((strings.as_slice(), offsets), (&b"all\0"[..], [3, 0, 3]));
        let texts = LoggerTexts { flags: "ts", groups: "all", destination: "file" };
        let (strings, offsets) = packed(texts).unwrap();
        assert_eq!((strings.as_slice(), offsets), (&b"ts\0all\0file\0"[..], [0, 3, 7]));
    }

    #[test]
    fn texts_are_bounded() {
        let of = |bytes: usize| {
            let text = "x".repeat(bytes);
            packed(LoggerTexts { flags: &text, ..LoggerTexts::default() }).map(|_| ())
        };
        assert!(of(16_338).is_ok());
        assert_eq!(of(16_339).unwrap_err().status(), Status::VERR_INVALID_PARAMETER);
        let nul = packed(LoggerTexts { flags: "a\0b", ..LoggerTexts::default() });
        assert_eq!(nul.unwrap_err().status(), Status::VERR_INVALID_PARAMETER);
    }

    #[test]
    fn a_logger_comes_changes_and_goes() {
        let session = Session::open().unwrap();
        let texts = LoggerTexts { flags: "disabled", groups: "all", destination: "" };
        let status = |result: Result<()>| result.map_err(|error| error.status());
        let missing = status(session.logger_settings(LoggerKind::Debug, texts));
        assert_eq!(missing, Err(Status::VERR_NOT_FOUND));
        assert_eq!(status(session.logger_create(LoggerKind::Debug, texts)), Ok(()));
        let again = status(session.logger_create(LoggerKind::Debug, texts));
        assert_eq!(again, Err(Status::VERR_ALREADY_EXISTS));
        assert_eq!(status(session.logger_settings(LoggerKind::Debug, texts)), Ok(()));
        let more = LoggerTexts { flags: "tsc enabled", groups: "-default sup.l2", destination: "" };
        assert_eq!(status(session.logger_settings(LoggerKind::Debug, more)), Ok(()));
        let state = session.logger_state(LoggerKind::Debug).unwrap();
        assert!(state.is_there);
        assert_eq!((&*state.flags_text(), &*state.groups_text()), ("tsc", "SUP.e.l2 SUP_DRV.e"));
        assert_eq!(state.groups[0], ("DEFAULT".to_owned(), 0));
        assert_eq!(status(session.logger_destroy(LoggerKind::Debug)), Ok(()));
        let release = status(session.logger_destroy(LoggerKind::Release));
        assert_eq!(release, Err(Status::VERR_ACCESS_DENIED));
        let gone = session.logger_state(LoggerKind::Debug).unwrap();
        assert_eq!((gone.is_there, gone.flags, &*gone.groups_text()), (false, 0, ""));
    }
}
