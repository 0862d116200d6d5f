//! What the services say to each other still holds what the release before this one says.
//!
//! `proto/released` lists every method and field of the last release; it is written anew with each
//! release (docs/OPERATIONS.md). Additions are free: who does not know them passes over them.

use std::collections::BTreeSet;
use std::path::Path;

/// Has the list written anew.
const RECORD: &str = "PIXELRUSH_RECORD_FORMS";

const TODAY: &str = include_str!(concat!(env!("OUT_DIR"), "/contract"));

/// Methods and fields of `released` that are not in `today` as they were.
fn broken<'a>(released: &'a str, today: &str) -> Vec<&'a str> {
    let today: BTreeSet<&str> = today.lines().collect();
    let lines = released.lines();
    lines.filter(|line| !today.contains(line)).collect()
}

#[test]
fn nothing_that_was_released_is_changed_or_gone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/released");
    if std::env::var_os(RECORD).is_some() {
        return std::fs::write(path, TODAY).unwrap();
    }
    let released = std::fs::read_to_string(path).unwrap();
    let broken = broken(&released, TODAY);
    assert!(
        broken.is_empty(),
        "a node of the last release does not understand this: {broken:#?}. Keep number, name and \
         type of what is released, and add beside it. What nobody uses since a release may go: \
         then reserve its number, and write the list anew by \
         `{RECORD}=1 cargo test -p pixelrush-rpc --test it contract`"
    );
}

#[test]
fn a_change_is_told_from_an_addition() {
    let released = "A.a = 1: LABEL_OPTIONAL TYPE_UINT64\nA.b = 2: LABEL_OPTIONAL TYPE_BOOL\n";
    let more = format!("{released}A.c = 3: LABEL_OPTIONAL TYPE_BOOL\n");
    assert!(broken(released, &more).is_empty());
    for (was, is) in [
        ("A.a = 1", "A.a = 4"),
        ("A.b", "A.renamed"),
        ("UINT64", "UINT32"),
    ] {
        assert_eq!(
            broken(released, &released.replace(was, is)).len(),
            1,
            "{is}"
        );
    }
}
