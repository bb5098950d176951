#![no_main]

#[path = "../../crates/mp-process/tests/it/bytes.rs"]
#[expect(dead_code, reason = "each target runs one of its functions")]
mod bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bytes::message(data));
