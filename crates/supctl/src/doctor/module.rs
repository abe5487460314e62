//! The tutorial module `hello`: loaded from a file, its service called, a symbol looked up, freed.

use std::io::Write;
use std::time::Instant;

use sup::{ModuleDemand, R0Ptr, ServiceModule, Session, Status};
use sup_modules::{HELLO, hello};
use sup_signature::sign::SigningKey;
use sup_signature::{DriverVersion, KERNEL_GRADE, LANDING_PADS};
use tempfile::NamedTempFile;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::check::{Finding, Outcome, Trouble, median, ns_per_round, require, us_since};
use super::peek;
use crate::keys;

/// How often loading and freeing are measured.
const LOADS: usize = 25;

/// The module's file, for this process alone, and the name it is loaded under.
struct HelloFile {
    file: NamedTempFile,
    name: String,
}

impl HelloFile {
    fn write(session: &Session) -> Result<Self, Trouble> {
        // Names are one for all sessions: another doctor may be at work.
        let name = format!("doctor-{}", std::process::id());
        let mut file = NamedTempFile::with_suffix(".r0")?;
        file.write_all(HELLO.image)?;
        if session.module_policy()?.demand != ModuleDemand::Nothing {
            let flags = KERNEL_GRADE | LANDING_PADS;
            let block = user_key()?.sign(HELLO.image, &name, flags, DriverVersion::CURRENT);
            let block = block.ok_or_else(|| Trouble::defect("a name that cannot be signed"))?;
            file.write_all(block.as_bytes())?;
        }
        Ok(Self { file, name })
    }

    fn load(&self, session: &Session) -> sup::Result<ServiceModule> {
        session.load_service_module(self.file.path(), &self.name, hello::SERVICE_HANDLER)
    }
}

/// The user's signing key, if there is one: the doctor makes none.
fn user_key() -> Result<SigningKey, Trouble> {
    let trouble = |detail| Trouble {
        detail,
        remedy: "`supctl module keygen` makes a key; then load the driver with `keys=` and its public half",
    };
    let path = keys::user_key_path().map_err(|failure| trouble(failure.to_string()))?;
    keys::load(&path).map_err(|failure| {
        trouble(format!("this driver demands signed modules, and there is no key: {failure}"))
    })
}

/// What the driver demands of modules, and which keys it trusts.
pub(super) fn policy(session: &Session) -> Outcome {
    let policy = session.module_policy()?;
    let demand = match policy.demand {
        ModuleDemand::Nothing => "modules may be unsigned",
        ModuleDemand::Signature => "modules have to be signed",
        ModuleDemand::KernelGrade => "modules have to be signed and kernel-grade",
    };
    let keys: Vec<_> = policy.keys.iter().map(ToString::to_string).collect();
    let keys = if keys.is_empty() { "no key".to_owned() } else { keys.join(", ") };
    let figure = policy.keys.len() as f64;
    Ok(Finding { figure, detail: format!("{demand}; trusted: {keys}") })
}

/// The module loads from its file, and once only.
pub(super) fn load(session: &Session) -> Outcome {
    let hello = HelloFile::write(session)?;
    let mut times = Vec::new();
    for _ in 0..LOADS {
        let start = Instant::now();
        let service = hello.load(session)?;
        times.push(us_since(start));
        require(!service.module().was_loaded(), || "freed, and loaded all the same".to_owned())?;
    }
    let service = hello.load(session)?;
    let again = hello.load(session)?;
    require(
        again.module().was_loaded() && again.module().base() == service.module().base(),
        || "a second load made a second image".to_owned(),
    )?;
    let modules = session.modules()?;
    let listed = modules.into_iter().find(|module| module.name == hello.name);
    require(listed.is_some_and(|module| module.own_references == 2), || {
        "the driver does not list it with two references".to_owned()
    })?;
    let (bytes, base) = (service.module().image_bytes(), service.module().base());
    let detail = format!("hello, {bytes} bytes at {base}, from a file");
    Ok(Finding { figure: median(times), detail })
}

/// A sum of values that stand behind its packet.
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct SumOfFour {
    head: hello::Sum,
    values: [u64; 4],
}

