//! The tests, each with the rule that it is about as its name.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use sup_verdict::{Stop, Verdict, check, same};

use crate::machine::{C, Driver, Machine, RUST, SCRATCH, USER, write};
use crate::start::Start;

/// A test.
type Case = fn(&Machine) -> Verdict;

pub(crate) const CASES: [(&str, Case); 20] = [
    ("the_program_is_its_user_and_nothing_more", is_its_user),
    ("what_the_program_answers_is_the_exit_status", answers),
    ("capabilities_stay_as_the_environment_has_it", capabilities),
    ("variables_that_load_code_are_gone", variables),
    ("arguments_that_load_code_are_gone", arguments),
    ("closed_descriptors_do_not_come_to_be_others", closed_descriptors),
    ("what_is_open_is_not_inherited", open_descriptors),
    ("tiny_limits_do_not_stop_a_start_and_stay_the_users", limits),
    ("what_was_verified_and_opened_is_handed_over_once", handed_over),
    ("root_may_start_it_too", by_root),
    ("a_changed_file_is_told_by_the_program", changed_file),
    ("a_changed_program_never_runs", changed_program),
    ("what_others_may_write_is_refused", writable),
    ("a_missing_file_and_a_manifest_of_nobodys_are_refused", missing),
    ("another_program_than_the_installed_one_is_refused", another_program),
    ("a_link_to_the_start_program_starts_it_by_its_own_name", links),
    ("without_root_it_says_so", not_set_user_id),
    ("a_device_that_cannot_be_opened_has_its_status", devices),
    ("a_library_that_takes_nothing_is_refused", no_pre_init),
    ("a_program_without_a_main_is_refused", no_main),
];

const RUST_START: Start<'_> =
    Start { program: RUST, arguments: &[], environment: &[], before: "", descriptors: "" };
const C_START: Start<'_> = Start { program: C, ..RUST_START };

fn is_its_user(_: &Machine) -> Verdict {
    for program in [RUST, C] {
        let report = Start { program, ..RUST_START }.by_user()?;
        report.has(&[
            "ids=1000,1000,1000 1000,1000,1000",
            "root=-1",
            "Groups:",
            "CapInh: 0000000000000000",
            "CapPrm: 0000000000002000",
            "CapEff: 0000000000002000",
            "CapAmb: 0000000000000000",
            "NoNewPrivs: 1",
            "dumpable=0",
            "limit core=0/0",
            &format!("argument 0={program}"),
            "argument 2 is none",
            "environment is one",
        ])?;
        same!(report.stderr, "", "standard error");
    }
    Ok(())
}

fn answers(_: &Machine) -> Verdict {
    let report = Start { arguments: &["exit=23"], ..C_START }.by_user()?;
    same!(report.exit, Some(23));
    Ok(())
}

fn capabilities(_: &Machine) -> Verdict {
    for (environment, kept) in [
        (["VBOX_HARD_CAP_NET_RAW=0", "A=1"], "0000000000000000"),
        (["VBOX_HARD_CAP_NET_RAW=", "VBOX_HARD_CAP_NET_BIND_SERVICE="], "0000000000002400"),
        (["VBOX_HARD_CAP_NET_RAW=0", "VBOX_HARD_CAP_NET_BIND_SERVICE=1"], "0000000000000400"),
    ] {
        let report = Start { environment: &environment, ..C_START }.by_user()?;
        report.has(&[&format!("CapPrm: {kept}"), &format!("CapEff: {kept}")])?;
    }
    Ok(())
}

