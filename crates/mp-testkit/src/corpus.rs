use std::{fs, path::Path};

/// Runs `run` on each input that the repository keeps of the fuzz target `target`, with the ordinary compiler.
///
/// # Panics
///
/// Where there are no more than ten, or one cannot be read.
///
/// # Examples
///
/// ```
/// mp_testkit::replay("ring", |bytes| assert!(bytes.len() < 1 << 20));
/// ```
pub fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a target has a corpus") {
        let path = entry.expect("a corpus can be read").path();
        println!("{}", path.display());
        run(&fs::read(&path).expect("an input can be read"));
        count += 1;
    }
    assert!(count > 10, "{} has {count} inputs only", folder.display());
}
