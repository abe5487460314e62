//! Programs that were started in every way, on a file system in memory.

use rustix::fs::Uid;

use super::*;
use crate::fake::Fake;

const PROGRAM: &str = "/usr/lib/supdrv/helper";
const FOLDER: &str = "/usr/lib/supdrv";

fn internal<'a>(argv0: &'a str, folder: Option<&'a str>) -> Audience<'a> {
    Audience::Internal { argv0: argv0.as_ref(), private_folder: folder.map(Path::new) }
}

fn status(fake: &mut Fake, audience: Audience<'_>) -> Status {
    let running = fake.at(PROGRAM).facts.identity;
    verify_process(fake, Some(Path::new(PROGRAM)), Some(running), audience)
        .map_or_else(|refusal| refusal.status(), |()| Status::VINF_SUCCESS)
}

#[test]
fn programs_of_roots_pass() {
    let mut fake = Fake::with_file(PROGRAM);
    for audience in
        [Audience::Any, internal(PROGRAM, Some(FOLDER)), internal(PROGRAM, Some("/usr/lib"))]
    {
        assert_eq!(status(&mut fake, audience), Status::VINF_SUCCESS, "{audience:?}");
    }
    fake.at(PROGRAM).facts.owner = Uid::from_raw(1000);
    assert_eq!(status(&mut fake, Audience::Any), Status::VERR_SUPLIB_OWNER_NOT_ROOT);
}

#[test]
fn cannot_start_an_internal_program_by_tricks() {
    let mut fake = Fake::with_file(PROGRAM);
    for argv0 in ["helper", "./helper", "", "/usr/lib/../lib/supdrv/helper"] {
        let refused = status(&mut fake, internal(argv0, Some(FOLDER)));
        assert_eq!(refused, Status::VERR_SUPLIB_INVALID_ARGV0_INTERNAL, "{argv0}");
    }
    let unknown = status(&mut fake, internal(PROGRAM, None));
    assert_eq!(unknown, Status::VERR_SUPLIB_INVALID_ARGV0_INTERNAL);
    for folder in ["/usr/lib/sup", "/usr/lib/supdrv/helper", "/usr/lib/supdrv/", "/usr/bin"] {
        let refused = status(&mut fake, internal(PROGRAM, Some(folder)));
        assert_eq!(refused, Status::VERR_SUPLIB_INVALID_INTERNAL_APP_DIR, "{folder}");
    }
}

#[test]
fn cannot_run_another_file_than_stands_there() {
    let mut fake = Fake::with_file(PROGRAM);
    let other = fake.at(FOLDER).facts.identity;
    let path = Some(Path::new(PROGRAM));
    let refused = verify_process(&fake, path, Some(other), Audience::Any).unwrap_err();
    assert_eq!(refused.status(), Status::VERR_SUPLIB_NOT_SAME_OBJECT);
    for (path, running) in
        [(None, Some(other)), (path, None), (Some(Path::new(&"/x".repeat(3000))), Some(other))]
    {
        let refused = verify_process(&fake, path, running, Audience::Any).unwrap_err();
        assert_eq!(refused.status(), Status::VERR_INTERNAL_ERROR_2);
    }
}