fn variables(_: &Machine) -> Verdict {
    let environment = [
        "LD_PRELOAD=/mnt/reports/evil.so",
        "LD_LIBRARY_PATH=/mnt/reports",
        "LD_AUDIT=/mnt/reports/evil.so",
        "GLIBC_TUNABLES=glibc.malloc.check=3",
        "GCONV_PATH=/mnt/reports",
        "QT_PLUGIN_PATH=/mnt/reports",
        "SUP_BACKEND=daemon:/mnt/reports/x",
        "SUP_MODULE_POLICY=unsigned",
        "HARMLESS=kept",
    ];
    let report = Start { environment: &environment, ..C_START }.by_user()?;
    report.has(&["variable HARMLESS=kept", "variable PATH=/usr/bin:/bin"])?;
    let variables = report.text.lines().filter(|line| line.starts_with("variable "));
    for line in variables {
        let name = line.trim_start_matches("variable ").split('=').next().unwrap_or_default();
        check!(["HARMLESS", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{line}");
    }
    Ok(())
}

fn arguments(_: &Machine) -> Verdict {
    let long = "x".repeat(100_000);
    let arguments =
        ["-platformpluginpath", "/mnt/reports", "%s%n", "--platformpluginpath=/x", &long];
    let report = Start { arguments: &arguments, ..C_START }.by_user()?;
    report.has(&["argument 2=%s%n", &format!("argument 3={long}"), "argument 4 is none"])
}

fn closed_descriptors(_: &Machine) -> Verdict {
    for descriptors in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let report = Start { descriptors, ..RUST_START }.by_user()?;
        report.has(&["ids=1000,1000,1000 1000,1000,1000"])?;
        for number in 0..3 {
            let opened = format!("descriptor {number} is inherited");
            check!(report.text.contains(&opened), "with {descriptors}: {}", report.text);
        }
    }
    // What goes to a standard error that was closed goes nowhere, and not into a file.
    let refused = Start { program: "/usr/bin/start-none", ..RUST_START };
    fs::copy(RUST, refused.program)?;
    fs::set_permissions(refused.program, PermissionsExt::from_mode(0o4755))?;
    let report = Start { descriptors: "<&- >&- 2>&-", ..refused }.by_user()?;
    fs::remove_file(refused.program)?;
    report.refused(&[])
}

fn open_descriptors(_: &Machine) -> Verdict {
    let report = Start { descriptors: "3</dev/null 9</dev/null", ..C_START }.by_user()?;
    report.has(&["descriptor 3 is closed by exec", "descriptor 9 is closed by exec"])?;
    let inherited = report.text.lines().filter(|line| line.ends_with("is inherited")).count();
    same!(inherited, 3, "what is inherited:\n{}", report.text);
    Ok(())
}

fn limits(_: &Machine) -> Verdict {
    let report = Start { before: "ulimit -n 20; ulimit -c unlimited;", ..C_START }.by_user()?;
    report.has(&["limit files=20/20", "limit core=0/0"])?;
    // No byte may be written: what happens to the report is the user's own doing.
    let report = Start { before: "ulimit -f 0;", ..C_START }.by_user()?;
    check!(report.exit != Some(1) && report.stderr.is_empty(), "{report:?}");
    // As few as the system's own loader lets a program start with.
    let report = Start { before: "ulimit -n 4; ulimit -s 128;", ..C_START }.by_user()?;
    if may_raise_limits()? {
        // The program itself has no descriptor left for its report, and answers so.
        same!(report.exit, Some(99), "{}", report.stderr);
        return Ok(());
    }
    report.refused(&["start-c: ", "Too many open files"])?;
    Err(Stop::Skipped("root may raise no limits here (CAP_SYS_RESOURCE)".to_owned()))
}

/// Whether this process has `CAP_SYS_RESOURCE`.
fn may_raise_limits() -> Verdict<bool> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status")?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = u64::from_str_radix(set.unwrap_or_default().trim(), 16)?;
    Ok(set >> CAP_SYS_RESOURCE & 1 != 0)
}

fn handed_over(machine: &Machine) -> Verdict {
    // The user cannot read it, so only the start can have verified it.
    fs::set_permissions("/usr/bin/supctl", PermissionsExt::from_mode(0o711))?;
    let report = RUST_START.by_user()?;
    // The device is the driver's, or it is another one, and so the first session says. The second finds none
    // that the user may open, and has its driver in the process.
    report.has(&[
        "verified=0",
        "handed=-22",
        "devices=1",
        first_session(machine),
        "session 1=0",
    ])?;
    report.has(&["devices then=0"])?;
    let report = C_START.by_user()?;
    report.has(&["verified=0", "handed=-22", "devices=0", "session 0=0", "session 1=0"])?;
    machine.device("")?;
    C_START.by_user()?.has(&["verified=0"])
}

