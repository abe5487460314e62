//! [`TestTracer`]: a tracer that records what it is told, and does what a test says.

extern crate std;

use std::string::{String, ToString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use sup_abi::{R0Ptr, SUPDRVTRACERUSRCTX, Status};

use crate::SessionHandle;
use crate::host::{Provider, ProviderDescription, Tracer};

/// A provider as the test's tracer knows it.
#[derive(Debug)]
pub(crate) struct TestProvider {
    pub(crate) name: String,
    own_locations: u64,
    is_forgotten: AtomicBool,
}

impl Provider for TestProvider {
    fn try_new(description: &ProviderDescription<'_>) -> Result<Self, Status> {
        let process = description.process.map(|process| process.get().to_string());
        Ok(Self {
            name: [description.name, &process.unwrap_or_default()].concat(),
            own_locations: description.own_locations.get(),
            is_forgotten: AtomicBool::new(false),
        })
    }

    fn forget_object(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
    }
}

/// What a test's tracer knows and does; clones share it.
#[derive(Debug, Default)]
pub(crate) struct TracerRecord {
    /// What it was told, in order.
    pub(crate) events: Mutex<Vec<String>>,
    /// How many more times it refuses to let a provider go.
    pub(crate) refusals: Mutex<u32>,
    /// What it answers to a new provider.
    pub(crate) register_status: Mutex<Option<Status>>,
    /// What it answers to an open.
    pub(crate) open_status: Mutex<Option<Status>>,
    /// Called by every command and every hit.
    pub(crate) inside: Mutex<Option<Inside>>,
}

/// What a test does inside the tracer.
#[derive(Clone)]
pub(crate) struct Inside(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl core::fmt::Debug for Inside {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Inside")
    }
}

impl TracerRecord {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    fn say(&self, what: String) {
        self.events.lock().unwrap().push(what);
    }

    fn run_inside(&self) {
        let inside = self.inside.lock().unwrap().clone();
        if let Some(Inside(inside)) = inside {
            inside();
        }
    }

    fn let_go(&self, what: &str, provider: &TestProvider) -> Status {
        let gone = if provider.is_forgotten.load(Ordering::Relaxed) { " (gone)" } else { "" };
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            self.say(std::format!("{what} {}{gone}: refused", provider.name));
            return Status::VERR_TRY_AGAIN;
        }
        self.say(std::format!("{what} {}{gone}", provider.name));
        Status::VINF_SUCCESS
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TestTracer(pub(crate) Arc<TracerRecord>);

impl Tracer for TestTracer {
    type Provider = TestProvider;

    fn open(&self, _session: SessionHandle, cookie: u32, argument: u64) -> Result<u64, Status> {
        self.0.say(std::format!("open {cookie} {argument}"));
        self.0.run_inside();
        let status = *self.0.open_status.lock().unwrap();
        status.map_or(Ok(u64::from(cookie)), Err)
    }

    fn io_ctl(
        &self,
        _session: SessionHandle,
        word: u64,
        command: u64,
        argument: u64,
    ) -> (Status, i32) {
        self.0.run_inside();
        self.0.say(std::format!("command {command} {argument} of {word}"));
        (Status::new(command as u32 as i32), argument as u32 as i32)
    }

    fn close(&self, _session: SessionHandle, word: u64) {
        self.0.say(std::format!("close {word}"));
        self.0.run_inside();
    }

    fn provider_register(&self, provider: &TestProvider) -> Status {
        let kind = if provider.own_locations == 0 { "" } else { " user" };
        self.0.say(std::format!("register{kind} {}", provider.name));
        self.0.register_status.lock().unwrap().unwrap_or(Status::VINF_SUCCESS)
    }

    fn provider_deregister(&self, provider: &TestProvider) -> Status {
        self.0.let_go("deregister", provider)
    }

    fn provider_deregister_zombie(&self, provider: &TestProvider) -> Status {
        self.0.let_go("zombie", provider)
    }

    fn fire_user(
        &self,
        _session: SessionHandle,
        context: &SUPDRVTRACERUSRCTX,
        _header: R0Ptr,
        _location: R0Ptr,
    ) {
        self.0.run_inside();
        self.0.say(std::format!("hit {}", context.idProbe));
    }
}
