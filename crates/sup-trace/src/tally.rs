//! [`Tally`]: events counted as they come, for a [`Report`](crate::Report) and for who watches.
//!
//! Memory grows with the probes and pairs of the table only. Times are binned as they come: when the last of
//! [`TIME_BINS`] bins is full, each two become one. Latencies are counted in [`LATENCY_BINS`] bins, eight for each
//! doubling, so that a quantile is at most an eighth too high.
//!
//! Pairs: an end belongs to the last begin of its pair on its thread (on its processor where nobody knows the
//! thread). A loss forgets everything that is open, since its end may be among what was lost.
//!
//! Neighbours: `pairs.rs` says which probes are pairs. Invariant: every event is counted for one probe, or as one of
//! an unknown probe.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::clock::Clock;
use crate::event::Event;
use crate::header::Probe;
use crate::pairs::{Open, Pair, Pairs, Side, Track};

/// Bins over the time of a trace.
pub(crate) const TIME_BINS: usize = 200;
/// Bins of latencies, [`PER_DOUBLING`] for each doubling of nanoseconds.
pub(crate) const LATENCY_BINS: usize = 64 * PER_DOUBLING;
const PER_DOUBLING: usize = 8;

/// What a processor has.
#[derive(Debug, Clone, Serialize)]
pub struct CpuCount {
    /// Its number.
    pub cpu: u16,
    /// Its events.
    pub events: u64,
    /// What it lost.
    pub lost: u64,
}

/// What a probe has.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeCount {
    /// The provider.
    pub provider: String,
    /// The probe.
    pub probe: String,
    /// In how many places it fired.
    pub places: usize,
    /// How often.
    pub events: u64,
    /// Events a second, over the whole trace.
    pub rate_hz: f64,
    /// When first.
    pub first_ns: u64,
    /// When last.
    pub last_ns: u64,
    /// The longest time without it, between two of its events.
    pub longest_gap_ns: u64,
    /// Events by bin of time.
    pub over_time: Vec<u64>,
}

/// How long something took that a pair of probes begins and ends.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// The provider.
    pub provider: String,
    /// The pair.
    pub name: String,
    /// How often both came.
    pub count: u64,
    /// Begins without an end.
    pub without_end: u64,
    /// Ends without a begin.
    pub without_begin: u64,
    /// The shortest.
    pub min_ns: u64,
    /// Half are not longer; at most an eighth too high, as the next one.
    pub median_ns: u64,
    /// 99 of 100 are not longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// The mean.
    pub mean_ns: u64,
    /// The bins that are not empty.
    pub histogram: Vec<LatencyBucket>,
}

/// A bin of latencies.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct LatencyBucket {
    /// The shortest in it.
    pub from_ns: u64,
    /// What is longer than all in it.
    pub to_ns: u64,
    /// How many.
    pub count: u64,
}

/// Where a latency is counted.
fn latency_bin(ns: u64) -> usize {
    if ns < PER_DOUBLING as u64 {
        return ns as usize;
    }
    let doubling = ns.ilog2() as usize;
    let eighth = (ns >> (doubling - 3)) as usize & (PER_DOUBLING - 1);
    (doubling - 2) * PER_DOUBLING + eighth
}

/// The shortest latency of a bin.
fn bin_start(bin: usize) -> u64 {
    let (doubling, eighth) = (bin / PER_DOUBLING, bin % PER_DOUBLING);
    if doubling == 0 {
        return eighth as u64;
    }
    let start = (PER_DOUBLING + eighth) as u128;
    start
        .checked_shl(doubling as u32 - 1)
        .and_then(|start| start.try_into().ok())
        .unwrap_or(u64::MAX)
}

/// Counts over a time whose end is not known before.
#[derive(Debug)]
struct TimeScale {
    bin_ns: u64,
}

impl TimeScale {
    /// The bin of a time; first how often each two bins have to become one.
    fn bin(&mut self, ns: u64) -> (u32, usize) {
        let mut halvings = 0;
        while ns / self.bin_ns >= TIME_BINS as u64 {
            self.bin_ns = self.bin_ns.saturating_mul(2);
            halvings += 1;
        }
        (halvings, (ns / self.bin_ns) as usize)
    }
}

fn halve(bins: &mut [u64]) {
    for bin in 0..bins.len() {
        let sum = |at: usize| bins.get(at).copied().unwrap_or_default();
        bins[bin] = sum(2 * bin).saturating_add(sum(2 * bin + 1));
    }
}

#[derive(Debug)]
struct Counting {
    provider: String,
    probe: String,
    places: usize,
    events: u64,
    first_ns: u64,
    last_ns: u64,
    longest_gap_ns: u64,
    over_time: Vec<u64>,
}

