use std::{
    fs::File,
    io::{ErrorKind, Read, Seek},
    sync::atomic::{AtomicU16, AtomicU64, Ordering},
};

use mp_mmap::{HugePage, MapOptions, Mapping, Memory, ReadMapping, ReadMemory, Slice};

use crate::{file_of, file_of_len};

fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_written_to_a_shared_mapping_is_in_the_file_and_in_other_mappings() {
    let mut file = file_of(b"0123456789");
    let (one, other) = (Mapping::map(&file).unwrap(), ReadMapping::map(&file).unwrap());
    assert_eq!((one.len(), other.len()), (10, 10));
    one.copy_in(3, b"abc").unwrap();
    assert_eq!(other.read::<[u8; 10]>(0).unwrap(), *b"012abc6789");
    assert_eq!(contents(&mut file), b"012abc6789");
}

#[test]
fn what_is_written_to_a_private_mapping_stays_there() {
    let mut file = file_of(b"0123456789");
    let private = MapOptions::new().map_private(&file).unwrap();
    private.copy_in(0, b"abc").unwrap();
    assert_eq!(private.read::<[u8; 4]>(0).unwrap(), *b"abc3");
    assert_eq!(contents(&mut file), b"0123456789");
}

#[test]
fn a_mapping_outlives_its_descriptor() {
    let file = file_of(b"still here");
    let mapping = Mapping::map(&file).unwrap();
    drop(file);
    assert_eq!(mapping.read::<[u8; 10]>(0).unwrap(), *b"still here");
}

#[test]
fn any_offset_and_length_can_be_mapped() {
    let bytes: Vec<u8> = (0..20_000_u32).map(|index| index as u8).collect();
    let file = file_of(&bytes);
    for (offset, len) in [(0, 1), (1, 4096), (4095, 2), (4096, 4096), (5000, 15_000), (20_000, 0)] {
        let part = MapOptions::new().offset(offset).len(len).map(&file).unwrap();
        let mut copy = vec![0; len];
        part.copy_out(0, &mut copy).unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert_eq!(copy, bytes[offset..offset + len], "{offset} {len}");
    }
    let rest = MapOptions::new().offset(19_000).map_read_only(&file).unwrap();
    assert_eq!(rest.len(), 1000);
}

