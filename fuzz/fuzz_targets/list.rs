#![no_main]

#[path = "../../crates/mp-core/tests/it/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bytes::list(data));
