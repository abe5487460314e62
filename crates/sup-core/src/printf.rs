//! The formatter behind `SUPR0Printf`: the C conversions, and the header's era's `%R` ones.
//!
//! Conversions: `d i u x X o c s p %`, with flags `- + # 0` and blank, width, precision, and the sizes
//! `hh h l ll j z t`. Extensions: `%RU8 %RU16 %RU32 %RU64`, `%RI..` signed and `%RX..` hexadecimal of
//! the same widths, `%RTbool`, `%Rrc` a status by name and number. An unknown conversion is printed as
//! it stands, and takes no argument.
//!
//! Safe code: where the arguments and the strings come from is the caller's business ([`Arguments`]).

use core::fmt::{self, Write};

use sup_abi::Status;

/// The arguments of a call, and the memory that they point to.
pub trait Arguments {
    /// The next argument, as a register or stack slot of 64 bits.
    fn next(&mut self) -> u64;
    /// Calls `each` with the bytes of the string at `address`, up to its NUL or to `limit` bytes.
    fn string(&mut self, address: u64, limit: usize, each: &mut dyn FnMut(u8));
}

#[derive(Default)]
struct Spec {
    is_left: bool,
    is_zero_padded: bool,
    is_alternate: bool,
    /// Before a number that is not negative: `+`, a blank, or nothing.
    sign: Option<u8>,
    width: usize,
    precision: Option<usize>,
    /// Bits of an integer argument.
    bits: u32,
}

/// The widest field; what asks for more gets this.
const MAX_FIELD: usize = 512;

/// Formats `format` with `arguments` into `out`. Bytes are passed on as they are.
///
/// # Errors
/// Those of `out`.
pub fn format(format: &[u8], arguments: &mut dyn Arguments, out: &mut dyn Sink) -> fmt::Result {
    let mut rest = format;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.put(byte)?;
            continue;
        }
        let start = rest;
        let mut spec = Spec { bits: 32, ..Spec::default() };
        parse_flags(&mut spec, &mut rest, arguments);
        if convert(&mut spec, &mut rest, arguments, out)?.is_none() {
            // Unknown: the percent sign stands for itself, and so does what follows it.
            out.put(b'%')?;
            rest = start;
        }
    }
    Ok(())
}

/// Where formatted bytes go.
pub trait Sink {
    /// Takes one byte.
    ///
    /// # Errors
    /// If it takes no more.
    fn put(&mut self, byte: u8) -> fmt::Result;
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, tail) = rest.split_first()?;
    *rest = tail;
    Some(byte)
}

fn take_number(rest: &mut &[u8], arguments: &mut dyn Arguments) -> Option<i64> {
    if rest.first() == Some(&b'*') {
        take(rest);
        return Some(i64::from(arguments.next() as u32 as i32));
    }
    let mut number = None;
    while let Some(digit) = rest.first().filter(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        number = Some(number.unwrap_or(0_i64).saturating_mul(10).saturating_add(digit));
        take(rest);
    }
    number
}

fn parse_flags(spec: &mut Spec, rest: &mut &[u8], arguments: &mut dyn Arguments) {
    loop {
        match rest.first() {
            Some(b'-') => spec.is_left = true,
            Some(b'0') => spec.is_zero_padded = true,
            Some(b'#') => spec.is_alternate = true,
            Some(b'+') => spec.sign = Some(b'+'),
            Some(b' ') => spec.sign = spec.sign.or(Some(b' ')),
            _ => break,
        }
        take(rest);
    }
    if let Some(width) = take_number(rest, arguments) {
        spec.is_left |= width < 0;
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(MAX_FIELD).min(MAX_FIELD);
    }
    if rest.first() == Some(&b'.') {
        take(rest);
        // A negative precision, from an argument, is as if there were none.
        let precision = take_number(rest, arguments).unwrap_or(0);
        spec.precision = usize::try_from(precision).ok();
    }
    loop {
        match rest.first() {
            Some(b'l' | b'j' | b'z' | b't') => spec.bits = 64,
            Some(b'h') => spec.bits = if spec.bits == 16 { 8 } else { 16 },
            _ => break,
        }
        take(rest);
    }
}