/// What a session says that has the device which the start opened.
fn first_session(machine: &Machine) -> &'static str {
    match machine.driver {
        Driver::None => "session 0=-1910",
        Driver::Kernel => "session 0=0",
    }
}

fn by_root(_: &Machine) -> Verdict {
    let report = C_START.by_root()?;
    report.has(&["ids=0,0,0 0,0,0", "root=0", "Groups:", "NoNewPrivs: 1", "dumpable=0"])
}

const INTEGRITY: &str = "in SUPR3HardenedMain!";

fn changed_file(_: &Machine) -> Verdict {
    for path in ["/usr/bin/supctl", "/usr/lib/libsup.so.0"] {
        let whole = fs::read(path)?;
        let mut changed = whole.clone();
        if let Some(byte) = changed.last_mut() {
            *byte ^= 1;
        }
        fs::write(path, &changed)?;
        let report = C_START.by_user()?;
        fs::write(path, &whole)?;
        report.refused(&[
            "start-c: Error -38 in SUPR3HardenedMain!",
            "its digest differs",
            "start-c: Tip: reinstall",
        ])?;
        // The program's library is not concerned; but it needs the one that is.
        if path == "/usr/bin/supctl" {
            report.refused(&[
                "TrustedError uid=1000 euid=1000 where=SUPR3HardenedMain what=1 rc=-38: ",
            ])?;
        }
    }
    Ok(())
}

fn changed_program(machine: &Machine) -> Verdict {
    let path = machine.library_of("start-c");
    let mut changed = fs::read(&path)?;
    changed.push(0);
    fs::write(&path, &changed)?;
    let report = C_START.by_user()?;
    report.refused(&["Error -38", "its digest differs"])?;
    report.told_nobody()
}

fn writable(machine: &Machine) -> Verdict {
    let files = ["/usr/bin/supctl".to_owned(), "/usr/lib/libsup.so.0".to_owned(), C.to_owned()];
    let folders = ["/usr/bin", "/usr/lib", "/usr/lib/supdrv"].map(str::to_owned);
    let own = [machine.library_of("start-c"), "/usr/lib/supdrv/MANIFEST".to_owned()];
    for path in files.into_iter().chain(folders).chain(own) {
        let before = fs::metadata(&path)?.permissions();
        for more in [0o020, 0o002] {
            fs::set_permissions(&path, PermissionsExt::from_mode(before.mode() | more))?;
            let report = C_START.by_user()?;
            fs::set_permissions(&path, before.clone())?;
            report.refused(&["Error -38", INTEGRITY, "may be written by others", &path])?;
        }
        if path != C {
            chown(&path, Some(USER), None)?;
            let report = C_START.by_user()?;
            chown(&path, Some(0), Some(0))?;
            fs::set_permissions(&path, before.clone())?;
            report.refused(&["Error -38", INTEGRITY, "does not belong to root"])?;
        }
    }
    // Keys that others can have written are nobody's.
    fs::set_permissions("/etc/supdrv/trusted/tests.pub", PermissionsExt::from_mode(0o666))?;
    C_START.by_user()?.refused(&["Error -38", "no trusted key"])
}

fn missing(machine: &Machine) -> Verdict {
    fs::remove_file("/usr/lib/libsup.so.0")?;
    C_START.by_user()?.refused(&["Error -103", INTEGRITY, "libsup.so.0' cannot be opened"])?;
    machine.install()?;
    fs::remove_file("/usr/lib/supdrv/MANIFEST")?;
    C_START.by_user()?.refused(&["Error -103", INTEGRITY])?;
    machine.install()?;
    let key = "/etc/supdrv/trusted/tests.pub";
    write(key, &"00".repeat(32), 0o644)?;
    let report = C_START.by_user()?;
    report.refused(&["Error -38", "no trusted key"])?;
    report.told_nobody()
}

