//! [`Prefix`]: what stands before a message, in the order of specification 6.5, each with a blank behind.

use core::fmt;

use super::groups::{Group, LEVEL_1};
use super::{Logger, flags};
use crate::host::Host;

/// What the flags of a logger want before a line.
pub(super) struct Prefix {
    flags: u32,
    group: Group,
    level: u32,
    now_ns: u64,
    time_stamp: u64,
    tsc: u64,
    process: u32,
    thread: u64,
    cpu: u16,
}

impl Prefix {
    pub(super) fn new(host: &impl Host, logger: &Logger, group: Group, level: u32) -> Self {
        let now_ns = host.now().get();
        let is_relative = logger.flags & flags::RELATIVE != 0;
        let since = if is_relative { logger.last_ns } else { 0 };
        Self {
            flags: logger.flags,
            group,
            level,
            now_ns,
            time_stamp: now_ns.saturating_sub(since),
            tsc: host.tsc(),
            process: host.caller().process.get(),
            thread: host.thread().0,
            cpu: host.current_cpu().index,
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn stamp(&self, f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
        if self.has(flags::DECIMAL) { write!(f, "{value} ") } else { write!(f, "{value:016x} ") }
    }

    fn time(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        let micros = (self.now_ns % SECOND) / 1000;
        let seconds = self.now_ns / SECOND;
        let [hours, minutes, seconds] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{micros:06} ")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has(flags::TIME_STAMP) {
            self.stamp(f, self.time_stamp)?;
        }
        if self.has(flags::TSC) {
            self.stamp(f, self.tsc)?;
        }
        if self.has(flags::PROGRAM_MS) {
            f.write_str("0 ")?;
        }
        if self.has(flags::TIME) {
            self.time(f)?;
        }
        if self.has(flags::PROCESS) {
            write!(f, "{} ", self.process)?;
        }
        if self.has(flags::THREAD_ID) {
            write!(f, "{:x} ", self.thread)?;
        }
        if self.has(flags::THREAD) {
            f.write_str("R0 ")?;
        }
        if self.has(flags::CPU) {
            write!(f, "{:02x} ", self.cpu)?;
        }
        if self.has(flags::LOCK_COUNTS) {
            f.write_str("?/? ")?;
        }
        if self.has(flags::LEVEL_NUMBER) {
            write!(f, "{:08x} ", self.level)?;
        }
        if self.has(flags::GROUP_NUMBER) {
            write!(f, "{} ", self.group as usize)?;
        }
        if self.has(flags::LEVEL) {
            f.write_str(if self.level == LEVEL_1 { "level1 " } else { "level2 " })?;
        }
        Ok(())
    }
}