/// Carries one conversion out; `None` if there is no such.
fn convert(
    spec: &mut Spec,
    rest: &mut &[u8],
    arguments: &mut dyn Arguments,
    out: &mut dyn Sink,
) -> Result<Option<()>, fmt::Error> {
    match take(rest) {
        Some(b'%') => out.put(b'%')?,
        Some(b'c') => text(spec, &[arguments.next() as u8], out)?,
        Some(b's') => string(spec, arguments, out)?,
        Some(b'd' | b'i') => signed(spec, arguments.next(), out)?,
        Some(b'u') => unsigned(spec, arguments.next(), 10, false, out)?,
        Some(b'o') => unsigned(spec, arguments.next(), 8, false, out)?,
        Some(b'x') => unsigned(spec, arguments.next(), 16, false, out)?,
        Some(b'X') => unsigned(spec, arguments.next(), 16, true, out)?,
        Some(b'p') => {
            *spec = Spec { bits: 64, is_alternate: true, width: spec.width, ..Spec::default() };
            unsigned(spec, arguments.next(), 16, false, out)?;
        }
        Some(b'R') => return extension(spec, rest, arguments, out),
        _ => return Ok(None),
    }
    Ok(Some(()))
}

fn extension(
    spec: &mut Spec,
    rest: &mut &[u8],
    arguments: &mut dyn Arguments,
    out: &mut dyn Sink,
) -> Result<Option<()>, fmt::Error> {
    if let Some(tail) = rest.strip_prefix(b"rc") {
        *rest = tail;
        let status = Status::new(arguments.next() as u32 as i32);
        let mut name = arrayvec::ArrayString::<64>::new();
        write!(name, "{status}")?;
        text(spec, name.as_bytes(), out)?;
        return Ok(Some(()));
    }
    if let Some(tail) = rest.strip_prefix(b"Tbool") {
        *rest = tail;
        let word: &[u8] = if arguments.next() as u8 == 0 { b"false" } else { b"true" };
        text(spec, word, out)?;
        return Ok(Some(()));
    }
    let Some(kind @ (b'U' | b'I' | b'X')) = take(rest) else { return Ok(None) };
    let widths: [(&[u8], u32); 4] = [(b"8", 8), (b"16", 16), (b"32", 32), (b"64", 64)];
    let Some((tail, bits)) =
        widths.iter().find_map(|(name, bits)| Some((rest.strip_prefix(*name)?, *bits)))
    else {
        return Ok(None);
    };
    *rest = tail;
    spec.bits = bits;
    let value = arguments.next();
    match kind {
        b'U' => unsigned(spec, value, 10, false, out)?,
        b'X' => unsigned(spec, value, 16, false, out)?,
        _ => signed(spec, value, out)?,
    }
    Ok(Some(()))
}

/// The bits of an argument above its size, cut off.
fn sized(spec: &Spec, value: u64) -> u64 {
    let unused = 64_u32.saturating_sub(spec.bits);
    value.wrapping_shl(unused).wrapping_shr(unused)
}

fn signed(spec: &Spec, value: u64, out: &mut dyn Sink) -> fmt::Result {
    let unused = 64_u32.saturating_sub(spec.bits);
    let value = value.wrapping_shl(unused).cast_signed().wrapping_shr(unused);
    let sign = if value < 0 { Some(b'-') } else { spec.sign };
    number(spec, sign.as_slice(), value.unsigned_abs(), 10, false, out)
}

fn unsigned(spec: &Spec, value: u64, base: u64, is_upper: bool, out: &mut dyn Sink) -> fmt::Result {
    let value = sized(spec, value);
    let prefix: &[u8] = match (spec.is_alternate && value != 0, base, is_upper) {
        (true, 16, false) => b"0x",
        (true, 16, true) => b"0X",
        (true, 8, _) => b"0",
        _ => b"",
    };
    number(spec, prefix, value, base, is_upper, out)
}

fn number(
    spec: &Spec,
    prefix: &[u8],
    mut value: u64,
    base: u64,
    is_upper: bool,
    out: &mut dyn Sink,
) -> fmt::Result {
    let alphabet: &[u8; 16] = if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    // The longest is 64 bits in octal.
    let mut digits = arrayvec::ArrayVec::<u8, 22>::new();
    while value != 0 || (digits.is_empty() && spec.precision != Some(0)) {
        let digit = value.checked_rem(base).and_then(|digit| alphabet.get(digit as usize));
        if digits.try_push(*digit.ok_or(fmt::Error)?).is_err() {
            break;
        }
        value = value.checked_div(base).unwrap_or(0);
    }
    let length = digits.len().saturating_add(prefix.len());
    let mut zeros = spec.precision.unwrap_or(0).min(MAX_FIELD).saturating_sub(digits.len());
    if spec.is_zero_padded && !spec.is_left && spec.precision.is_none() {
        zeros = spec.width.saturating_sub(length);
    }
    let padding = spec.width.saturating_sub(length.saturating_add(zeros));
    if !spec.is_left {
        repeat(b' ', padding, out)?;
    }
    prefix.iter().try_for_each(|byte| out.put(*byte))?;
    repeat(b'0', zeros, out)?;
    digits.iter().rev().try_for_each(|byte| out.put(*byte))?;
    if spec.is_left { repeat(b' ', padding, out) } else { Ok(()) }
}

