//! Loading ring-0 modules, sharing them and giving them back.

use rustix::thread::CapabilitySet;
use sup::{R0Ptr, Status};
use sup_abi::request::{Function, LoadModuleIn};
use sup_modules::{HELLO, hello};
use sup_test_key::signed;

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{
    FAIL_INIT, INFORMED_INIT, INIT_HANDLER, PROBE, PROBE_HANDLER, REFUSED_HANDLER, WEAK_IMPORT,
};
use crate::process::{with_little_address_space, without_capability};

cases! { Modules {
    module_life:
        "A module is loaded, called, looked into and freed, and leaves nothing (spec 6.4).",
    module_without_handler_is_no_service:
        "A module can be loaded without a handler, and is no service then (spec 6.4).",
    handler_can_be_named_later:
        "A second load may name the handler that the first one left out (spec 6.4).",
    cannot_name_another_handler: "A service keeps the handler that it has (spec 6.4).",
    loading_twice_adds_a_reference:
        "Each load of a name adds one reference, and each needs its free (spec 6.2).",
    sessions_share_a_module:
        "A module loaded by two sessions exists once, and outlives the first that goes (spec 6.4).",
    same_bytes_under_two_names_are_two_modules: "Modules are told apart by their names (spec 6.4).",
    cannot_load_other_contents_under_a_loaded_name:
        "Other bits under a loaded name are VERR_ALREADY_EXISTS, with both hashes (spec 11.2).",
    cannot_load_without_a_name: "An empty name is VERR_INVALID_PARAMETER (spec 6.4).",
    cannot_load_under_a_name_with_forbidden_characters:
        "Names are free of punctuation that paths and shells use, and of control characters (spec \
         6.4).",
    names_have_up_to_31_characters:
        "31 characters are a name, 32 do not fit the packet (spec 6.4).",
    library_refuses_long_names:
        "The library answers VERR_FILENAME_TOO_LONG for names that no packet holds (spec 6.2).",
    cannot_load_service_with_missing_handler:
        "A handler that the image does not export as code is VERR_SYMBOL_NOT_FOUND (spec 6.2).",
    cannot_load_vmm_as_service: "VMMR0.r0 is no service: VERR_INTERNAL_ERROR (spec 6.2).",
    library_reads_files:
        "The library loads from files, and answers the statuses of files (spec 6.2).",
    failing_init_undoes_the_load:
        "What ModuleInit returns is the status, and nothing is left (spec 6.4).",
    positive_init_is_success: "A positive status of ModuleInit is success (spec 6.4).",
    weak_import_may_be_missing: "A weak import that nobody has is NULL (spec 6.3).",
    symbols_are_found_by_exact_name:
        "A symbol is found by its exact name, inside of the image, and others are \
         VERR_SYMBOL_NOT_FOUND (spec 6.4).",
    cannot_find_symbol_of_unknown_base:
        "A base that the session has not loaded is VERR_INVALID_HANDLE (spec 6.4).",
    cannot_free_unknown_base:
        "A base that the session has not loaded is VERR_INVALID_HANDLE, also another session's \
         (spec 6.4).",
    cannot_load_without_the_right:
        "Loading into the kernel without CAP_SYS_MODULE is VERR_PERMISSION_DENIED (spec \
         6.4, our own).",
    cannot_load_without_memory: "Without memory for code a load is VERR_NO_EXEC_MEMORY (spec 6.4).",
    images_are_counted: "Statistics count references to modules (spec 6.4).",
}}

const OK: Status = Status::VINF_SUCCESS;
const NO_SERVICE: Status = Status::VERR_SUPDRV_SERVICE_NOT_FOUND;

#[track_caller]
fn load_hello(client: &Client) -> Verdict<R0Ptr> {
    Ok(client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.base)
}

#[track_caller]
fn nop(client: &Client) -> Verdict<Status> {
    client.call_service(HELLO.name, hello::OP_NOP, 0, &mut [])
}

fn module_life(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    same!(nop(&client)?, NO_SERVICE);
    let load = client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
    check!(!load.was_loaded && !load.base.is_nil());
    check!(load.base.get().is_multiple_of(4096) && load.image_bytes.is_multiple_of(4096));
    same!(load.message, "");
    same!(nop(&client)?, OK);
    let handler = client.symbol(load.base, hello::SERVICE_HANDLER)?;
    check!(handler.is_ok(), "{handler:?}");
    same!(client.free_module(load.base)?, OK);
    same!(nop(&client)?, NO_SERVICE);
    same!(client.totals()?, before);
    Ok(())
}