#[test]
fn a_range_beyond_the_end_of_the_file_is_refused() {
    let file = file_of_len(5000);
    let mut options = MapOptions::new();
    for (offset, len) in [(0, 5001), (4999, 2), (u64::MAX, 1), (5001, 0)] {
        let error = options.offset(offset).len(len).map(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(MapOptions::new().offset(5001).map(&file).is_err());
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    let mapping = Mapping::map(file_of_len(0)).unwrap();
    assert!(mapping.is_empty() && mapping.read::<u8>(0).is_err());
    mapping.flush(..).unwrap();
    mapping.lock(..).unwrap();
}

#[test]
fn access_rights_are_those_of_the_descriptor() {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, "read me").unwrap();
    let file = File::open(&path).unwrap();
    let error = Mapping::map(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains(path.path().to_str().unwrap()), "{error}");

    let reading = ReadMapping::map(&file).unwrap();
    assert_eq!(reading.into_writable().unwrap_err().kind(), ErrorKind::PermissionDenied);
    let writing = File::options().write(true).open(&path).unwrap();
    assert_eq!(ReadMapping::map(&writing).unwrap_err().kind(), ErrorKind::PermissionDenied);
    MapOptions::new().map_private(&file).unwrap();
}

#[test]
fn protection_changes_both_ways() {
    let file = file_of(b"now you may");
    let reading = Mapping::map(&file).unwrap().into_read_only().unwrap();
    assert_eq!(reading.read::<[u8; 3]>(0).unwrap(), *b"now");
    let writing = reading.into_writable().unwrap();
    writing.copy_in(8, b"can").unwrap();
    assert_eq!(writing.read::<[u8; 11]>(0).unwrap(), *b"now you can");
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(ReadMapping::map(&reader).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(
        MapOptions::new().len(100).map_read_only(&reader).unwrap_err().raw_os_error().is_some()
    );
    let directory = File::open("/").unwrap();
    assert!(ReadMapping::map(&directory).is_err());
    let zeroes = File::open("/dev/zero").unwrap();
    assert_eq!(MapOptions::new().len(100).map_read_only(&zeroes).unwrap().len(), 100);
}

#[test]
fn a_mapping_follows_a_growing_file() {
    let file = file_of(b"short");
    let mut mapping = Mapping::map(&file).unwrap();
    let error = mapping.remap(&file, 100_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "the file has not grown yet");

    file.set_len(100_000).unwrap();
    mapping.remap(&file, 100_000).unwrap();
    mapping.copy_in(99_995, b"ended").unwrap();
    assert_eq!(mapping.read::<[u8; 5]>(0).unwrap(), *b"short");

    assert!(mapping.remap(file_of_len(200_000), 200_000).is_err(), "another file");
    mapping.remap(&file, 3).unwrap();
    assert_eq!((mapping.len(), mapping.read::<u8>(3).is_err()), (3, true));

    let mut part = MapOptions::new().offset(4097).len(3).map_read_only(&file).unwrap();
    part.remap(&file, 100_000 - 4097).unwrap();
    assert_eq!(part.read::<[u8; 5]>(99_995 - 4097).unwrap(), *b"ended");
}

#[test]
fn anonymous_memory_is_zeroed_and_of_fixed_size() {
    let mut memory = MapOptions::new().len(10_000).populate(true).map_anonymous().unwrap();
    let mut bytes = vec![1; 10_000];
    memory.copy_out(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
    assert!(memory.remap(file_of_len(20_000), 20_000).is_err());
    for options in [MapOptions::new().len(0), &mut MapOptions::new()] {
        assert_eq!(options.map_anonymous().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let error = Mapping::anonymous(usize::MAX / 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
}

#[test]
fn huge_pages_are_mapped_or_explained() {
    let text = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: usize = text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let mapped = MapOptions::new().len(5).huge_pages(HugePage::Mib2).map_anonymous();
    match mapped {
        Ok(memory) => {
            assert!(free > 0);
            assert_eq!(memory.len(), HugePage::Mib2.bytes());
            memory.copy_in(memory.len() - 1, b"x").unwrap();
        }
        Err(error) => {
            assert_eq!(free, 0, "{error}");
            assert!(error.hint().unwrap().contains("vm.nr_hugepages"), "{error}");
        }
    }
    let error = MapOptions::new().huge_pages(HugePage::Gib1).map(file_of_len(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn values_need_no_alignment_and_atomics_do() {
    let memory = Mapping::anonymous(64).unwrap();
    memory.write(3, 0x0102_0304_0506_0708_u64).unwrap();
    assert_eq!(memory.read::<u64>(3).unwrap(), 0x0102_0304_0506_0708);
    assert!(memory.write(57, 1_u64).is_err() && memory.read::<u64>(57).is_err());

    assert!(memory.atomic::<AtomicU16>(3).is_none());
    let words = memory.atomics::<AtomicU64>(16, 6).unwrap();
    words[5].store(9, Ordering::Release);
    assert_eq!(memory.load::<AtomicU64>(56), Some(9));
    assert!(memory.atomics::<AtomicU64>(16, 7).is_none());
    assert!(memory.atomics::<AtomicU64>(0, usize::MAX).is_none());
}

#[test]
fn atomics_can_be_read_where_nothing_can_be_written() {
    let file = file_of_len(16);
    let (writing, reading) = (Mapping::map(&file).unwrap(), ReadMapping::map(&file).unwrap());
    writing.atomic_u64(8).unwrap().store(77, Ordering::Release);
    assert_eq!(reading.load::<AtomicU64>(8), Some(77));
    assert_eq!(reading.load::<AtomicU64>(9), None);
}

#[test]
fn slices_stay_inside() {
    let file = file_of_len(100);
    let (writing, reading) = (Mapping::map(&file).unwrap(), ReadMapping::map(&file).unwrap());
    assert!(Slice::<u32>::new(&writing, 1, 25).is_err());
    assert!(Slice::<u32>::new(&writing, 8, usize::MAX / 2).is_err());
    let numbers = Slice::<u32, Memory>::new(&writing, 60, 10).unwrap();
    numbers.copy_in(7, &[1, 2, 3]).unwrap();
    assert!(numbers.copy_in(8, &[9, 9, 9]).is_err() && numbers.set(10, 9).is_err());

    let seen = Slice::<u32, ReadMemory>::new(&reading, 60, 10).unwrap();
    assert_eq!(seen.iter().collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    let mut last = [0; 2];
    seen.copy_out(8, &mut last).unwrap();
    assert_eq!(last, [2, 3]);
    assert!(seen.copy_out(9, &mut last).is_err() && seen.at(10).is_none());
}

#[test]
fn a_part_is_bounded_by_itself() {
    let memory = Mapping::anonymous(100).unwrap();
    let part = memory.part(50, 10).unwrap();
    part.copy_in(6, b"tail").unwrap();
    assert!(part.copy_in(7, b"tail").is_err());
    assert_eq!(memory.read::<[u8; 4]>(56).unwrap(), *b"tail");
    assert!(memory.part(91, 10).is_err() && memory.part(101, 0).is_err());
}
