//! Random operations answer what the plain reference model does: one thread through requests and
//! state words in two sessions, one thread through the library, and several threads at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use sup::{EventSemaphore, ManualResetEvent, Session, Status, Timeout, WaitError};
use sup_abi::request::SemaphoreKind::{self, Event, EventMulti};
use sup_stress::{
    Call, GROWTH, Limit, Raw, Record, State, Table, Way, What, crowd, is_linearizable,
};

/// What one thread does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create(SemaphoreKind),
    Call { handle: u32, call: Call, way: Way, limit: Limit },
}

fn kind() -> impl Strategy<Value = SemaphoreKind> {
    prop_oneof![Just(Event), Just(EventMulti)]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Request), Just(Way::Fast)]
}

/// Limits that are over at once, or soon.
fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        6 => Just(Limit::Nanos(0)),
        2 => Just(Limit::Millis(0)),
        2 => Just(Limit::Past(0)),
        2 => Just(Limit::Past(1_000_000)),
        4 => (1..100_000_u64).prop_map(Limit::Nanos),
        2 => (0..100_000_u64).prop_map(Limit::Deadline),
        1 => Just(Limit::Millis(1)),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => Just(What::Signal),
        3 => Just(What::Reset),
        8 => Just(What::Wait),
        2 => Just(What::Close),
        1 => Just(What::Wake),
        1 => Just(What::Unknown),
    ]
}

/// Handles that are often open, and some that are not or cannot be.
fn handle() -> impl Strategy<Value = u32> {
    prop_oneof![
        40 => 1..5_u32,
        8 => 5..9_u32,
        8 => GROWTH - 2..GROWTH + 3,
        1 => 512..515_u32,
        1 => any::<u32>(),
        1 => Just(0),
    ]
}

/// How many handles are open at first: none, or so many that the others come to use numbers again and
/// to need new ones.
fn open_at_first() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 1 => GROWTH - 6..=GROWTH]
}

fn step() -> impl Strategy<Value = Step> {
    let call =
        (handle(), kind(), what(), way(), limit()).prop_map(|(handle, kind, what, way, limit)| {
            Step::Call { handle, call: Call { kind, what }, way, limit }
        });
    prop_oneof![1 => kind().prop_map(Step::Create), 6 => call]
}

/// What the owner of library objects does; an index picks one of those that there are.
#[derive(Debug, Clone, Copy)]
enum Use {
    Create(SemaphoreKind),
    Drop(usize),
    Signal(usize),
    Reset(usize),
    Wait(usize, Limit),
}

fn usage() -> impl Strategy<Value = Use> {
    prop_oneof![
        2 => kind().prop_map(Use::Create),
        1 => any::<usize>().prop_map(Use::Drop),
        4 => any::<usize>().prop_map(Use::Signal),
        2 => any::<usize>().prop_map(Use::Reset),
        6 => (any::<usize>(), limit()).prop_map(|(index, limit)| Use::Wait(index, limit)),
    ]
}

#[derive(Debug)]
enum Owned {
    Event(EventSemaphore),
    Manual(ManualResetEvent),
}

impl Owned {
    fn new(session: &Session, kind: SemaphoreKind) -> Self {
        match kind {
            Event => Self::Event(session.event().unwrap()),
            EventMulti => Self::Manual(session.manual_reset_event().unwrap()),
        }
    }

    fn kind(&self) -> SemaphoreKind {
        match self {
            Self::Event(_) => Event,
            Self::Manual(_) => EventMulti,
        }
    }

    fn handle(&self) -> u32 {
        match self {
            Self::Event(event) => event.handle(),
            Self::Manual(event) => event.handle(),
        }
    }

    fn signal(&self) -> Status {
        let result = match self {
            Self::Event(event) => event.signal(),
            Self::Manual(event) => event.signal(),
        };
        result.map_or_else(|error| error.status(), |()| Status::VINF_SUCCESS)
    }

    fn wait(&self, limit: Limit) -> Status {
        let timeout = match limit {
            Limit::Nanos(0) => Timeout::Poll,
            Limit::Nanos(nanos) => Timeout::After(Duration::from_nanos(nanos)),
            Limit::Deadline(nanos) => Timeout::Until(Instant::now() + Duration::from_nanos(nanos)),
            Limit::Past(nanos) => Timeout::Deadline(nanos),
            Limit::Millis(millis) => Timeout::Millis(millis.try_into().unwrap()),
            Limit::Never => Timeout::Never,
        };
        let result = match self {
            Self::Event(event) => event.wait(timeout),
            Self::Manual(event) => event.wait(timeout),
        };
        result.as_ref().map_or_else(WaitError::status, |()| Status::VINF_SUCCESS)
    }
}

/// The semaphores that threads share, in the order of their handles.
const SHARED: [SemaphoreKind; 3] = [Event, Event, EventMulti];

/// A call on one of them.
type SharedCall = (u32, What, Way, Limit);

/// Calls of one thread. Closing is rare, so that most histories are long.
fn script() -> impl Strategy<Value = Vec<SharedCall>> {
    let what = prop_oneof![
        8 => Just(What::Signal),
        3 => Just(What::Reset),
        10 => Just(What::Wait),
        1 => Just(What::Close),
    ];
    vec((1..=SHARED.len() as u32, what, way(), limit()), 1..10)
}

