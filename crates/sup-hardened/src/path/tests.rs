//! The paths of the specification's matrix, and all others against a plain model.

use proptest::collection::vec;
use proptest::prelude::*;
use sup_abi::Status;

use super::*;

fn status(path: &[u8]) -> Status {
    CleanPath::parse(path).map_or_else(Rule::status, |_| Status::VINF_SUCCESS)
}

fn components(count: usize) -> Vec<u8> {
    b"/abc".repeat(count)
}

fn bytes(count: usize) -> Vec<u8> {
    let mut path = b"/usr/".to_vec();
    path.resize(count, b'x');
    path
}

#[test]
fn paths_of_the_matrix() {
    for (path, expected) in [
        ("usr/lib/x", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/", Status::VERR_SUPLIB_PATH_IS_ROOT),
        ("/a", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/ab", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/a/", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("//", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("//a", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/..", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/abc", Status::VINF_SUCCESS),
        ("/usr//lib/x", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("/usr/lib//", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("///a", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        ("/usr/../etc/passwd", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/usr/lib/", Status::VINF_SUCCESS),
        ("/usr/..x/.y/z..", Status::VINF_SUCCESS),
        ("/usr/li\0b", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
    ] {
        assert_eq!(status(path.as_bytes()), expected, "{path:?}");
    }
}

/// Historical defect: these passed, and led to the folder above or to the same one.
#[test]
fn cannot_pass_with_dots_at_the_end() {
    assert_eq!(status(b"/usr/lib/.."), Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE);
    assert_eq!(status(b"/usr/lib/../"), Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE);
    for path in [&b"/usr/./lib"[..], b"/usr/lib/.", b"/usr/lib/./", b"/./usr"] {
        assert_eq!(status(path), Status::VERR_SUPLIB_PATH_NOT_CLEAN, "{path:?}");
    }
}

#[test]
fn limits_are_exact() {
    assert_eq!(status(&components(32)), Status::VINF_SUCCESS);
    assert_eq!(status(&components(33)), Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS);
    assert_eq!(status(&bytes(259)), Status::VINF_SUCCESS);
    assert_eq!(status(&bytes(260)), Status::VERR_SUPLIB_PATH_TOO_LONG);
    // Also if it is a slash that stands at the limit.
    let slash = [bytes(259), b"/a".to_vec()].concat();
    assert_eq!((slash.len(), status(&slash)), (261, Status::VERR_SUPLIB_PATH_TOO_LONG));
    // The slash at the end is dropped, not counted.
    assert_eq!(status(&[bytes(259), b"/".to_vec()].concat()), Status::VINF_SUCCESS);
}

#[test]
fn the_first_broken_rule_is_told() {
    let path = [components(33), b"//".to_vec()].concat();
    assert_eq!(status(&path), Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS);
    let path = [b"/usr//".to_vec(), bytes(300)].concat();
    assert_eq!(status(&path), Status::VERR_SUPLIB_PATH_NOT_CLEAN);
    let path = [bytes(260), b"/..".to_vec()].concat();
    assert_eq!(status(&path), Status::VERR_SUPLIB_PATH_TOO_LONG);
}

#[test]
fn steps_lead_down() {
    let path = CleanPath::parse(b"/usr/lib/x/").unwrap();
    assert!(path.names_folder());
    let steps: Vec<_> = path.steps().map(|step| (step.name, step.path, step.is_last)).collect();
    assert_eq!(
        steps,
        [
            (&b"usr"[..], &b"/usr"[..], false),
            (b"lib", b"/usr/lib", false),
            (b"x", b"/usr/lib/x", true)
        ]
    );
}

/// The specification's words, byte by byte, as an original might do it.
fn model(path: &[u8]) -> Status {
    let at = |index: usize| path.get(index).copied();
    if at(0) != Some(b'/') {
        return Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE;
    }
    if path.len() == 1 {
        return Status::VERR_SUPLIB_PATH_IS_ROOT;
    }
    if path.len() <= 3 {
        return Status::VERR_SUPLIB_PATH_TOO_SHORT;
    }
    let (mut index, mut count) = (1, 0);
    while at(index).is_some() {
        let is_end = |index| matches!(at(index), None | Some(b'/'));
        if at(index) == Some(b'/') {
            return Status::VERR_SUPLIB_PATH_NOT_CLEAN;
        }
        if at(index) == Some(b'.') && is_end(index + 1) {
            return Status::VERR_SUPLIB_PATH_NOT_CLEAN;
        }
        if at(index) == Some(b'.') && at(index + 1) == Some(b'.') && is_end(index + 2) {
            return Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE;
        }
        count += 1;
        if count > 32 {
            return Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS;
        }
        while !is_end(index) {
            if index + 1 >= 260 {
                return Status::VERR_SUPLIB_PATH_TOO_LONG;
            }
            index += 1;
        }
        index += usize::from(at(index).is_some());
    }
    Status::VINF_SUCCESS
}

proptest! {
    #[test]
    fn paths_are_judged_as_the_model_judges(
        pieces in vec(prop_oneof![
            4 => Just("/".to_owned()),
            1 => Just(".".to_owned()),
            1 => Just("..".to_owned()),
            4 => "[a-z.]{1,12}",
            1 => "[a-z]{60,90}",
        ], 0..90),
    ) {
        let path = pieces.concat().into_bytes();
        prop_assert_eq!(status(&path), model(&path), "{:?}", String::from_utf8_lossy(&path));
    }

    #[test]
    fn whatever_passes_is_a_root_and_names(path in vec(prop_oneof![Just(b'/'), any::<u8>()], 0..300)) {
        if let Ok(clean) = CleanPath::parse(&path) {
            let names: Vec<_> = clean.steps().map(|step| step.name).collect();
            let rebuilt: Vec<u8> = names.iter().flat_map(|name| [b"/", *name].concat()).collect();
            prop_assert_eq!(&rebuilt, clean.bytes());
            prop_assert!(names.len() <= PATH_COMPONENTS_MAX && rebuilt.len() < PATH_BYTES_LIMIT);
            let is_name = |name: &&[u8]| {
                !name.is_empty() && ![&b"."[..], b".."].contains(name) && !name.contains(&0)
            };
            prop_assert!(names.iter().all(is_name));
        }
    }
}
