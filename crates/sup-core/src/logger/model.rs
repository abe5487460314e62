//! The grammar of specification 6.5 once more, read literally and slowly: what the driver's parser is held against.
//!
//! Neighbours: `tests/grammar.rs`, and the fuzz target `logger`, which includes this file. It has its own tables.
//! Invariant: nothing of the driver is used here.

/// Names of flags in the order of the specification's paragraph, their bit, and whether they are inverse.
const FLAGS: &str = "disabled:1 enabled:1! buffered:2 unbuffered:2! usecrlf:10 uself:10! append:20 overwrite:20! \
    rel:40 abs:40! dec:80 hex:80! writethru:100 writethrough:100 flush:200 lockcnts:8000 cpuid:10000 pid:20000 \
    flagno:40000 flag:80000 groupno:100000 group:200000 tid:400000 thread:800000 custom:1000000 timeprog:4000000 \
    time:8000000 msprog:10000000 tsc:20000000 ts:40000000";

/// Names in suffixes.
const SUFFIXES: &str = "eo:1 enabledonly:1 e:3 enabled:3 l1:2 level1:2 l:4 l2:4 level2:4 l3:8 level3:8 l4:10 \
    level4:10 l5:20 level5:20 l6:40 level6:40 f:80 flow:80 restrict:100 lelik:10000 michael:20000 sunlover:40000 \
    achim:80000 achimha:80000 s:100000 sander:100000 sandervl:100000 klaus:200000 frank:400000 b:800000 \
    bird:800000 aleksey:1000000 dj:2000000 n:4000000 noname:4000000";

fn table(text: &'static str) -> impl Iterator<Item = (&'static [u8], u32, bool)> {
    text.split_whitespace().map(|entry| {
        let (name, bit) = entry.split_once(':').expect("a name and a bit");
        let is_inverse = bit.ends_with('!');
        let bit = u32::from_str_radix(bit.trim_end_matches('!'), 16).expect("a bit");
        (name.as_bytes(), bit, is_inverse)
    })
}

fn is_white(byte: u8) -> bool {
    b" \t\n\x0b\x0c\r".contains(&byte)
}

/// The flags after a text without a NUL.
pub(crate) fn flags(before: u32, text: &[u8]) -> u32 {
    let mut bits = before;
    let mut at = 0;
    while at < text.len() {
        // (a)
        if is_white(text[at]) {
            at += 1;
            continue;
        }
        // (b)
        let mut negated = false;
        while at < text.len() {
            if text[at..].starts_with(b"no") {
                (negated, at) = (!negated, at + 2);
            } else if b"-!~".contains(&text[at]) {
                (negated, at) = (!negated, at + 1);
            } else if text[at] == b'+' {
                (negated, at) = (true, at + 1);
            } else {
                break;
            }
        }
        // (c), (d)
        match table(FLAGS).find(|(name, ..)| text[at..].starts_with(name)) {
            Some((name, bit, is_inverse)) => {
                bits = if negated == is_inverse { bits | bit } else { bits & !bit };
                at += name.len();
            }
            None => at += 1,
        }
        // (e)
        while at < text.len() && (is_white(text[at]) || text[at] == b';') {
            at += 1;
        }
    }
    bits
}

/// The groups of these names after a text without a NUL.
pub(crate) fn groups<const N: usize>(names: [&str; N], before: [u32; N], text: &[u8]) -> [u32; N] {
    let mut groups = before;
    let mut at = 0;
    loop {
        let mut enable = true;
        while at < text.len() && b"+- \t\n;".contains(&text[at]) {
            enable = match text[at] {
                b'-' => false,
                b'+' | b';' => true,
                _ => enable,
            };
            at += 1;
        }
        if at == text.len() {
            return groups;
        }
        let mut end = at;
        while end < text.len() && !b"+- \t".contains(&text[end]) {
            end += 1;
        }
        for (group, name) in groups.iter_mut().zip(names) {
            if let Some(used) = matched(&text[at..end], name.as_bytes()) {
                let mask = suffix(&text[at + used..]);
                if enable {
                    *group |= mask;
                } else {
                    *group &= !mask;
                }
            }
        }
        at = end;
    }
}

/// How much of a token is its pattern, if it fits the name.
fn matched(token: &[u8], name: &[u8]) -> Option<usize> {
    let all = token.len() >= 3 && token[..3].eq_ignore_ascii_case(b"all");
    if all && [None, Some(&b'.'), Some(&b'=')].contains(&token.get(3)) {
        return Some(3);
    }
    let ends_at = |at: usize| [None, Some(&b'.'), Some(&b'=')].contains(&token.get(at));
    let (mut at, mut of) = (0, 0);
    loop {
        if token.get(at) == Some(&b'*') {
            at += 1;
            if ends_at(at) {
                return Some(at);
            }
            let has = |wanted: u8| (of..name.len()).find(|place| name[*place] == wanted);
            of = has(token[at].to_ascii_lowercase()).or(has(token[at].to_ascii_uppercase()))?;
        } else if ends_at(at) {
            return (of == name.len()).then_some(at);
        } else if of < name.len() && token[at].eq_ignore_ascii_case(&name[of]) {
            (at, of) = (at + 1, of + 1);
        } else {
            return None;
        }
    }
}

/// The mask that a suffix makes, which is read beyond the token's end.
fn suffix(text: &[u8]) -> u32 {
    let mut at = 0;
    let mut mask = if text.first() == Some(&b'.') { 0 } else { 3 };
    while text.get(at) == Some(&b'.') {
        let word = &text[at + 1..];
        let fits = |name: &[u8]| {
            word.len() >= name.len()
                && word[..name.len()].eq_ignore_ascii_case(name)
                && !word.get(name.len()).is_some_and(u8::is_ascii_alphanumeric)
        };
        let Some((name, bits, _)) = table(SUFFIXES).find(|(name, ..)| fits(name)) else {
            return mask;
        };
        mask |= bits;
        at += 1 + name.len();
    }
    if text.get(at) != Some(&b'=') {
        return mask;
    }
    let is_complement = text.get(at + 1) == Some(&b'~');
    let number = number(&text[at + 1 + usize::from(is_complement)..]);
    if is_complement { !number } else { number }
}

/// The low 32 bits of a number as C writes one.
fn number(text: &[u8]) -> u32 {
    let start = text.iter().position(|byte| !is_white(*byte)).unwrap_or(text.len());
    let (sign, digits) = match text[start..].split_first() {
        Some((b'-', digits)) => (-1_i128, digits),
        Some((b'+', digits)) => (1, digits),
        _ => (1, &text[start..]),
    };
    let is_hex = digits.len() >= 2 && digits[0] == b'0' && digits[1].eq_ignore_ascii_case(&b'x');
    let (radix, digits) = match digits {
        _ if is_hex => (16, &digits[2..]),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let mut value = 0_i128;
    for digit in digits.iter().map_while(|digit| char::from(*digit).to_digit(radix)) {
        value = (value * i128::from(radix) + i128::from(digit)) & 0xffff_ffff;
    }
    (sign * value) as u32
}
