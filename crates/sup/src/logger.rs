//! The driver's loggers: what it tells in the host's log, and what stands before it.
//!
//! There are two for the whole driver, so only who may bring code into ring 0 changes them. What the texts
//! mean is in docs/logger.md; no text is an error.

use sup_abi::Status;
use sup_abi::request::{
    HEADER_BYTES, LOGGER_STRING_BYTES_MAX, LoggerAction, LoggerSettings, LoggerSettingsIn, Request,
};
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

impl Session {
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
        assert_eq!(status(session.logger_destroy(LoggerKind::Debug)), Ok(()));
        let release = status(session.logger_destroy(LoggerKind::Release));
        assert_eq!(release, Err(Status::VERR_ACCESS_DENIED));
    }
}