#[derive(Debug)]
struct Measuring {
    pair: Pair,
    count: u64,
    without_end: u64,
    without_begin: u64,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u128,
    bins: Vec<u64>,
}

/// What is known so far.
#[derive(Debug)]
pub struct Tally {
    clock: Clock,
    start_ns: Option<u64>,
    end_ns: u64,
    scale: TimeScale,
    /// Which probe a number means, and whether it fired.
    by_id: HashMap<u32, (usize, bool)>,
    counting: Vec<Counting>,
    sides: HashMap<u32, (usize, Side)>,
    measuring: Vec<Measuring>,
    open: Open<(usize, Track), (usize, u64)>,
    cpus: HashMap<u16, (u64, u64)>,
    unknown: u64,
}

impl Tally {
    /// Nothing yet, of events of these probes, whose time stamps are those of `clock`.
    #[must_use]
    pub fn new(clock: Clock, probes: &BTreeMap<u32, Probe>) -> Self {
        let pairs = Pairs::of(probes);
        let mut counting: Vec<Counting> = Vec::new();
        let mut by_name: HashMap<(&str, &str), usize> = HashMap::new();
        let mut by_id = HashMap::new();
        for (id, probe) in probes {
            let index = *by_name.entry((&probe.provider, &probe.probe)).or_insert_with(|| {
                counting.push(Counting {
                    provider: probe.provider.clone(),
                    probe: probe.probe.clone(),
                    places: 0,
                    events: 0,
                    first_ns: 0,
                    last_ns: 0,
                    longest_gap_ns: 0,
                    over_time: Vec::new(),
                });
                counting.len() - 1
            });
            by_id.insert(*id, (index, false));
        }
        let measuring = pairs.pairs.into_iter().map(|pair| Measuring {
            pair,
            count: 0,
            without_end: 0,
            without_begin: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            sum_ns: 0,
            bins: Vec::new(),
        });
        Self {
            clock,
            start_ns: None,
            end_ns: 0,
            scale: TimeScale { bin_ns: 1 },
            by_id,
            counting,
            sides: pairs.sides,
            measuring: measuring.collect(),
            open: Open::new(),
            cpus: HashMap::new(),
            unknown: 0,
        }
    }

    /// Counts an event.
    pub fn event(&mut self, event: &Event) {
        let ns = self.clock.monotonic_ns(event.time_tsc);
        let start_ns = *self.start_ns.get_or_insert(ns);
        self.end_ns = self.end_ns.max(ns);
        self.cpus.entry(event.cpu).or_default().0 += 1;
        let at = ns.saturating_sub(start_ns);
        let (halvings, bin) = self.scale.bin(at);
        for _ in 0..halvings {
            self.counting.iter_mut().for_each(|probe| halve(&mut probe.over_time));
        }
        let known = self.by_id.get_mut(&event.id);
        let known = known.and_then(|(index, fired)| Some((self.counting.get_mut(*index)?, fired)));
        let Some((probe, fired)) = known else {
            self.unknown += 1;
            return;
        };
        if !std::mem::replace(fired, true) {
            probe.places += 1;
        }
        if probe.events == 0 {
            probe.first_ns = at;
            probe.over_time = vec![0; TIME_BINS];
        } else {
            probe.longest_gap_ns = probe.longest_gap_ns.max(at.saturating_sub(probe.last_ns));
        }
        probe.events += 1;
        probe.last_ns = at;
        if let Some(count) = probe.over_time.get_mut(bin) {
            *count += 1;
        }
        if let Some(&(pair, side)) = self.sides.get(&event.id) {
            self.side(pair, side, event, ns);
        }
    }

    fn side(&mut self, pair: usize, side: Side, event: &Event, ns: u64) {
        let Some(measuring) = self.measuring.get_mut(pair) else { return };
        let key = (pair, Track::of(event));
        match side {
            Side::Begin => {
                if !self.open.begin(key, (pair, ns)) {
                    measuring.without_end += 1;
                }
            }
            Side::End => match self.open.end(&key, |_| true) {
                Some((_, began_ns)) => measuring.add(ns.saturating_sub(began_ns)),
                None => measuring.without_begin += 1,
            },
        }
    }

    /// Notes that a processor lost events here.
    pub fn lost(&mut self, cpu: u16, events: u64) {
        let lost = &mut self.cpus.entry(cpu).or_default().1;
        *lost = lost.saturating_add(events);
        self.forget();
    }

    /// Gives up waiting for the ends of what has begun.
    pub(crate) fn forget(&mut self) {
        for (pair, _) in self.open.values() {
            if let Some(measuring) = self.measuring.get_mut(*pair) {
                measuring.without_end += 1;
            }
        }
        self.open.clear();
    }

