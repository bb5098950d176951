use std::{fmt, io, sync::Arc};

use mp_shm::Memory;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    list_item::{ALIGNMENT, Format, ListItem, trimmed},
    memory::SharedMemory,
};
use crate::Result;

/// The bytes of a number: of the list's length, or of where a slot begins.
const NUMBER: usize = size_of::<i64>();

/// A list of fixed length in [`SharedMemory`], of numbers, texts and bytes: Python's `ShareableList`, which is the same object.
///
/// Byte for byte: a Python process that opens it by its name (`ShareableList(name=...)`) sees what is set here, and the
/// other way round. As there, each item has a slot, whose length follows from the item that the list was created with: 8 bytes
/// for a number, and for a text or bytes the next multiple of 8 that is longer. Another item, of another type too, can be
/// [set](Self::set) if it is no longer than the slot.
///
/// A handle: clones share one mapping. Sent to another process, it is opened there by its name, which goes with the last handle
/// of its creator.
///
/// **There is no lock inside.** An item that somebody sets meanwhile may be read as any mixture of the old and the new one, or be
/// an [error](io::ErrorKind::InvalidData); so may one whose writer was killed half-way, until it is set again. Take a
/// [`Lock`](crate::Lock) around what must be whole. Whatever others write into the memory, nothing worse than that comes of it;
/// for who truncates it, see [`SharedMemory`].
///
/// | Python | here |
/// |---|---|
/// | `sl[-1]` | indices count from the front |
/// | `1 == 1.0 == True` in `count` and `index` | items of different types are different |
/// | a text at the beginning gets a slot by its characters, and is cut where it has more bytes | a slot by its bytes |
/// | zeroes at the end of a text or of bytes are lost | such an item is refused |
///
/// # Examples
///
/// ```
/// use mp_core::{ListItem, Process, ShareableList};
///
/// let list = ShareableList::new([ListItem::from("howdy"), 100.into(), 2.5.into(), true.into(), ().into()])?;
/// let change = |list: ShareableList| list.set(1, "a text").unwrap();
/// Process::spawn(change, list.clone())?.join()?;
/// assert_eq!(list.get(1)?, "a text".into());
/// assert_eq!(list.format()?, "8s8sdxxxxxxx?xxxxxx?x");
/// assert!(list.set(1, "too long a text").is_err());
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ShareableList {
    memory: SharedMemory,
    /// Where each slot begins behind the first one, and where the last one ends: copied, and checked, when it was opened.
    bounds: Arc<[usize]>,
}

impl ShareableList {
    /// A list of `items`, under a name that nobody has.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an item of more than 9,999,991 bytes or with zeroes at its end;
    /// [`StorageFull`](io::ErrorKind::StorageFull) where `/dev/shm` is full.
    pub fn new(items: impl IntoIterator<Item: Into<ListItem>>) -> Result<Self> {
        Self::create(items, |len, items, bounds| {
            SharedMemory::create_with(len, |memory| fill(memory, items, bounds))
        })
    }

    /// A list of `items`, under this name, with or without its slash.
    ///
    /// Nobody can open it before it is complete.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); as for [`new`](Self::new), and for a bad name.
    pub fn create_named(
        name: impl AsRef<str>,
        items: impl IntoIterator<Item: Into<ListItem>>,
    ) -> Result<Self> {
        Self::create(items, |len, items, bounds| {
            let fill = |memory: &Memory| fill(memory, items, bounds);
            SharedMemory::create_named_with(name.as_ref(), len, fill)
        })
    }

