//! Whether a kernel's log tells of something wrong.
//!
//! The kernel goes on after most of what it complains about, so a program that passed proves nothing
//! while its log is not clean.

use anyhow::{Context, Result, ensure};

/// A line with one of these is a complaint, wherever in the line it stands.
const COMPLAINTS: &[&str] = &[
    // Deaths: every one ends its first line with the number of deaths so far, as in `0000 [#1]`.
    " [#",
    "BUG: ",
    "kernel BUG at ",
    "Kernel panic",
    "unable to handle",
    "Call Trace:",
    "cut here ]---",
    "double fault",
    // Sanitizers and allocators.
    "UBSAN: ",
    "new suspected memory leaks",
    // Leaks would go unseen from then on.
    "Kernel memory leak detector disabled",
    "refcount_t: ",
    "list_add corruption",
    "list_del corruption",
    "ODEBUG: ",
    "Bad page state",
    "page allocation failure",
    "Out of memory: ",
    // Locks and waits.
    "DEBUG_LOCKS_WARN_ON",
    "INFO: task ",
    "INFO: possible ",
    "INFO: trying to register non-static key",
    "rcu: INFO: ",
    "detected stalls on CPUs",
    "self-detected stall",
    "hard LOCKUP",
    "soft lockup",
    "DEADLOCK",
];

/// Lines that begin like this are a complaint too. Further in the line the word is harmless: boot
/// messages about mitigations have it.
const WARNING: &str = "WARNING: ";

/// How much of the log around a complaint is shown.
const LINES_BEFORE: usize = 3;
const LINES_AFTER: usize = 40;

/// The first complaint of a log, with what stands around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The line without its time.
    pub(super) line: String,
    pub(super) excerpt: String,
    /// How many lines of the log complain.
    pub(super) count: usize,
}

/// What one oops has to say, each once: its beginning, the death itself, the stack.
const OOPS: [&[&str]; 3] =
    [&["BUG: kernel NULL pointer", "BUG: unable to handle"], &[" [#"], &["Call Trace:"]];

/// Takes the one oops out of a log that came while the run of this name was on.
///
/// # Errors
/// There was none, or more than one.
pub(super) fn without_oops(log: &str, run: &str) -> Result<String> {
    let lines: Vec<&str> = log.lines().map(|line| line.trim_end_matches('\r')).collect();
    let begin = format!("guest: begin {run}");
    let begin = lines.iter().position(|line| message(line) == begin);
    let begin = begin.with_context(|| format!("the log lacks the beginning of {run}"))?;
    let length = lines[begin..].iter().position(|line| message(line).starts_with("guest: end"));
    let during = begin..length.map_or(lines.len(), |length| begin + length);
    let deaths = lines[during.clone()].iter().filter(|line| line.contains(" [#")).count();
    ensure!(deaths == 1, "{run} was to cause one oops, and the log has {deaths}");
    let mut left = OOPS.to_vec();
    let mut rest = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_one_of = |words: &&[&str]| words.iter().any(|word| line.contains(word));
        let expected = left.iter().position(is_one_of).filter(|_| during.contains(&number));
        match expected {
            Some(position) => drop(left.remove(position)),
            None => rest.push(*line),
        }
    }
    Ok(rest.join("\n"))
}

/// Looks for complaints in a log.
pub(super) fn complaint(log: &str) -> Option<Complaint> {
    let lines: Vec<&str> = log.lines().map(|line| line.trim_end_matches('\r')).collect();
    let first = lines.iter().position(|line| complains(line))?;
    let end = lines.len().min(first + LINES_AFTER);
    Some(Complaint {
        line: message(lines[first]).to_owned(),
        excerpt: lines[first.saturating_sub(LINES_BEFORE)..end].join("\n"),
        count: lines.iter().filter(|line| complains(line)).count(),
    })
}

/// The last lines of a log, for a guest that did not end.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_AFTER)..].join("\n")
}

fn complains(line: &str) -> bool {
    let message = message(line);
    message.starts_with(WARNING) || COMPLAINTS.iter().any(|word| message.contains(word))
}

