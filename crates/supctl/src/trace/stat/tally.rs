//! [`Tally`]: counts of hits, and of the times between begins and their ends.
//!
//! Invariant: memory does not grow with the number of hits, but with that of locations and of processes that are
//! between a begin and its end.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use sup::ringtrace::{ProbeLocation, Record, TraceCounts};

/// Begins that wait for their ends at a time; more are not counted.
const OPEN_MAX: usize = 1 << 16;
/// How a begin and its end are named.
const SUFFIXES: [(&str, &str); 2] = [("-begin", "-end"), ("_entry", "_return")];

/// What a location's hits count for.
#[derive(Debug, Clone, Copy)]
struct Place {
    probe: usize,
    role: Option<(usize, Role)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Begin,
    End,
}

/// Counts hits.
#[derive(Debug)]
pub(super) struct Tally {
    places: HashMap<u32, Place>,
    probes: Vec<(String, String, u64)>,
    pairs: Vec<Times>,
    /// The time of the last begin, by pair and whose it was.
    open: HashMap<(usize, u64), u64>,
}

/// Times of a pair, in ticks, by powers of two.
#[derive(Debug)]
struct Times {
    provider: String,
    name: String,
    count: u64,
    longest: u64,
    buckets: [u64; 65],
}

/// What was counted.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) seconds: f64,
    pub(super) hits: u64,
    #[serde(serialize_with = "losses")]
    pub(super) counts: TraceCounts,
    pub(super) probes: Vec<ProbeHits>,
    pub(super) pairs: Vec<Pair>,
}

#[derive(Debug, Serialize)]
pub(super) struct ProbeHits {
    pub(super) provider: String,
    pub(super) probe: String,
    pub(super) hits: u64,
    pub(super) per_second: f64,
}

/// Times from a begin to its end. Half of them, and 99 %, are below the ends of their buckets.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) provider: String,
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) longest_ns: u64,
    pub(super) histogram: Vec<Bucket>,
}

#[derive(Debug, Serialize)]
pub(super) struct Bucket {
    pub(super) below_ns: u64,
    pub(super) count: u64,
}

fn losses<S: serde::Serializer>(counts: &TraceCounts, serializer: S) -> Result<S::Ok, S::Error> {
    let all =
        [("written", counts.written), ("lost", counts.lost), ("overwritten", counts.overwritten)];
    serializer.collect_map(all)
}

/// The name of the pair that a probe is part of.
fn role(probe: &str) -> Option<(&str, Role)> {
    SUFFIXES.iter().find_map(|(begin, end)| {
        let of = |suffix, role| Some((probe.strip_suffix(suffix)?, role));
        of(begin, Role::Begin).or_else(|| of(end, Role::End))
    })
}

impl Tally {
    pub(super) fn new(locations: &[ProbeLocation]) -> Self {
        let mut tally = Self {
            places: HashMap::new(),
            probes: Vec::new(),
            pairs: Vec::new(),
            open: HashMap::new(),
        };
        for at in locations {
            let is_it =
                |known: &(String, String, u64)| known.0 == at.provider && known.1 == at.probe;
            let probe = tally.probes.iter().position(is_it).unwrap_or_else(|| {
                tally.probes.push((at.provider.clone(), at.probe.clone(), 0));
                tally.probes.len() - 1
            });
            let role = role(&at.probe).map(|(name, role)| (tally.pair(&at.provider, name), role));
            tally.places.insert(at.id, Place { probe, role });
        }
        tally
    }

    fn pair(&mut self, provider: &str, name: &str) -> usize {
        let is_it = |pair: &Times| pair.provider == provider && pair.name == name;
        self.pairs.iter().position(is_it).unwrap_or_else(|| {
            let (provider, name) = (provider.to_owned(), name.to_owned());
            self.pairs.push(Times { provider, name, count: 0, longest: 0, buckets: [0; 65] });
            self.pairs.len() - 1
        })
    }

    pub(super) fn add(&mut self, record: &Record) {
        let Some(place) = self.places.get(&record.id) else { return };
        if let Some((_, _, hits)) = self.probes.get_mut(place.probe) {
            *hits += 1;
        }
        let Some((pair, role)) = place.role else { return };
        let whose = if record.who == 0 { u64::from(record.cpu) } else { record.who };
        match role {
            Role::Begin if self.open.len() < OPEN_MAX => {
                self.open.insert((pair, whose), record.time_tsc);
            }
            Role::Begin => {}
            Role::End => {
                let begin = self.open.remove(&(pair, whose));
                if let (Some(begin), Some(times)) = (begin, self.pairs.get_mut(pair)) {
                    times.add(record.time_tsc.saturating_sub(begin));
                }
            }
        }
    }

