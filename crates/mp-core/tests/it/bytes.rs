//! Bytes as others may write them into shared memory, for the fuzzer and for the replay of what it found.

use mp_core::{ListItem, ShareableList, SharedMemory};

/// The longest memory that an input has.
const MAX: usize = 4096;

/// Takes memory that begins with `data` for a list, and uses it where that succeeds, while somebody writes over it.
pub(crate) fn list(data: &[u8]) {
    let Some((len, data)) = data.split_first_chunk() else { return };
    let len = usize::from(u16::from_le_bytes(*len)) % MAX + 1;
    let memory = SharedMemory::create(len).expect("some memory");
    let (image, program) = data.split_at(data.len().min(len));
    memory.memory().copy_in(0, image).expect("it is inside");
    let Ok(list) = ShareableList::open(memory.name()) else { return };
    assert!(list.len() < len, "a length was believed");
    read_all(&list);
    for step in program.chunks(4) {
        let &[operation, index, value, other] = step else { return };
        match operation % 8 {
            0..4 => {
                let at = usize::from(u16::from_le_bytes([index, operation / 8])) % len;
                memory.memory().write(at, value).expect("it is inside");
            }
            operation => set(&list, index.into(), item(operation, value, other)),
        }
        read_all(&list);
    }
    set_all(&list);
}

fn item(kind: u8, value: u8, other: u8) -> ListItem {
    match kind {
        4 => i64::from(value).wrapping_shl(other.into()).into(),
        5 => f64::from_bits(u64::from(value) << (other % 64)).into(),
        6 => String::from_utf8_lossy(&vec![value; other.into()]).into_owned().into(),
        _ if value == 0 => (other < 2).then_some(other == 1).map_or(ListItem::None, ListItem::from),
        _ => vec![value; other.into()].into(),
    }
}

/// What was set is there, with the bytes that it has, and nothing else has changed.
fn set(list: &ShareableList, index: usize, item: ListItem) {
    let before = all(list);
    let is_set = list.set(index, item.clone()).is_ok();
    for (place, (before, after)) in before.into_iter().zip(all(list)).enumerate() {
        let expected = if is_set && place == index { Some(format!("{item:?}")) } else { before };
        assert!(after == expected, "item {place}: {after:?} instead of {expected:?}");
    }
}

/// Whatever stood there, each place takes a number.
fn set_all(list: &ShareableList) {
    (0..list.len()).for_each(|index| list.set(index, 7).expect("each slot has room for a number"));
    assert!(list.to_vec().expect("all are numbers").iter().all(|item| *item == 7.into()));
    assert_eq!(list.count(7).expect("all are numbers"), list.len());
    assert_eq!(list.format().expect("all are numbers"), "q".repeat(list.len()));
}

/// As texts, for the sake of numbers that are not equal to themselves.
fn all(list: &ShareableList) -> Vec<Option<String>> {
    (0..list.len()).map(|index| list.get(index).ok().map(|item| format!("{item:?}"))).collect()
}

fn read_all(list: &ShareableList) {
    for index in 0..list.len() {
        let slot_len = list.slot_len(index).expect("it is inside");
        let len = match list.get(index) {
            Ok(ListItem::Str(text)) => text.len(),
            Ok(ListItem::Bytes(bytes)) => bytes.len(),
            _ => 0,
        };
        assert!(len <= slot_len, "it is longer than its slot");
    }
    assert!(list.get(list.len()).is_err() && list.slot_len(list.len()).is_none());
    assert!(list.set(list.len(), ()).is_err());
    drop((list.format(), list.to_vec(), list.index(1)));
}
