//! The telemetry map of the protocol's own benchmark, in four encodings.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pointstream_iotmp::{Encode, Encoder, Map, Rules, Text, Value, Version};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Telemetry<'a> {
    humidity: u64,
    #[serde(borrow)]
    label: &'a str,
    pressure: u64,
    temperature: f64,
}

const TELEMETRY: Telemetry<'static> =
    Telemetry { humidity: 60, label: "outdoor", pressure: 1013, temperature: 23.5 };

impl Encode for Telemetry<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            to.entry("humidity", &self.humidity);
            to.entry("label", self.label);
            to.entry("pressure", &self.pressure);
            to.entry("temperature", &self.temperature);
        });
    }
}

#[inline(always)]
fn take<'a>(telemetry: &mut Telemetry<'a>, name: Text<'a>, value: Value<'a>) {
    if name == *"humidity" {
        telemetry.humidity = value.as_u64().expect("a number");
    } else if name == *"label" {
        telemetry.label = value.as_str().expect("a text");
    } else if name == *"pressure" {
        telemetry.pressure = value.as_u64().expect("a number");
    } else if name == *"temperature" {
        telemetry.temperature = value.as_f64().expect("a number");
    }
}

#[inline(never)]
fn pson(bytes: &[u8]) -> Telemetry<'_> {
    let (value, _) = Value::decode(Version::V2, bytes, &Rules::DEFAULT).expect("PSON");
    let mut telemetry = Telemetry::default();
    for (name, value) in value.as_map().expect("a map") {
        take(&mut telemetry, name, value);
    }
    telemetry
}

/// The same in one pass, as the other decoders do it.
#[inline(never)]
fn pson_once(bytes: &[u8]) -> Telemetry<'_> {
    let mut telemetry = Telemetry::default();
    let read = Map::read(Version::V2, bytes, &Rules::DEFAULT, |name, value| {
        take(&mut telemetry, name, value);
    });
    assert!(read.expect("PSON").is_some(), "a map");
    telemetry
}

#[inline(never)]
fn cbor(bytes: &[u8]) -> Telemetry<'_> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut telemetry = Telemetry::default();
    for _ in 0..decoder.map().expect("a map").expect("a length") {
        match decoder.str().expect("a name") {
            "humidity" => telemetry.humidity = decoder.u64().expect("a number"),
            "label" => telemetry.label = decoder.str().expect("a text"),
            "pressure" => telemetry.pressure = decoder.u64().expect("a number"),
            "temperature" => telemetry.temperature = f64::from(decoder.f32().expect("a number")),
            _ => decoder.skip().expect("a value"),
        }
    }
    telemetry
}

#[inline(never)]
fn to_cbor(telemetry: &Telemetry<'_>, out: &mut Vec<u8>) {
    let mut encoder = minicbor::Encoder::new(out);
    let encoded = (|| {
        encoder.map(4)?.str("humidity")?.u64(telemetry.humidity)?;
        encoder.str("label")?.str(telemetry.label)?;
        encoder.str("pressure")?.u64(telemetry.pressure)?;
        encoder.str("temperature")?.f32(telemetry.temperature as f32)?;
        Ok::<_, minicbor::encode::Error<std::convert::Infallible>>(())
    })();
    encoded.expect("memory");
}

/// Nanoseconds of one call: the best of many short rounds, which is one that was not disturbed.
pub(crate) fn nanos(mut call: impl FnMut()) -> f64 {
    let mut rounds = 1u32;
    loop {
        let start = Instant::now();
        (0..rounds).for_each(|_| call());
        if start.elapsed() > Duration::from_millis(1) {
            break;
        }
        rounds *= 2;
    }
    let round = |_| {
        let start = Instant::now();
        (0..rounds).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    };
    (0..500).map(round).fold(f64::INFINITY, f64::min)
}

pub(crate) fn table() {
    let mut ours = Vec::new();
    Version::V2.encode(&TELEMETRY, &mut ours).expect("shallow");
    let json = serde_json::to_vec(&TELEMETRY).expect("JSON");
    let packed = rmp_serde::to_vec_named(&TELEMETRY).expect("MessagePack");
    let mut coded = Vec::new();
    to_cbor(&TELEMETRY, &mut coded);
    assert_eq!(pson(&ours), TELEMETRY);
    assert_eq!(pson_once(&ours), TELEMETRY);
    assert_eq!(cbor(&coded), TELEMETRY);
    let walk = nanos(|| {
        black_box(Value::decode(Version::V2, black_box(&ours), &Rules::DEFAULT)).expect("PSON");
    });
    println!("| the telemetry map | bytes | decode, ns | encode, ns |\n|---|---|---|---|");
    println!("| PSON v2, checked and kept borrowed | {} | {walk:.1} | |", ours.len());
    let mut out = Vec::with_capacity(128);
    let mut row = |name: &str, bytes: usize, decode: f64, encode: &mut dyn FnMut(&mut Vec<u8>)| {
        let encode = nanos(|| {
            out.clear();
            encode(black_box(&mut out));
        });
        println!("| {name} | {bytes} | {decode:.1} | {encode:.1} |");
    };
    let decode = nanos(|| {
        black_box(pson(black_box(&ours)));
    });
    println!("| PSON v2, checked, then all values read | {} | {decode:.1} | |", ours.len());
    let decode = nanos(|| {
        black_box(pson_once(black_box(&ours)));
    });
    row("PSON v2, all values read in one pass", ours.len(), decode, &mut |out| {
        Version::V2.encode(black_box(&TELEMETRY), out).expect("shallow");
    });
    let decode = nanos(|| {
        let read: Telemetry<'_> = serde_json::from_slice(black_box(&json)).expect("JSON");
        black_box(read);
    });
    row("JSON, serde_json", json.len(), decode, &mut |out| {
        serde_json::to_writer(out, black_box(&TELEMETRY)).expect("memory");
    });
    let decode = nanos(|| {
        black_box(cbor(black_box(&coded)));
    });
    row("CBOR, minicbor", coded.len(), decode, &mut |out| to_cbor(black_box(&TELEMETRY), out));
    let decode = nanos(|| {
        let read: Telemetry<'_> = rmp_serde::from_slice(black_box(&packed)).expect("MessagePack");
        black_box(read);
    });
    row("MessagePack, rmp-serde", packed.len(), decode, &mut |out| {
        rmp_serde::encode::write_named(out, black_box(&TELEMETRY)).expect("memory");
    });
    println!();
}