/// The service does what it is asked to, and its statuses arrive unchanged.
pub(super) fn requests(session: &Session) -> Outcome {
    let hello = HelloFile::write(session)?;
    let service = hello.load(session)?;
    let greeting = greet(&service)?;
    add_up(&service)?;
    for number in [0, 85, i32::MAX, -1, -22, i32::MIN] {
        let echo = echo(&service, number);
        require(echo.raw() == number, || format!("status {number} arrived as {echo}"))?;
    }
    succeeded(service.call(hello::OP_OBJECT, 0)?)?;
    succeeded(service.call(hello::OP_SEMAPHORE, 0)?)?;
    let figure = ns_per_round(20_000, || greet(&service).map(drop))?;
    let detail = format!("\"{greeting}\"; sum, statuses, object and semaphore right");
    Ok(Finding { figure, detail })
}

fn succeeded(status: Status) -> Result<(), Trouble> {
    require(status == Status::VINF_SUCCESS, || format!("the service returned {status}"))
}

fn greet(service: &ServiceModule) -> Result<String, Trouble> {
    const GREETING: &str = "Hello, doctor! Nice to meet you in ring 0.";
    let packet = hello::Greet::new("doctor");
    let mut packet = packet.ok_or_else(|| Trouble::defect("the packet has no room for a name"))?;
    succeeded(service.call_with(hello::OP_GREET, 0, &mut packet)?)?;
    let greeting = packet.greeting();
    require(greeting == GREETING, || format!("the greeting is \"{greeting}\""))?;
    Ok(greeting.to_owned())
}

fn add_up(service: &ServiceModule) -> Result<(), Trouble> {
    let head = hello::Sum::new(4);
    let head = head.ok_or_else(|| Trouble::defect("the packet has no room for four values"))?;
    let mut packet = SumOfFour { head, values: [1, 20, 300, u64::MAX] };
    succeeded(service.call_with(hello::OP_SUM, 0, &mut packet)?)?;
    let sum = packet.head.sum;
    require(sum == 320, || format!("1 + 20 + 300 - 1 is {sum} in ring 0"))
}

/// The status that comes back when the service is asked for it. The upper half of the argument is
/// not part of it.
fn echo(service: &ServiceModule, number: i32) -> Status {
    const UPPER: u64 = 0xdead_beef << 32;
    let argument = UPPER | u64::from(number.cast_unsigned());
    service.call(hello::OP_ECHO_ARG, argument).unwrap_or_else(|error| error.status())
}

/// A call goes to ring 0 and back.
pub(super) fn call(session: &Session) -> Outcome {
    let hello = HelloFile::write(session)?;
    let service = hello.load(session)?;
    let figure = ns_per_round(500_000, || Ok(service.call(hello::OP_NOP, 0).map(drop)?))?;
    let detail = "an operation that does nothing, there and back";
    Ok(Finding { figure, detail: detail.to_owned() })
}

/// A symbol is where the image has it, and one that is not there is not found.
pub(super) fn symbol(session: &Session) -> Outcome {
    const UNKNOWN: &str = "g_szGoodbyeVersion";
    let hello = HelloFile::write(session)?;
    let service = hello.load(session)?;
    let module = service.module();
    let address = module.symbol(hello::VERSION_SYMBOL)?;
    let offset = address.get().wrapping_sub(module.base().get());
    require(offset < module.image_bytes().into(), || {
        format!("{} is at {address}, outside of its module", hello::VERSION_SYMBOL)
    })?;
    let unknown = module.symbol(UNKNOWN).map_err(|error| error.status());
    require(unknown == Err(Status::VERR_SYMBOL_NOT_FOUND), || {
        format!("{UNKNOWN}, which is not there: {unknown:?}")
    })?;
    let figure = ns_per_round(20_000, || Ok(module.symbol(hello::VERSION_SYMBOL).map(drop)?))?;
    let text = version_text(session, address).map(|text| format!(": \"{text}\""));
    let detail = format!("{} at {address}{}", hello::VERSION_SYMBOL, text.unwrap_or_default());
    Ok(Finding { figure, detail })
}

/// The module's version string, where this program can see ring 0's memory.
fn version_text(session: &Session, address: R0Ptr) -> Option<String> {
    let bytes: [u8; 16] = peek::ring0(session, address)?;
    let text = bytes.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A freed module is gone, reference and all.
pub(super) fn free(session: &Session) -> Outcome {
    let hello = HelloFile::write(session)?;
    let mut times = Vec::new();
    for _ in 0..LOADS {
        let module = session.load_module(hello.file.path(), &hello.name)?;
        let start = Instant::now();
        module.free()?;
        times.push(us_since(start));
    }
    let references = session.statistics()?.session.image_references;
    require(references == 0, || format!("the session still holds {references} images"))?;
    let detail = "the session holds no image any more";
    Ok(Finding { figure: median(times), detail: detail.to_owned() })
}