    fn create(
        items: impl IntoIterator<Item: Into<ListItem>>,
        create: impl FnOnce(usize, &[ListItem], &[usize]) -> Result<SharedMemory>,
    ) -> Result<Self> {
        let items: Vec<ListItem> = items.into_iter().map(Into::into).collect();
        let mut bounds = vec![0];
        let mut end = 0;
        for (index, item) in items.iter().enumerate() {
            let slot_len = item.slot_len();
            if let Some(reason) = item.refusal(slot_len) {
                let reason = format!("item {index}: {reason}");
                return Err(mp_os::Error::invalid_input("create", "shareable list", reason).into());
            }
            end += slot_len;
            bounds.push(end);
        }
        let places = Places { slots: items.len(), data_len: end };
        let memory = create(places.end(), &items, &bounds)?;
        Ok(Self { memory, bounds: bounds.into() })
    }

    /// The list that somebody, a Python process say, has created under this name.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) where the memory of this name is no list; as for
    /// [`SharedMemory::open`].
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        Self::from_memory(SharedMemory::open(name)?)
    }

    fn from_memory(memory: SharedMemory) -> Result<Self> {
        match bounds(memory.memory()) {
            Some(bounds) => Ok(Self { memory, bounds: bounds.into() }),
            None => {
                let object = format!("shared memory `{}`", memory.name());
                Err(invalid_data("open", object, "it is no shareable list"))
            }
        }
    }

    /// The name, without its slash.
    pub fn name(&self) -> &str {
        self.memory.name()
    }

    /// The memory that it is in.
    #[doc(alias = "shm")]
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes an item at `index` may have; `None` beyond the end.
    pub fn slot_len(&self, index: usize) -> Option<usize> {
        let slot = self.bounds.get(index..)?.get(..2)?;
        Some(slot[1] - slot[0])
    }

    /// A copy of the item at `index`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) beyond the end; [`InvalidData`](io::ErrorKind::InvalidData) where no item
    /// stands there, but what somebody has written half, or what is no item at all.
    pub fn get(&self, index: usize) -> Result<ListItem> {
        let slot_len = self.check("read", index)?;
        let places = self.places();
        let memory = self.memory.memory();
        let format: Format = memory.read(places.format(index)).map_err(mp_os::Error::from)?;
        let code: u8 = memory.read(places.code(index)).map_err(mp_os::Error::from)?;
        let mut bytes = Vec::new();
        let len = ListItem::len_of(format).filter(|&len| len <= slot_len);
        let item = len.and_then(|len| {
            memory.copy_out_vec(places.data(self.bounds[index]), len, &mut bytes).ok()?;
            ListItem::decode(format, code, &bytes)
        });
        let reason = || format!("no item stands at {index}");
        item.ok_or_else(|| invalid_data("read", self.object(), reason()))
    }

    /// Makes the item at `index` `item`, of whichever type.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) beyond the end, for an item that is longer than its
    /// [slot](Self::slot_len), and for one with zeroes at its end; nothing was changed then.
    pub fn set(&self, index: usize, item: impl Into<ListItem>) -> Result<()> {
        let item = item.into();
        let slot_len = self.check("change", index)?;
        if let Some(reason) = item.refusal(slot_len) {
            let reason = format!("item {index}: {reason}");
            return Err(mp_os::Error::invalid_input("change", self.object(), reason).into());
        }
        let slot = (self.bounds[index], slot_len);
        Ok(put(self.memory.memory(), &self.places(), index, slot, &item)?)
    }

    /// Copies of all items.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<ListItem>> {
        (0..self.len()).map(|index| self.get(index)).collect()
    }

    /// How many items are equal to `item`.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn count(&self, item: impl Into<ListItem>) -> Result<usize> {
        let item = item.into();
        Ok(self.to_vec()?.into_iter().filter(|other| *other == item).count())
    }

    /// Where the first item stands that is equal to `item`; `None` where none is.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn index(&self, item: impl Into<ListItem>) -> Result<Option<usize>> {
        let item = item.into();
        Ok(self.to_vec()?.into_iter().position(|other| other == item))
    }

    /// The formats of all items together, as Python's `struct` has them.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) where one is none of an item.
    pub fn format(&self) -> Result<String> {
        let mut formats = String::new();
        for index in 0..self.len() {
            let format: Format = self
                .memory
                .memory()
                .read(self.places().format(index))
                .map_err(mp_os::Error::from)?;
            match str::from_utf8(trimmed(&format)) {
                Ok(text) if ListItem::len_of(format).is_some() => formats += text,
                _ => {
                    let reason = format!("no item stands at {index}");
                    return Err(invalid_data("read", self.object(), reason));
                }
            }
        }
        Ok(formats)
    }

    /// The length of the slot at `index`.
    fn check(&self, verb: &'static str, index: usize) -> Result<usize> {
        let reason = || format!("{index} is beyond its {} items", self.len());
        let refused = || mp_os::Error::invalid_input(verb, self.object(), reason()).into();
        self.slot_len(index).ok_or_else(refused)
    }

    fn places(&self) -> Places {
        Places { slots: self.len(), data_len: self.bounds[self.len()] }
    }

    fn object(&self) -> String {
        format!("shareable list `{}`", self.name())
    }
}

