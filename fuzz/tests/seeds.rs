//! Every seed through every target: a seed of one is an input like any other to the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pointstream_fuzz::mutate::{Rng, mutate};
use pointstream_fuzz::{LEN_MAX, TARGETS};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(of: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join(of)).unwrap();
    entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().into())
        .collect()
}

#[test]
fn every_seed_holds_on_every_target() {
    for name in names("seeds") {
        let mut count = 0;
        for entry in fs::read_dir(folder().join("seeds").join(&name)).unwrap() {
            let path = entry.unwrap().path();
            let seed = fs::read(&path).unwrap();
            assert!(seed.len() <= LEN_MAX, "{} is long", path.display());
            for target in TARGETS {
                let held = std::panic::catch_unwind(|| (target.run)(&seed)).is_ok();
                assert!(held, "{} on {}", target.name, path.display());
            }
            count += 1;
        }
        assert!(count > 0, "{name} has seeds");
    }
}

#[test]
fn every_target_has_seeds_and_a_program_for_libfuzzer() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.into()).collect();
    assert_eq!(names("seeds"), targets);
    assert_eq!(names("fuzz_targets"), targets);
}

#[test]
fn a_seed_number_gives_the_same_inputs_again() {
    let seeds = [b"one".to_vec(), b"another".to_vec()];
    let inputs = |number: u64| {
        let (mut rng, mut input) = (Rng::new(number), Vec::new());
        let mut all = Vec::new();
        for _ in 0..500 {
            mutate(&mut rng, &seeds, &[b"word"], &mut input);
            assert!(input.len() <= LEN_MAX);
            all.push(input.clone());
        }
        all
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