fn module_without_handler_is_no_service(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let base = client.load(HELLO.image, HELLO.name, "")?.base;
    same!(nop(&client)?, NO_SERVICE);
    same!(client.free_module(base)?, OK);
    Ok(())
}

fn handler_can_be_named_later(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.load(HELLO.image, HELLO.name, "")?;
    check!(client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.was_loaded);
    same!(nop(&client)?, OK);
    check!(client.load(HELLO.image, HELLO.name, "")?.was_loaded);
    same!(nop(&client)?, OK);
    Ok(())
}

fn cannot_name_another_handler(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_hello(&client)?;
    let load = client.try_load(HELLO.image, HELLO.name, "ModuleInit")?;
    same!(load.status, Status::VERR_INVALID_PARAMETER);
    check!(load.message.contains("another function"), "{}", load.message);
    same!(client.statistics()?.session.image_references, 1);
    same!(nop(&client)?, OK);
    Ok(())
}

fn loading_twice_adds_a_reference(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let base = load_hello(&client)?;
    for _ in 0..2 {
        let load = client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
        check!(load.was_loaded);
        same!(load.base, base);
    }
    for references in [2, 1] {
        same!(client.free_module(base)?, OK);
        same!(client.statistics()?.session.image_references, references);
        same!(nop(&client)?, OK);
    }
    same!(client.free_module(base)?, OK);
    same!(nop(&client)?, NO_SERVICE);
    same!(client.free_module(base)?, Status::VERR_INVALID_HANDLE);
    Ok(())
}

