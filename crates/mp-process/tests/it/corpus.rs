//! What the fuzzer has found, replayed with the ordinary compiler.

use std::{fs, path::Path};

use mp_testkit::isolated;

use crate::bytes;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 10, "{} has {count} inputs only", folder.display());
}

#[test]
fn message() {
    isolated(|| replay("message", bytes::message));
}

#[test]
fn frames() {
    isolated(|| replay("frames", bytes::frames));
}