/// Carries out each thread's calls at once with the others'; returns the history of each semaphore.
fn histories(raw: &Raw, scripts: &[Vec<SharedCall>]) -> Vec<Vec<Record>> {
    let threads = scripts.len() as u64;
    let (present, clock) = (AtomicU64::new(0), AtomicU64::new(0));
    // AcqRel: a call that ends before another begins happens before it.
    let tick = || clock.fetch_add(1, Ordering::AcqRel);
    let records = crowd(threads, |number| {
        // Relaxed: it only brings the threads together in time.
        present.fetch_add(1, Ordering::Relaxed);
        while present.load(Ordering::Relaxed) < threads {
            yield_now();
        }
        let perform = |&(handle, what, way, limit): &SharedCall| {
            let call = Call { kind: SHARED[handle as usize - 1], what };
            let began = tick();
            let status = raw.call(handle, call, way, limit);
            (handle, Record { began, ended: tick(), call, status })
        };
        scripts[number as usize].iter().map(perform).collect::<Vec<_>>()
    });
    let mut histories = vec![Vec::new(); SHARED.len()];
    for (handle, record) in records.into_iter().flatten() {
        histories[handle as usize - 1].push(record);
    }
    // What is left at the end belongs to the history too.
    for (history, (handle, kind)) in histories.iter_mut().zip((1..).zip(SHARED)) {
        for what in [What::Wait, What::Wait] {
            let (began, call) = (tick(), Call { kind, what });
            let status = raw.call(handle, call, Way::Request, Limit::Nanos(0));
            history.push(Record { began, ended: tick(), call, status });
        }
    }
    histories
}

/// The usual configuration, which proptest makes when it is first asked for. The lock shows
/// ThreadSanitizer that tests which start at once do not race for it; it does not see into std's.
fn config() -> ProptestConfig {
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock();
    ProptestConfig::default()
}

proptest! {
    #![proptest_config(config())]

    /// Statuses, kinds, the order in which numbers are used again, and sessions that share nothing.
    #[test]
    fn one_thread_gets_the_models_answers(
        counts in [open_at_first(), open_at_first()],
        steps in vec((0..2_usize, step()), 1..120),
    ) {
        let sessions = [Raw::open(), Raw::open()];
        let mut tables = [Table::default(), Table::default()];
        for ((raw, table), count) in sessions.iter().zip(&mut tables).zip(counts) {
            for _ in 0..count {
                prop_assert_eq!(raw.create(Event), table.create(Event));
            }
        }
        for (session, step) in steps {
            let (raw, table) = (&sessions[session], &mut tables[session]);
            match step {
                Step::Create(kind) => prop_assert_eq!(raw.create(kind), table.create(kind)),
                Step::Call { handle, call, way, limit } => {
                    let expected = table.call(handle, call);
                    // A wait that need not sleep may as well be for ever.
                    let is_sure = call.what == What::Wait && expected != Status::VERR_TIMEOUT;
                    let limit = if is_sure { Limit::Never } else { limit };
                    prop_assert_eq!(raw.call(handle, call, way, limit), expected, "{:?}", step);
                }
            }
        }
        for (raw, table) in sessions.iter().zip(&tables) {
            prop_assert_eq!(raw.open_handles(), table.open());
        }
    }

    /// The same for owners in Rust, which close what they drop.
    #[test]
    fn library_gives_the_models_answers(
        count in open_at_first(),
        uses in vec(usage(), 1..120),
    ) {
        let session = Session::open().unwrap();
        let mut table = Table::default();
        let others: Vec<_> = (0..count).map(|_| session.event().unwrap()).collect();
        for other in &others {
            prop_assert_eq!(other.handle(), table.create(Event));
        }
        let mut owned: Vec<Owned> = Vec::new();
        for usage in uses {
            let (index, what, limit) = match usage {
                Use::Create(kind) => {
                    owned.push(Owned::new(&session, kind));
                    let handle = table.create(kind);
                    prop_assert_eq!(owned.last().map(Owned::handle), Some(handle));
                    continue;
                }
                Use::Drop(index) => (index, What::Close, Limit::Never),
                Use::Signal(index) => (index, What::Signal, Limit::Never),
                Use::Reset(index) => (index, What::Reset, Limit::Never),
                Use::Wait(index, limit) => (index, What::Wait, limit),
            };
            let Some(index) = index.checked_rem(owned.len()) else { continue };
            let kind = owned[index].kind();
            let mut expected = || table.call(owned[index].handle(), Call { kind, what });
            match (what, &owned[index]) {
                (What::Signal, any) => prop_assert_eq!(any.signal(), expected()),
                (What::Wait, any) => prop_assert_eq!(any.wait(limit), expected(), "{:?}", usage),
                (What::Reset, Owned::Manual(event)) => {
                    prop_assert!(event.reset().is_ok());
                    let _ = expected();
                }
                (What::Close, _) => {
                    let _ = expected();
                    owned.remove(index);
                }
                _ => {}
            }
        }
        prop_assert_eq!(session.statistics().unwrap().session.handles, table.open());
    }

    /// Several threads: the answers are those that the model gives in some order that the times allow.
    /// So no signal is taken twice or swallowed, and what is left at the end is what nobody took.
    #[test]
    fn threads_get_answers_that_fit_the_model(scripts in vec(script(), 2..5)) {
        let raw = Raw::open();
        for (number, kind) in (1..).zip(SHARED) {
            prop_assert_eq!(raw.create(kind), number);
        }
        for (kind, history) in SHARED.into_iter().zip(histories(&raw, &scripts)) {
            prop_assert!(is_linearizable(State::new(kind), &history), "{:#?}", history);
        }
    }
}