/// Where the parts of a list stand: its length, where each slot begins and the last one ends, the slots, the formats, the codes.
struct Places {
    slots: usize,
    data_len: usize,
}

impl Places {
    fn bound(index: usize) -> usize {
        (1 + index) * NUMBER
    }

    fn data(&self, offset: usize) -> usize {
        Self::bound(self.slots + 1) + offset
    }

    fn format(&self, index: usize) -> usize {
        self.data(self.data_len) + index * size_of::<Format>()
    }

    fn code(&self, index: usize) -> usize {
        self.format(self.slots) + index
    }

    fn end(&self) -> usize {
        self.code(self.slots)
    }
}

/// Writes a whole list.
fn fill(memory: &Memory, items: &[ListItem], bounds: &[usize]) -> mp_os::Result<()> {
    memory.write(0, items.len() as i64)?;
    for (index, bound) in bounds.iter().enumerate() {
        memory.write(Places::bound(index), *bound as i64)?;
    }
    let places = Places { slots: items.len(), data_len: bounds[items.len()] };
    for (index, item) in items.iter().enumerate() {
        put(memory, &places, index, (bounds[index], item.slot_len()), item)?;
    }
    Ok(())
}

/// Writes an item that is no longer than its slot, which is told by its beginning and its length.
fn put(
    memory: &Memory,
    places: &Places,
    index: usize,
    (start, slot_len): (usize, usize),
    item: &ListItem,
) -> mp_os::Result<()> {
    memory.write(places.format(index), item.format(slot_len))?;
    memory.write(places.code(index), item.code())?;
    let mut bytes = item.bytes().into_owned();
    if item.is_text() {
        bytes.resize(slot_len, 0);
    }
    Ok(memory.copy_in(places.data(start), &bytes)?)
}

/// The bounds of the slots, where all that they tell is inside of the memory; `None` otherwise.
fn bounds(memory: &Memory) -> Option<Vec<usize>> {
    let number = |offset| usize::try_from(memory.read::<i64>(offset).ok()?).ok();
    let slots = number(0)?;
    // Each has more than a byte, so that what is computed of it is no longer than the memory.
    if slots >= memory.len() {
        return None;
    }
    let bounds =
        (0..=slots).map(|index| number(Places::bound(index))).collect::<Option<Vec<_>>>()?;
    let is_slot = |slot: &[usize]| {
        slot[0] < slot[1] && slot[0].is_multiple_of(ALIGNMENT) && slot[1].is_multiple_of(ALIGNMENT)
    };
    let data_len = bounds[slots];
    let is_inside = data_len <= memory.len() && Places { slots, data_len }.end() <= memory.len();
    (bounds[0] == 0 && is_inside && bounds.windows(2).all(is_slot)).then_some(bounds)
}

fn invalid_data(
    verb: &'static str,
    object: String,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> crate::Error {
    mp_os::Error::new(verb, object, io::Error::new(io::ErrorKind::InvalidData, reason)).into()
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareableList")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// By its name: whoever receives it must be able to open that.
impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_memory(SharedMemory::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
