//! What the dynamic loader knows of the main executable.
//!
//! # Safety
//!
//! Every function here is safe to call. They read memory only inside the segments that the loader lists as readable of
//! the main executable, which stays mapped for the life of the process.

#![allow(
    unsafe_code,
    reason = "the program headers of this executable, and its own read-only segments"
)]

use std::{ffi::c_void, ops::Range, slice};

use nix::libc;

/// The segments of an executable, as address ranges of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) base: usize,
    pub(super) code: Vec<Range<usize>>,
    pub(super) constants: Vec<Range<usize>>,
    pub(super) notes: Vec<Range<usize>>,
    /// Those of `code` that can be read as well.
    pub(super) readable_code: Vec<Range<usize>>,
}

/// The main executable: `dl_iterate_phdr(3)` visits it first.
pub(super) fn main_executable() -> Object {
    let mut object = Object::default();
    // SAFETY: `visit` has the signature that the call wants, and is handed the pointer to `object` as it expects.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut object).cast()) };
    object
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _: usize,
    object: *mut c_void,
) -> libc::c_int {
    // SAFETY: the loader hands out a valid `dl_phdr_info` for the length of this call.
    let info = unsafe { &*info };
    // SAFETY: `main_executable` passed its own local, to which nobody else refers meanwhile.
    let object = unsafe { &mut *object.cast::<Object>() };
    // SAFETY: the loader's table of `dlpi_phnum` program headers.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    *object = describe(info.dlpi_addr as usize, headers);
    // Non-zero ends the iteration: the other objects are of no interest.
    1
}

type Header = libc::Elf64_Phdr;

fn describe(base: usize, headers: &[Header]) -> Object {
    let range = |header: &Header| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let of = |keep: &dyn Fn(&Header) -> bool| -> Vec<_> {
        headers.iter().filter(|&header| keep(header)).map(range).collect()
    };
    let load = |header: &Header| header.p_type == libc::PT_LOAD;
    let can = |header: &Header, flag: u32| header.p_flags & flag != 0;
    let code = |header: &Header| load(header) && can(header, libc::PF_X);
    // Constants that need relocation become read-only after it. An executable linked without that keeps them with its
    // variables.
    let mut constants = of(&|header| header.p_type == libc::PT_GNU_RELRO);
    let relocated = !constants.is_empty();
    constants.extend(of(&|header| {
        let writable = can(header, libc::PF_W);
        load(header)
            && can(header, libc::PF_R)
            && !can(header, libc::PF_X)
            && !(writable && relocated)
    }));
    Object {
        base,
        code: of(&code),
        constants,
        notes: of(&|header| header.p_type == libc::PT_NOTE),
        readable_code: of(&|header| code(header) && can(header, libc::PF_R)),
    }
}

/// The contents of the readable code segments.
pub(super) fn code(object: &Object) -> Vec<&'static [u8]> {
    object.readable_code.iter().map(bytes).collect()
}

/// The `NT_GNU_BUILD_ID` note, if the linker wrote one.
pub(super) fn build_id(object: &Object) -> Option<&'static [u8]> {
    object.notes.iter().find_map(|range| find_build_id(bytes(range)))
}

/// The bytes of one of the main executable's read-only segments.
fn bytes(range: &Range<usize>) -> &'static [u8] {
    // SAFETY: the callers pass segments of the main executable that are readable, never written and never unmapped.
    unsafe { slice::from_raw_parts(range.start as *const u8, range.len()) }
}

const NT_GNU_BUILD_ID: u32 = 3;

/// Notes are `{name size, contents size, type, name, contents}`, the last two padded to 4 bytes.
fn find_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (name_len, len) = (word(0) as usize, word(4) as usize);
        let name = rest.get(..name_len)?;
        let contents = rest.get(name_len.next_multiple_of(4)..)?;
        if word(8) == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return contents.get(..len);
        }
        notes = contents.get(len.next_multiple_of(4)..)?;
    }
}