/// Takes the time `[    1.234567]` off, and the caller that some kernels put behind it: `[   T99]`.
fn message(line: &str) -> &str {
    let mut rest = line;
    while let Some((mark, message)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let mark = mark.trim_start();
        let is_time = mark.split_once('.').is_some_and(|(seconds, _)| is_number(seconds));
        let is_caller = mark.strip_prefix(['T', 'C']).is_some_and(is_number);
        if !is_time && !is_caller {
            break;
        }
        rest = message;
    }
    rest.trim_start()
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole logs of guests in which the suite passed.
    const CLEAN: [&str; 2] =
        [include_str!("log/clean-6.1.log"), include_str!("log/clean-6.12.log")];

    #[test]
    fn a_clean_log_is_clean() {
        for log in CLEAN {
            assert!(log.lines().count() > 300, "not a whole log");
            assert_eq!(complaint(log), None);
        }
    }

    /// One line of each kind, as kernels print them.
    #[test]
    fn every_kind_of_complaint_is_found_in_a_log() {
        let complaints = [
            "[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "[    9.1] Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "[    9.1] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
            "[    9.1] general protection fault, probably for non-canonical address 0x1: 0000 [#2] SMP",
            "[    9.1] BUG: unable to handle page fault for address: ffffffffc0400000",
            "[    9.1] kernel BUG at mm/slub.c:435!",
            "[    9.1] WARNING: CPU: 1 PID: 99 at kernel/workqueue.c:1 f+0x1/0x2 [supdrv]",
            "[    9.1] WARNING: possible circular locking dependency detected",
            "[    9.1][   T99] WARNING: suspicious RCU usage",
            "[    9.1] BUG: sleeping function called from invalid context at mm/slab.h:1",
            "[    9.1] BUG: scheduling while atomic: sup-conformance/99/0x00000002",
            "[    9.1] BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 [supdrv]",
            "[    9.1] BUG: KFENCE: use-after-free read in f+0x1/0x2 [supdrv]",
            "[    9.1] kmemleak: 16 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    9.1] INFO: task supctl:99 blocked for more than 120 seconds.",
            "[    9.1] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    9.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [supctl:99]",
            "[    9.1] refcount_t: underflow; use-after-free.",
            "[    9.1] Call Trace:",
            "[    9.1] Kernel panic - not syncing: Fatal exception in interrupt",
        ];
        for line in complaints {
            let log = format!("{}{line}\r\n[    9.2] next\n", CLEAN[0]);
            let found = complaint(&log).unwrap_or_else(|| panic!("not found: {line}"));
            assert_eq!((found.count, found.line.as_str()), (1, message(line)));
            assert!(found.excerpt.ends_with("[    9.2] next"), "{}", found.excerpt);
        }
    }

    #[test]
    fn one_oops_is_taken_out_where_it_was_expected_and_nothing_else() {
        let oops = "[    9.1] BUG: kernel NULL pointer dereference, address: 00000000000001f8\n\
                    [    9.1] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI\n\
                    [    9.1] Call Trace:\n";
        let log = |before: &str, during: &str, after: &str| {
            let (begin, end) = ("[    9.0] guest: begin bad\r\n", "[    9.2] guest: end 0\n");
            format!("{before}{begin}{during}{end}{after}")
        };
        let judge = |log: &str| Some(complaint(&without_oops(log, "bad").ok()?));
        assert_eq!(judge(&log("", oops, "")), Some(None));
        // None at all, two, one elsewhere, under another name.
        let second = oops.replace("#1", "#2");
        for log in [log("", "", ""), log("", &format!("{oops}{second}"), ""), log(oops, "", "")] {
            assert_eq!(judge(&log), None, "{log}");
        }
        assert!(without_oops(&log("", oops, ""), "other").is_err());
        // Something else beside it.
        for log in [
            log("", oops, &second),
            log("[    8.9] Call Trace:\n", oops, ""),
            log("", &format!("{oops}[    9.1] Call Trace:\n"), ""),
            log("", &format!("{oops}[    9.1] BUG: scheduling while atomic: a/1/2\n"), ""),
        ] {
            assert!(judge(&log).unwrap().is_some(), "{log}");
        }
    }

    #[test]
    fn harmless_lines_are_no_complaints() {
        let harmless = [
            "[    0.1] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed",
            "[    0.1] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
            "[    0.1] kasan: KernelAddressSanitizer initialized (outline)",
            "[    0.1] kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)",
            "[    2.1] supdrv: loading out-of-tree module taints kernel.",
            "[    2.1] supdrv: module verification failed: signature and/or required key missing",
            "[    9.1] traps: sup-conformance[99] general protection fault ip:1 sp:2 error:0",
        ];
        assert_eq!(complaint(&harmless.join("\n")), None);
    }

    #[test]
    fn only_times_and_callers_are_taken_off() {
        assert_eq!(message("[    9.123456] [BUG] x"), "[BUG] x");
        assert_eq!(message("[    9.123456][    C1]  x"), "x");
        assert_eq!(message("[    9.123456][  C] x"), "[  C] x");
        assert_eq!(message("x [1] y"), "x [1] y");
    }
}
