#!/usr/bin/env bash
# Layer 0 and the codec of IOTMP without std: a static library of it with a panic handler and an allocator of its own.
. .ci/lib.sh

# What this proves: a program or static library has one panic handler, and std brings one. So this
# crate, which brings its own, links only as long as nothing below it links std: neither layer 0 nor
# any of its dependencies with the features that they have here. That is true on the host as well as
# on a bare-metal target. What only such a target proves is that the code runs without an operating
# system's atomics and word size; it is used where one is installed.
crate=$CI_WORK/no_std
mkdir -p "$crate/src"
cp Cargo.lock "$crate/"
cat >"$crate/Cargo.toml" <<END
[package]
name = "layer-0"
version = "0.0.0"
edition = "2024"

[workspace]

[lib]
crate-type = ["staticlib"]

[features]
with-std = []

[dependencies]
pointstream-iotmp = { path = "$PWD/crates/pointstream-iotmp" }
pointstream-patch = { path = "$PWD/crates/pointstream-patch" }
pointstream-point = { path = "$PWD/crates/pointstream-point" }
pointstream-time = { path = "$PWD/crates/pointstream-time" }

[profile.dev]
panic = "abort"
END
cat >"$crate/src/lib.rs" <<'END'
#![no_std]

extern crate alloc;
#[cfg(feature = "with-std")]
extern crate std;

use alloc::string::ToString;
use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::time::Duration;

use pointstream_iotmp::{Payload, Rules, Value as Decoded, Version};
use pointstream_patch::{Limits, apply};
use pointstream_point::{Id, Value};
use pointstream_time::Instant;

struct Nothing;

unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
pub extern "C" fn layer_0(seconds: u64) -> usize {
    let patched = apply(b"{}", b"[]", &Limits::default()).map_or(0, |text| text.len());
    let id = "ahu.temp".parse::<Id>().map_or(0, |id| id.to_string().len());
    let number = usize::from(Value::number(seconds as f64) == Value::Null);
    let later = Instant::default() + Duration::from_secs(seconds);
    let sent = Payload::new(&seconds).unwrap_or_default();
    let read = Decoded::decode(Version::V2, sent.as_bytes(), &Rules::DEFAULT).map_or(0, |(_, len)| len);
    patched + id + number + read + usize::from(later > Instant::default())
}
END

targets=$(rustc --print sysroot)/lib/rustlib
bare=$(find "$targets" -maxdepth 1 -type d -name '*-none*' -printf '%f\n' | sort | head -n 1)
build=(cargo build --quiet --manifest-path "$crate/Cargo.toml" --target-dir "$CI_WORK/no_std-target")
if [ -n "$bare" ]; then
    build+=(--target "$bare")
else
    echo "no bare-metal target is installed: built for the host"
fi
run "${build[@]}"
find "$CI_WORK/no_std-target" -name 'liblayer_0.a' -printf 'built %f, %s bytes\n'

# The same with std in it must not build, or the above would prove nothing.
if "${build[@]}" --features with-std 2>"$CI_WORK/no_std.log"; then
    fail "with std it builds as well"
fi
# On the host it has two panic handlers then; on a bare-metal target there is no std.
grep -qE "panic_impl|can't find crate for .std." "$CI_WORK/no_std.log" || { cat "$CI_WORK/no_std.log"; fail "it fails otherwise"; }
echo "with std it does not build, as it should"
