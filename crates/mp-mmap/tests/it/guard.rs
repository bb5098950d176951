use mp_mmap::{GuardedError, MapOptions, Mapping, ReadMapping};

use crate::{file_of, file_of_len};

#[test]
fn guarded_copies_copy() {
    let file = file_of(&vec![7; 100_000]);
    let (writing, reading) = (Mapping::map(&file).unwrap(), ReadMapping::map(&file).unwrap());
    writing.copy_in_guarded(50_000, b"guarded").unwrap();
    let mut bytes = vec![0; 100_000];
    reading.copy_out_guarded(0, &mut bytes).unwrap();
    assert_eq!(&bytes[49_999..50_008], b"\x07guarded\x07");
    writing.copy_in_guarded(0, b"").unwrap();
    assert!(matches!(writing.copy_in_guarded(99_999, b"ab"), Err(GuardedError::OutOfBounds)));
    assert!(matches!(reading.copy_out_guarded(1, &mut bytes), Err(GuardedError::OutOfBounds)));
}

#[test]
fn truncation_is_reported_and_not_a_signal() {
    let file = file_of(&vec![7; 100_000]);
    let mapping = Mapping::map(&file).unwrap();
    file.set_len(8192).unwrap();

    let mut bytes = vec![1; 100_000];
    let error = mapping.copy_out_guarded(0, &mut bytes).unwrap_err();
    assert!(matches!(error, GuardedError::Truncated { copied: 8192 }), "{error}");
    assert!(
        bytes[..8192].iter().all(|&byte| byte == 7) && bytes[8192..].iter().all(|&byte| byte == 1)
    );
    let error = mapping.copy_in_guarded(8190, b"1234").unwrap_err();
    assert!(matches!(error, GuardedError::Truncated { copied: 2 }), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::UnexpectedEof);
    let error = mapping.copy_in_guarded(90_000, b"gone").unwrap_err();
    assert!(matches!(error, GuardedError::Truncated { copied: 0 }), "{error}");

    file.set_len(100_000).unwrap();
    mapping.copy_in_guarded(90_000, b"back").unwrap();
}

#[test]
fn a_hole_is_not_a_truncation() {
    let file = file_of_len(1 << 20);
    let mapping = MapOptions::new().offset(5).map(&file).unwrap();
    let mut bytes = vec![1; (1 << 20) - 5];
    mapping.copy_out_guarded(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
}
