//! The main executable of this process, as it lies in memory.

mod sys;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::OnceLock,
};

/// The main executable: where it is, and which one.
#[derive(Debug)]
pub(crate) struct Image {
    /// The difference between addresses here and those in the file; it differs from process to process.
    base: usize,
    /// Where functions are.
    code: Vec<Range<usize>>,
    /// Where constants are: readable, and not writable once the program runs.
    constants: Vec<Range<usize>>,
    /// Names the build: two processes with the same one have the same functions and constants at the same offsets.
    build: u64,
}

impl Image {
    /// The main executable of this process, looked up once.
    pub(crate) fn main() -> &'static Self {
        static MAIN: OnceLock<Image> = OnceLock::new();
        MAIN.get_or_init(|| Self::of(&sys::main_executable()))
    }

    fn of(object: &sys::Object) -> Self {
        Self {
            base: object.base,
            code: object.code.clone(),
            constants: object.constants.clone(),
            build: build(object),
        }
    }

    /// Names the build.
    pub(crate) const fn build(&self) -> u64 {
        self.build
    }

    /// The offset of the function at `address`, if it is one of the executable's own.
    pub(crate) fn code_offset(&self, address: usize) -> Option<u64> {
        within(&self.code, address, 1).then(|| address.wrapping_sub(self.base) as u64)
    }

    /// The address of the function at `offset`, if there can be one.
    pub(crate) fn code_address(&self, offset: u64) -> Option<usize> {
        let address = self.base.wrapping_add(usize::try_from(offset).ok()?);
        within(&self.code, address, 1).then_some(address)
    }

    /// The offset of the constant of `size` bytes at `address`, if it is one of the executable's own.
    pub(crate) fn constant_offset(&self, address: usize, size: usize) -> Option<u64> {
        within(&self.constants, address, size).then(|| address.wrapping_sub(self.base) as u64)
    }

    /// The address of a constant of `size` bytes at `offset`, if there can be one.
    pub(crate) fn constant_address(&self, offset: u64, size: usize) -> Option<usize> {
        let address = self.base.wrapping_add(usize::try_from(offset).ok()?);
        within(&self.constants, address, size).then_some(address)
    }
}

fn within(ranges: &[Range<usize>], address: usize, size: usize) -> bool {
    let Some(end) = address.checked_add(size) else { return false };
    ranges.iter().any(|range| range.start <= address && end <= range.end)
}

/// A hash of the build id that the linker wrote; where it wrote none, of the code itself.
fn build(object: &sys::Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    match sys::build_id(object) {
        Some(id) => id.hash(&mut hasher),
        None => sys::code(object).hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_where() {
        let image = Image::main();
        let function = what_is_where as fn() as usize;
        let offset = image.code_offset(function).unwrap();
        assert_eq!(image.code_address(offset), Some(function));
        let foreign: unsafe extern "C" fn(i32) -> i32 = nix::libc::abs;
        assert_eq!(image.code_offset(foreign as usize), None);
        assert_eq!(image.code_address(u64::MAX / 2), None);

        static CONSTANT: &fn() = &(what_is_where as fn());
        let constant = std::ptr::from_ref(CONSTANT) as usize;
        let offset = image.constant_offset(constant, size_of::<fn()>()).unwrap();
        assert_eq!(image.constant_address(offset, size_of::<fn()>()), Some(constant));
        let on_the_stack = 7u8;
        assert_eq!(image.constant_offset(std::ptr::from_ref(&on_the_stack) as usize, 1), None);
        assert_eq!(image.constant_offset(function, 1), None);
        assert_eq!(image.constant_address(offset, usize::MAX), None);
    }

    #[test]
    fn the_code_names_the_build_where_the_linker_does_not() {
        let object = sys::main_executable();
        assert!(!sys::code(&object).is_empty());
        let anonymous = sys::Object { notes: Vec::new(), ..object };
        assert_eq!(build(&anonymous), build(&anonymous));
        assert_ne!(build(&anonymous), 0);
    }
}
