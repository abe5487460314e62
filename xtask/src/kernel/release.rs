//! A kernel's release: what `uname -r` prints, such as `6.12.117+deb12-cloud-amd64`.

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// It names packages and folders, and is compared by its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release(String);

impl Release {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub(super) fn running() -> Self {
        Self::new(rustix::system::uname().release().to_string_lossy())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the series' releases: 6.12.1 is of 6.12, but not of 6.1.
    pub(super) fn is_of(&self, series: &str) -> bool {
        self.0.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Its numbers in the order of their weight.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let words = self.0.split(|letter: char| !letter.is_ascii_digit());
        words.filter_map(|word| word.parse().ok()).collect()
    }
}

impl Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Two numbers with a point.
pub(super) fn is_series(name: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// Reads the release out of a folder with a kernel's headers.
pub(super) fn of_headers(folder: &Path) -> Result<Release> {
    let header = folder.join("include/generated/utsrelease.h");
    let text = fs::read_to_string(&header).with_context(|| {
        format!(
            "{} is no folder of prepared kernel headers: no {}",
            folder.display(),
            header.display()
        )
    })?;
    let release = text.split('"').nth(1).unwrap_or_default();
    ensure!(!release.is_empty(), "{} names no release", header.display());
    Ok(Release::new(release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_two_numbers() {
        assert!(is_series("6.1") && is_series("6.12"));
        for name in ["6", "6.", ".1", "6.1.2", "debug", "./6.1", "/usr/src/linux-6.1"] {
            assert!(!is_series(name), "{name}");
        }
    }

    #[test]
    fn cannot_take_a_longer_number_for_the_series() {
        assert!(Release::new("6.1.0-56-cloud-amd64").is_of("6.1"));
        assert!(!Release::new("6.12.117+deb12-cloud-amd64").is_of("6.1"));
        assert!(!Release::new("16.1.0").is_of("6.1"));
    }

    #[test]
    fn the_tenth_comes_after_the_ninth() {
        let [ninth, tenth] = ["6.1.0-9-cloud-amd64", "6.1.0-10-cloud-amd64"].map(Release::new);
        assert!(tenth.numbers() > ninth.numbers());
    }
}
