//! The figures of the module itself: how long the kernel takes to insert it, and how large its code is.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::system::{delete_module, finit_module};
use sup::backend::DEVICE;

use super::figure::{Figure, Goal, Unit};
use super::measure::{median, now_ns};
use crate::check::{Stop, Verdict, check};

const INSERTIONS: usize = 5;

/// 200 ms of a guest in which a nanosecond is an instruction.
const INSERTION_MAX: u64 = 200_000_000;

const TEXT_KIB_MAX: u64 = 300;

/// Takes the loaded driver out and puts it in again. Nobody may have a session.
pub(super) fn figures(module: &Path) -> Verdict<Vec<Figure>> {
    const INSERTION: &str = "insert the module";
    const TEXT: &str = "code of the module";
    let image = match fs::read(module) {
        Ok(image) => image,
        Err(error) => {
            let reason = format!("{}: {error}; --module says where supdrv.ko is", module.display());
            return Ok(vec![Figure::skipped(INSERTION, &reason), Figure::skipped(TEXT, reason)]);
        }
    };
    let text = code_bytes(&image)
        .ok_or_else(|| Stop::failed(format_args!("{} is no ELF file", module.display())))?;
    let mut times = Vec::new();
    for _ in 0..INSERTIONS {
        times.push(insert_anew(module)?);
    }
    Ok(vec![
        Figure::new(INSERTION, median(times)).goal(Goal::AtMost(INSERTION_MAX)),
        Figure::new(TEXT, text.div_ceil(1024)).in_unit(Unit::KiB).goal(Goal::AtMost(TEXT_KIB_MAX)),
    ])
}

fn insert_anew(module: &Path) -> Verdict<u64> {
    /// The node is made by a thread of the kernel's.
    const PATIENCE: Duration = Duration::from_secs(5);
    let file = File::open(module)?;
    delete_module(c"supdrv", libc::O_NONBLOCK)
        .map_err(|errno| Stop::failed(format_args!("cannot remove supdrv: {errno}")))?;
    let begin = now_ns();
    finit_module(file.as_fd(), sup_test_key::PARAMETER, 0).map_err(|errno| {
        Stop::failed(format_args!("cannot insert {}: {errno}", module.display()))
    })?;
    let elapsed = now_ns() - begin;
    let limit = Instant::now() + PATIENCE;
    while !Path::new(DEVICE).exists() {
        check!(Instant::now() < limit, "{DEVICE} does not appear");
        sleep(Duration::from_millis(1));
    }
    Ok(elapsed)
}

/// The bytes of all sections with code in an ELF file of 64 bits; `None` for another file.
fn code_bytes(image: &[u8]) -> Option<u64> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01";
    /// `e_shoff`, `e_shentsize` and `e_shnum` of `Elf64_Ehdr`.
    const SECTIONS: [usize; 3] = [40, 58, 60];
    /// `sh_flags` and `sh_size` of `Elf64_Shdr`.
    const FLAGS: usize = 8;
    const SIZE: usize = 32;
    /// `SHF_ALLOC | SHF_EXECINSTR`.
    const CODE: u64 = 2 | 4;

    fn wide(bytes: &[u8], offset: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
    }
    fn narrow(bytes: &[u8], offset: usize) -> Option<usize> {
        Some(u16::from_le_bytes(*bytes.get(offset..)?.first_chunk()?).into())
    }
    if !image.starts_with(MAGIC) {
        return None;
    }
    let table = image.get(usize::try_from(wide(image, SECTIONS[0])?).ok()?..)?;
    let (bytes, count) = (narrow(image, SECTIONS[1])?, narrow(image, SECTIONS[2])?);
    (0..count).try_fold(0_u64, |sum, index| {
        let section = table.get(index * bytes..)?;
        let is_code = wide(section, FLAGS)? & CODE == CODE;
        Some(if is_code { sum + wide(section, SIZE)? } else { sum })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_has_code_and_a_text_file_has_none() {
        let this_test = fs::read(std::env::current_exe().unwrap()).unwrap();
        let code = code_bytes(&this_test).unwrap();
        assert!((10_000..this_test.len() as u64).contains(&code), "{code} bytes");
        assert_eq!(code_bytes(b"#!/bin/sh"), None);
        assert_eq!(code_bytes(&this_test[..100]), None);
    }
}
