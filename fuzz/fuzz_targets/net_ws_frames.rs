//! `net_ws_frames` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointstream_fuzz::targets::net_ws_frames(data));