fn another_program(machine: &Machine) -> Verdict {
    // Root's, set-user-id, in the right folder, and in no manifest.
    let program = "/usr/bin/start-other";
    fs::copy(RUST, program)?;
    fs::set_permissions(program, PermissionsExt::from_mode(0o4755))?;
    fs::copy(machine.library_of("start-c"), machine.library_of("start-other"))?;
    let start = Start { program, ..RUST_START };
    let report = start.by_user()?;
    report.refused(&["Error -38", "is not in the manifest"])?;
    report.told_nobody()?;
    fs::remove_file(machine.library_of("start-other"))?;
    fs::remove_file(program)?;
    // The installed one's name, in another folder.
    let elsewhere = format!("{SCRATCH}/start-rust");
    fs::copy(RUST, &elsewhere)?;
    fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o4755))?;
    let report = Start { program: &elsewhere, ..RUST_START }.by_user()?;
    fs::remove_file(&elsewhere)?;
    report.refused(&["Error -119", INTEGRITY, "is installed as '/usr/bin/start-rust'"])
}

fn links(machine: &Machine) -> Verdict {
    let link = format!("{SCRATCH}/reports/start-c");
    let _ = fs::remove_file(&link);
    symlink(RUST, &link)?;
    let report = Start { program: &link, ..RUST_START }.by_user()?;
    fs::remove_file(&link)?;
    report.has(&["ids=1000,1000,1000 1000,1000,1000", "devices=1", first_session(machine)])?;
    // A second name of the file is another program's.
    let second = "/usr/bin/start-c2";
    fs::hard_link(RUST, second)?;
    let report = Start { program: second, ..RUST_START }.by_user()?;
    fs::remove_file(second)?;
    report.refused(&[INTEGRITY])
}

fn not_set_user_id(_: &Machine) -> Verdict {
    for program in [RUST, C] {
        fs::set_permissions(program, PermissionsExt::from_mode(0o755))?;
        Start { program, ..RUST_START }.by_user()?.refused(&[
            "Error -10 in SUPR3HardenedMain!",
            "effective UID is not root (euid=1000)",
            "Tip: reinstall the program; its start program belongs to root",
            "TrustedError uid=1000 euid=1000 where=SUPR3HardenedMain what=2 rc=-10: effective UID",
        ])?;
    }
    Ok(())
}

fn devices(machine: &Machine) -> Verdict {
    let refused = |status: i32, why: &str| -> Verdict {
        RUST_START.by_user()?.refused(&[
            &format!("start-rust: Error {status} in suplibOsInit!"),
            &format!("start-rust: /dev/supdrv {why}"),
            "start-rust: Tip: load the kernel module",
            &format!(
                "TrustedError uid=1000 euid=1000 where=suplibOsInit what=3 rc={status}: /dev/supdrv"
            ),
        ])?;
        // Who does not want the device does not miss it.
        C_START.by_user()?.has(&["session 0=0"])
    };
    machine.device("")?;
    refused(-1908, "does not exist")?;
    machine.device("c 4000 77")?;
    refused(-1910, "has no driver behind it")?;
    // Something that is no device at all.
    machine.device("")?;
    fs::create_dir("/dev/supdrv")?;
    refused(-1911, "cannot be opened")
}

fn no_pre_init(machine: &Machine) -> Verdict {
    machine.put("nothing.so", "/usr/lib/libsup.so.0", 0o644)?;
    machine.sign(&["start-rust", "start-c"])?;
    C_START
        .by_user()?
        .refused(&["Error -609 in supR3HardenedMainInitRuntime!", "has no supR3PreInit"])?;
    write("/usr/lib/libsup.so.0", "no library", 0o644)?;
    machine.sign(&["start-rust", "start-c"])?;
    C_START.by_user()?.refused(&["Error -610 in supR3HardenedMainInitRuntime!"])
}

fn no_main(machine: &Machine) -> Verdict {
    let path = machine.library_of("start-c");
    machine.put("nothing.so", &path, 0o644)?;
    machine.sign(&["start-rust", "start-c"])?;
    C_START.by_user()?.refused(&["start-c: start-c.so has no TrustedMain"])?;
    // The user has to be allowed to read what he runs.
    machine.put("program.so", &path, 0o600)?;
    machine.sign(&["start-rust", "start-c"])?;
    let report = C_START.by_user()?;
    check!(report.exit == Some(1), "{report:?}");
    match report.stderr.contains("cannot load start-c.so") {
        true => Ok(()),
        false => Err(Stop::failed(report.stderr)),
    }
}
