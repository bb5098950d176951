use std::io::ErrorKind;

use mp_mmap::{Advice, Mapping, ReadMapping};

use crate::file_of_len;

/// The value of `field` in the kernel's account of the mapping that holds `address`, in KiB.
fn smaps(address: usize, field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bounds = range.and_then(|(start, end)| {
            let start = usize::from_str_radix(start, 16).ok()?;
            Some(start..usize::from_str_radix(end, 16).ok()?)
        });
        match (bounds, line.strip_prefix(field)) {
            (Some(bounds), _) => inside = bounds.contains(&address),
            (None, Some(value)) if inside => {
                return value.trim_end_matches(" kB").trim().parse().unwrap();
            }
            _ => {}
        }
    }
    panic!("no {field} for {address:#x}");
}

#[test]
fn ranges_are_checked() {
    let memory = Mapping::anonymous(10_000).unwrap();
    memory.advise(1..=9_999, Advice::Sequential).unwrap();
    memory.advise(5..5, Advice::Normal).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    for range in [0..10_001, 10_001..10_001, 6..5] {
        let error = memory.advise(range.clone(), Advice::Normal).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{range:?}");
        assert!(memory.flush(range.clone()).is_err() && memory.lock(range.clone()).is_err());
        assert!(memory.populate(range.clone()).is_err() && memory.populate_write(range).is_err());
    }
    assert!(memory.lock(..=usize::MAX).is_err());
}

#[test]
fn every_advice_is_known_to_the_kernel() {
    let memory = Mapping::anonymous(10_000).unwrap();
    memory.copy_in(5000, b"kept").unwrap();
    for advice in [
        Advice::Normal,
        Advice::Random,
        Advice::Sequential,
        Advice::WillNeed,
        Advice::Cold,
        Advice::PageOut,
        Advice::DontDump,
        Advice::DoDump,
    ] {
        memory.advise(.., advice).unwrap();
    }
    for advice in [Advice::HugePage, Advice::NoHugePage] {
        // A kernel without transparent huge pages does not know these two.
        if let Err(error) = memory.advise(.., advice) {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
    assert_eq!(memory.read::<[u8; 4]>(5000).unwrap(), *b"kept");
}

#[test]
fn populated_pages_are_present() {
    let memory = Mapping::anonymous(1 << 20).unwrap();
    let resident = || smaps(memory.as_ptr().addr(), "Rss:");
    assert_eq!(resident(), 0);
    memory.populate_write(..512 << 10).unwrap();
    assert_eq!(resident(), 512);

    let file = file_of_len(1 << 20);
    let reading = ReadMapping::map(&file).unwrap();
    reading.populate(..).unwrap();
    assert_eq!(smaps(reading.as_ptr().addr(), "Rss:"), 1024);
}

#[test]
fn pages_beyond_the_end_of_a_file_cannot_be_populated() {
    let file = file_of_len(1 << 20);
    let (writing, reading) = (Mapping::map(&file).unwrap(), ReadMapping::map(&file).unwrap());
    file.set_len(0).unwrap();
    writing.populate_write(..).unwrap_err();
    reading.populate(..).unwrap_err();
    writing.lock(..).unwrap_err();
}

#[test]
fn locked_pages_are_counted_by_the_kernel() {
    let memory = Mapping::anonymous(64 << 10).unwrap();
    let locked = || smaps(memory.as_ptr().addr(), "Locked:");
    memory.lock(..).unwrap();
    assert_eq!(locked(), 64);
    memory.unlock(..).unwrap();
    assert_eq!(locked(), 0);
}

#[test]
fn flushing_writes_to_the_disk_and_a_mapping_without_file_does_not_mind() {
    let file = file_of_len(20_000);
    let mapping = Mapping::map(&file).unwrap();
    mapping.copy_in(10_000, b"to disk").unwrap();
    mapping.flush(10_000..10_007).unwrap();
    mapping.flush_async(..).unwrap();
    assert_eq!(smaps(mapping.as_ptr().addr(), "Shared_Dirty:"), 0);
    Mapping::anonymous(1).unwrap().flush(..).unwrap();
}