fn text(spec: &Spec, bytes: &[u8], out: &mut dyn Sink) -> fmt::Result {
    let padding = spec.width.saturating_sub(bytes.len());
    if !spec.is_left {
        repeat(b' ', padding, out)?;
    }
    bytes.iter().try_for_each(|byte| out.put(*byte))?;
    if spec.is_left { repeat(b' ', padding, out) } else { Ok(()) }
}

fn string(spec: &Spec, arguments: &mut dyn Arguments, out: &mut dyn Sink) -> fmt::Result {
    let address = arguments.next();
    if address == 0 {
        return text(spec, b"<NULL>", out);
    }
    let limit = spec.precision.unwrap_or(MAX_FIELD).min(MAX_FIELD);
    let mut length = 0_usize;
    if spec.width > 0 && !spec.is_left {
        arguments.string(address, limit, &mut |_| length = length.saturating_add(1));
        repeat(b' ', spec.width.saturating_sub(length), out)?;
        length = 0;
    }
    let mut result = Ok(());
    arguments.string(address, limit, &mut |byte| {
        length = length.saturating_add(1);
        result = result.and_then(|()| out.put(byte));
    });
    result?;
    if spec.is_left { repeat(b' ', spec.width.saturating_sub(length), out) } else { Ok(()) }
}

fn repeat(byte: u8, count: usize, out: &mut dyn Sink) -> fmt::Result {
    (0..count).try_for_each(|_| out.put(byte))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Arguments from a list; a string is named by 1 + its index.
    struct Listed<'a>(std::slice::Iter<'a, u64>, &'a [&'a str]);

    impl Arguments for Listed<'_> {
        fn next(&mut self) -> u64 {
            *self.0.next().unwrap()
        }

        fn string(&mut self, address: u64, limit: usize, each: &mut dyn FnMut(u8)) {
            self.1[address as usize - 1].bytes().take(limit).for_each(each);
        }
    }

    struct Buffer(Vec<u8>);

    impl Sink for Buffer {
        fn put(&mut self, byte: u8) -> fmt::Result {
            self.0.push(byte);
            Ok(())
        }
    }

    fn run(text: &str, values: &[u64], strings: &[&str]) -> String {
        let mut out = Buffer(Vec::new());
        format(text.as_bytes(), &mut Listed(values.iter(), strings), &mut out).unwrap();
        String::from_utf8(out.0).unwrap()
    }

    #[test]
    fn integers_like_c() {
        let minus_two = 0xffff_fffe;
        assert_eq!(
            run("%d|%u|%x", &[minus_two, minus_two, minus_two], &[]),
            "-2|4294967294|fffffffe"
        );
        assert_eq!(run("%ld %lld", &[u64::MAX, u64::MAX], &[]), "-1 -1");
        assert_eq!(run("%hhd %hu", &[0x1ff, 0x1_ffff], &[]), "-1 65535");
        assert_eq!(
            run("[%5d][%-5d][%05d][%+d][% d]", &[42, 42, 42, 42, 42], &[]),
            "[   42][42   ][00042][+42][ 42]"
        );
        assert_eq!(run("%#x %#X %#o %#x", &[255, 255, 8, 0], &[]), "0xff 0XFF 010 0");
        assert_eq!(run("%.3d|%.0d|%8.3d", &[7, 0, 7], &[]), "007||     007");
        assert_eq!(run("%*d|%-*d", &[4, 1, 4, 1], &[]), "   1|1   ");
        assert_eq!(run("%p", &[0x7f00_0000_1000], &[]), "0x7f0000001000");
    }

    #[test]
    fn strings_and_characters_like_c() {
        assert_eq!(run("%s, %s!", &[1, 2], &["Hello", "ring 0"]), "Hello, ring 0!");
        assert_eq!(run("[%6s][%-6s][%.2s]", &[1, 1, 1], &["abc"]), "[   abc][abc   ][ab]");
        assert_eq!(run("%c%c 100%%", &[65, 66], &[]), "AB 100%");
        assert_eq!(run("%s", &[0], &[]), "<NULL>");
    }

    #[test]
    fn extensions() {
        assert_eq!(run("%Rrc", &[(-2_i32 as u32).into()], &[]), "VERR_INVALID_PARAMETER (-2)");
        assert_eq!(run("%RX64 %RU8 %RI16", &[0xabc, 0x1ff, 0xffff], &[]), "abc 255 -1");
        assert_eq!(run("%RTbool", &[1], &[]), "true");
    }

    #[test]
    fn unknown_conversion_stands_for_itself() {
        assert_eq!(run("%q %Rzz %", &[], &[]), "%q %Rzz %");
    }
}
