/// The number in a message of eight bytes.
///
/// # Panics
///
/// Where it has another length.
pub fn number(message: &[u8]) -> u64 {
    u64::from_ne_bytes(message.try_into().expect("a message of eight bytes"))
}