    /// When the first event was, if there was one, by `CLOCK_MONOTONIC`.
    pub(crate) fn start_ns(&self) -> Option<u64> {
        self.start_ns
    }

    /// From the first to the last event.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns.unwrap_or(self.end_ns))
    }

    pub(crate) fn bin_ns(&self) -> u64 {
        self.scale.bin_ns
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// By processor, in their order.
    #[must_use]
    pub fn cpus(&self) -> Vec<CpuCount> {
        let count = |(cpu, (events, lost)): (&u16, &(u64, u64))| CpuCount {
            cpu: *cpu,
            events: *events,
            lost: *lost,
        };
        let mut cpus: Vec<_> = self.cpus.iter().map(count).collect();
        cpus.sort_by_key(|count| count.cpu);
        cpus
    }

    /// All probes, in the order of the table; rates are over so many seconds.
    #[must_use]
    pub fn probes(&self, seconds: f64) -> Vec<ProbeCount> {
        let counts = self.counting.iter().map(|probe| ProbeCount {
            provider: probe.provider.clone(),
            probe: probe.probe.clone(),
            places: probe.places,
            events: probe.events,
            rate_hz: if seconds > 0.0 { probe.events as f64 / seconds } else { 0.0 },
            first_ns: probe.first_ns,
            last_ns: probe.last_ns,
            longest_gap_ns: probe.longest_gap_ns,
            over_time: probe.over_time.clone(),
        });
        counts.collect()
    }

    /// The pairs of which something came.
    #[must_use]
    pub fn latencies(&self) -> Vec<Latency> {
        let fired = |pair: &&Measuring| pair.count + pair.without_begin + pair.without_end > 0;
        self.measuring.iter().filter(fired).map(Measuring::latency).collect()
    }
}

impl Measuring {
    fn add(&mut self, ns: u64) {
        self.count += 1;
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
        if self.bins.is_empty() {
            self.bins = vec![0; LATENCY_BINS];
        }
        if let Some(count) = self.bins.get_mut(latency_bin(ns)) {
            *count += 1;
        }
    }

    /// The end of the bin that this part of all does not go beyond.
    fn quantile(&self, of_hundred: u128) -> u64 {
        let wanted = (u128::from(self.count) * of_hundred).div_ceil(100);
        let mut sum = 0_u128;
        for (bin, count) in self.bins.iter().enumerate() {
            sum += u128::from(*count);
            if sum >= wanted {
                return bin_start(bin + 1).saturating_sub(1).clamp(self.min_ns, self.max_ns);
            }
        }
        self.max_ns
    }

    fn latency(&self) -> Latency {
        let is_measured = self.count > 0;
        let quantile = |of_hundred| if is_measured { self.quantile(of_hundred) } else { 0 };
        let histogram = self.bins.iter().enumerate().filter(|bin| *bin.1 > 0);
        Latency {
            count: self.count,
            without_end: self.without_end,
            without_begin: self.without_begin,
            min_ns: if is_measured { self.min_ns } else { 0 },
            median_ns: quantile(50),
            p99_ns: quantile(99),
            max_ns: self.max_ns,
            mean_ns: (self.sum_ns / u128::from(self.count.max(1))) as u64,
            histogram: histogram
                .map(|(bin, count)| LatencyBucket {
                    from_ns: bin_start(bin),
                    to_ns: bin_start(bin + 1),
                    count: *count,
                })
                .collect(),
            provider: self.pair.provider.clone(),
            name: self.pair.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_of_latencies_follow_each_other() {
        for bin in 0..LATENCY_BINS - 2 * PER_DOUBLING {
            let start = bin_start(bin);
            assert_eq!(latency_bin(start), bin, "{start}");
            assert_eq!(latency_bin(bin_start(bin + 1) - 1), bin);
        }
        assert!(latency_bin(u64::MAX) < LATENCY_BINS);
    }

    #[test]
    fn bins_of_time_become_longer_and_keep_what_they_have() {
        let mut scale = TimeScale { bin_ns: 1 };
        let mut bins = vec![1_u64; TIME_BINS];
        assert_eq!(scale.bin(TIME_BINS as u64 - 1), (0, TIME_BINS - 1));
        let (halvings, bin) = scale.bin(3 * TIME_BINS as u64);
        assert_eq!((halvings, bin, scale.bin_ns), (2, 3 * TIME_BINS / 4, 4));
        for _ in 0..halvings {
            halve(&mut bins);
        }
        assert_eq!(bins[..TIME_BINS / 4], [4; TIME_BINS / 4]);
        assert_eq!(bins.iter().sum::<u64>(), TIME_BINS as u64);
    }
}