    /// What was counted so far; `ns` makes nanoseconds of ticks.
    pub(super) fn summary(
        &self,
        elapsed: Duration,
        counts: TraceCounts,
        ns: impl Fn(u64) -> u64,
    ) -> Summary {
        let seconds = elapsed.as_secs_f64();
        let probes = self.probes.iter().map(|(provider, probe, hits)| ProbeHits {
            provider: provider.clone(),
            probe: probe.clone(),
            hits: *hits,
            per_second: *hits as f64 / seconds.max(1e-9),
        });
        Summary {
            seconds,
            hits: self.probes.iter().map(|(_, _, hits)| hits).sum(),
            counts,
            probes: probes.collect(),
            pairs: self.pairs.iter().map(|times| times.summary(&ns)).collect(),
        }
    }
}

impl Times {
    fn add(&mut self, ticks: u64) {
        self.count += 1;
        self.longest = self.longest.max(ticks);
        let bucket = (u64::BITS - ticks.leading_zeros()) as usize;
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
    }

    fn summary(&self, ns: impl Fn(u64) -> u64) -> Pair {
        let end = |bucket: usize| 1_u64.checked_shl(bucket as u32).unwrap_or(u64::MAX);
        let below = |share: f64| {
            let mut left = (self.count as f64 * share).ceil() as u64;
            let found = self.buckets.iter().position(|count| {
                left = left.saturating_sub(*count);
                left == 0
            });
            ns(found.map_or(0, end))
        };
        let used = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        Pair {
            provider: self.provider.clone(),
            name: self.name.clone(),
            count: self.count,
            p50_ns: below(0.5),
            p99_ns: below(0.99),
            longest_ns: ns(self.longest),
            histogram: used
                .map(|(bucket, count)| Bucket { below_ns: ns(end(bucket)), count: *count })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(id: u32, probe: &str) -> ProbeLocation {
        ProbeLocation {
            id,
            provider: "p".to_owned(),
            module: String::new(),
            function: String::new(),
            probe: probe.to_owned(),
            line: 1,
            process: 0,
            is_on: false,
            arguments: Vec::new(),
            attributes: [[1; 3]; 5],
        }
    }

    fn hit(id: u32, cpu: u16, time_tsc: u64) -> Record {
        Record { id, cpu, time_tsc, ..Record::default() }
    }

    #[test]
    fn an_end_belongs_to_the_last_begin_of_its_processor() {
        let locations = [location(1, "call-begin"), location(2, "call-end"), location(3, "other")];
        let mut tally = Tally::new(&locations);
        for record in
            [hit(1, 0, 100), hit(1, 1, 150), hit(2, 0, 104), hit(3, 0, 105), hit(2, 1, 250)]
        {
            tally.add(&record);
        }
        // Without a begin, and of a location that nobody knows.
        tally.add(&hit(2, 0, 300));
        tally.add(&hit(9, 0, 300));
        let summary = tally.summary(Duration::from_secs(2), TraceCounts::default(), |ticks| ticks);
        assert_eq!(summary.hits, 6);
        let hits: Vec<_> = summary.probes.iter().map(|probe| probe.hits).collect();
        assert_eq!(hits, [2, 3, 1]);
        let [pair] = &summary.pairs[..] else { panic!("{summary:?}") };
        assert_eq!((&*pair.name, pair.count, pair.longest_ns), ("call", 2, 100));
        assert_eq!((pair.p50_ns, pair.p99_ns), (8, 128));
        let histogram: Vec<_> =
            pair.histogram.iter().map(|bucket| (bucket.below_ns, bucket.count)).collect();
        assert_eq!(histogram, [(8, 1), (128, 1)]);
    }

    #[test]
    fn pairs_are_found_by_their_names() {
        assert_eq!(role("read_entry"), Some(("read", Role::Begin)));
        assert_eq!(role("read_return"), Some(("read", Role::End)));
        assert_eq!(role("read-end"), Some(("read", Role::End)));
        assert_eq!(role("end"), None);
    }
}