fn sessions_share_a_module(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let base = load_hello(&first)?;
    same!(nop(&second)?, NO_SERVICE, "a service that only another session loaded");
    let load = second.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
    check!(load.was_loaded);
    same!(load.base, base);
    drop(first);
    same!(nop(&second)?, OK);
    check!(second.symbol(base, hello::VERSION_SYMBOL)?.is_ok());
    same!(second.free_module(base)?, OK);
    same!(second.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

fn same_bytes_under_two_names_are_two_modules(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let one = client.load(HELLO.image, "one", hello::SERVICE_HANDLER)?;
    let two = client.load(HELLO.image, "two", hello::SERVICE_HANDLER)?;
    check!(!two.was_loaded && one.base != two.base);
    same!(client.free_module(one.base)?, OK);
    same!(client.call_service("two", hello::OP_NOP, 0, &mut [])?, OK);
    same!(client.call_service("one", hello::OP_NOP, 0, &mut [])?, NO_SERVICE);
    same!(client.call_service("Two", hello::OP_NOP, 0, &mut [])?, NO_SERVICE, "another case");
    Ok(())
}

fn cannot_load_other_contents_under_a_loaded_name(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    load_hello(&first)?;
    let longer = [HELLO.image, &[0]].concat();
    for (client, image) in
        [(&first, PROBE), (&second, PROBE), (&second, &longer), (&second, b"junk")]
    {
        let load = client.try_load(image, HELLO.name, hello::SERVICE_HANDLER)?;
        same!(load.status, Status::VERR_ALREADY_EXISTS);
        let is_hash = |word: &str| word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit());
        let words = load.message.split(|c: char| !c.is_ascii_alphanumeric());
        let hashes: Vec<_> = words.filter(|word| is_hash(word)).collect();
        check!(hashes.len() == 2 && hashes[0] != hashes[1], "{}", load.message);
    }
    same!(nop(&first)?, OK);
    same!(first.totals()?, [2, 0, 0, 0, 0, 1]);
    Ok(())
}

/// The load is refused, and leaves nothing.
#[track_caller]
fn cannot_load(client: &Client, name: &str, handler: &str, status: Status, word: &str) -> Verdict {
    let before = client.totals()?;
    let load = client.try_load(HELLO.image, name, handler)?;
    same!(load.status, status, "'{}', '{handler}'", name.escape_debug());
    check!(load.message.contains(word), "no '{word}' in: {}", load.message);
    same!(client.totals()?, before);
    Ok(())
}

fn cannot_load_without_a_name(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    cannot_load(&client, "", hello::SERVICE_HANDLER, Status::VERR_INVALID_PARAMETER, "empty")
}

fn cannot_load_under_a_name_with_forbidden_characters(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for bad in ";:()[]{}/\\|&*%#@!~`\"'\n\x7f".chars() {
        for name in [format!("{bad}"), format!("a{bad}b"), format!("{:a>30}{bad}", "")] {
            let status = Status::VERR_INVALID_PARAMETER;
            cannot_load(&client, &name, "", status, "cannot contain")?;
        }
    }
    for name in ["a b", "-", "..", "Ä", "VMMR0.R0", "^$+=,<>?_"] {
        let base = client.load(HELLO.image, name, "")?.base;
        same!(client.free_module(base)?, OK);
    }
    Ok(())
}

fn names_have_up_to_31_characters(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let base = client.load(HELLO.image, &"n".repeat(31), hello::SERVICE_HANDLER)?.base;
    same!(client.free_module(base)?, OK);
    let mut packet = client.load_packet(HELLO.image, "n", "")?;
    let name = sup_abi::request::HEADER_BYTES + std::mem::offset_of!(LoadModuleIn, name);
    packet.bytes[name..name + 32].fill(b'n');
    same!(packet.function, u32::from(Function::LoadModule));
    client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with a name of 32 characters")
}

fn library_refuses_long_names(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let status = |result: sup::Result<_>| result.map(|_: sup::Module| ()).map_err(|e| e.status());
    let load = |name: &str, handler: &str| {
        status(session.load_image(&signed(HELLO.image, name), name, handler))
    };
    same!(load(&"n".repeat(31), ""), Ok(()));
    same!(load(&"n".repeat(32), ""), Err(Status::VERR_FILENAME_TOO_LONG));
    same!(load("n", &"h".repeat(64)), Err(Status::VERR_SYMBOL_NOT_FOUND));
    let service = |name: &str, handler: &str| {
        let result = session.load_service_image(&signed(HELLO.image, name), name, handler);
        result.map(|_| ()).map_err(|error| error.status())
    };
    same!(service(&"n".repeat(27), hello::SERVICE_HANDLER), Ok(()));
    let too_long = service(&"n".repeat(28), hello::SERVICE_HANDLER);
    same!(too_long, Err(Status::VERR_FILENAME_TOO_LONG));
    same!(service("n", ""), Err(Status::VERR_INVALID_PARAMETER));
    let module = session.load_image(&signed(HELLO.image, "n"), "n", "")?;
    let symbol = module.symbol(&"s".repeat(64)).map_err(|error| error.status());
    same!(symbol, Err(Status::VERR_SYMBOL_NOT_FOUND));
    Ok(())
}

fn cannot_load_service_with_missing_handler(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let status = Status::VERR_SYMBOL_NOT_FOUND;
    // Nobody, an import, data, and nearly the right one.
    for handler in ["nobody", "SUPR0Printf", hello::VERSION_SYMBOL, "helloServiceReqHandle"] {
        cannot_load(&client, HELLO.name, handler, status, handler)?;
    }
    load_hello(&client)?;
    cannot_load(&client, HELLO.name, "nobody", status, "nobody")
}

fn cannot_load_vmm_as_service(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let status = Status::VERR_INTERNAL_ERROR;
    cannot_load(&client, "VMMR0.r0", hello::SERVICE_HANDLER, status, "cannot be a service")
}

fn library_reads_files(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let folder = std::env::temp_dir().join(format!("sup-conformance-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = (|| {
        let file = folder.join("hello.r0");
        let load = |path: &std::path::Path| {
            let result = session.load_service_module(path, HELLO.name, hello::SERVICE_HANDLER);
            result.map_err(|error| error.status())
        };
        same!(load(&file).map(|_| ()), Err(Status::VERR_FILE_NOT_FOUND));
        same!(load(&folder).map(|_| ()), Err(Status::VERR_IS_A_DIRECTORY));
        std::fs::write(&file, signed(HELLO.image, HELLO.name))?;
        let module = load(&file)?;
        same!(module.call(hello::OP_NOP, 0)?, OK);
        module.module().symbol(hello::VERSION_SYMBOL)?;
        drop(module);
        session.load_module(&file, HELLO.name)?.free()?;
        same!(session.statistics()?.driver.image_references, 0);
        Ok(())
    })();
    std::fs::remove_dir_all(&folder)?;
    result
}

fn failing_init_undoes_the_load(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    for _ in 0..2 {
        let load = client.try_load(FAIL_INIT, "init", INIT_HANDLER)?;
        same!(load.status, Status::VERR_INTERNAL_ERROR);
        check!(load.message.contains("ModuleInit"), "{}", load.message);
        same!(client.call_service("init", 0, 0, &mut [])?, NO_SERVICE);
        same!(client.totals()?, before);
    }
    // The name is free for others.
    client.load(HELLO.image, "init", "")?;
    Ok(())
}

fn positive_init_is_success(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let load = client.load(INFORMED_INIT, "init", INIT_HANDLER)?;
    let status = client.call_service("init", 0, 0, &mut [])?;
    same!(status, Status::VINF_OBJECT_DESTROYED, "a positive status of a service passes");
    same!(client.free_module(load.base)?, OK);
    Ok(())
}

fn weak_import_may_be_missing(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.load(WEAK_IMPORT, "weak", REFUSED_HANDLER)?;
    same!(client.call_service("weak", 0, 0, &mut [])?, Status::new(42));
    Ok(())
}

fn symbols_are_found_by_exact_name(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let load = client.load(HELLO.image, HELLO.name, "")?;
    let inside = load.base.get()..load.base.get() + u64::from(load.image_bytes);
    for name in ["ModuleInit", "ModuleTerm", hello::SERVICE_HANDLER, hello::VERSION_SYMBOL] {
        let address = client.symbol(load.base, name)?;
        check!(address.is_ok_and(|address| inside.contains(&address.get())), "{name}: {address:?}");
    }
    for name in ["", "moduleinit", "ModuleInit ", "Module", "helloNop", "SUPR0Printf", "_DYNAMIC"] {
        let found = client.symbol(load.base, name)?;
        same!(found, Err(Status::VERR_SYMBOL_NOT_FOUND), "'{name}'");
    }
    Ok(())
}

fn wild_bases(base: R0Ptr) -> [R0Ptr; 5] {
    [0, 1, base.get() + 1, base.get() + 4096, u64::MAX].map(R0Ptr::new)
}

fn cannot_find_symbol_of_unknown_base(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let base = load_hello(&first)?;
    for wild in wild_bases(base) {
        same!(first.symbol(wild, "ModuleInit")?, Err(Status::VERR_INVALID_HANDLE), "{wild:?}");
    }
    same!(second.symbol(base, "ModuleInit")?, Err(Status::VERR_INVALID_HANDLE));
    Ok(())
}

fn cannot_free_unknown_base(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let base = load_hello(&first)?;
    for wild in wild_bases(base) {
        same!(first.free_module(wild)?, Status::VERR_INVALID_HANDLE, "{wild:?}");
    }
    same!(second.free_module(base)?, Status::VERR_INVALID_HANDLE, "another session's");
    same!(nop(&first)?, OK);
    Ok(())
}

fn cannot_load_without_the_right(backend: &dyn Backend) -> Verdict {
    if !backend.can(Feature::Privilege) {
        let reason = "in a process a module has no other rights than who loads it";
        return Err(Stop::Skipped(reason.to_owned()));
    }
    let client = Client::connect(backend)?;
    without_capability(CapabilitySet::SYS_MODULE, || {
        let status = Status::VERR_PERMISSION_DENIED;
        cannot_load(&client, HELLO.name, hello::SERVICE_HANDLER, status, "CAP_SYS_MODULE")
    })?;
    // With it the same load succeeds.
    load_hello(&client)?;
    Ok(())
}

fn cannot_load_without_memory(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    // Hello with a last segment of many pages: the heap can do without what the image cannot.
    let image = crate::images::hello_with_large_data(12 << 20);
    if !backend.can(Feature::InProcess) {
        let reason = "the kernel's address space for code does not run out";
        return Err(Stop::Skipped(reason.to_owned()));
    }
    let load = with_little_address_space(4 << 20, || client.try_load(&image, "large", ""))?;
    same!(load.status, Status::VERR_NO_EXEC_MEMORY);
    same!(client.totals()?, [1, 0, 0, 0, 0, 0]);
    client.load(&image, "large", "")?;
    Ok(())
}

fn images_are_counted(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    load_hello(&first)?;
    load_hello(&first)?;
    load_hello(&second)?;
    second.load(PROBE, "probe", PROBE_HANDLER)?;
    let counts = first.statistics()?;
    same!((counts.session.image_references, counts.driver.image_references), (2, 4));
    same!(second.statistics()?.session.image_references, 2);
    Ok(())
}
