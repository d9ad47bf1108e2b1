//! `store_chunk` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointstream_fuzz::targets::store_chunk(data));
