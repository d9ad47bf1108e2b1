//! Counts of instructions and of allocations by callgrind.

use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

/// What callgrind counts: it is told to collect within a function of this name.
#[inline(never)]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> T {
    let result = run();
    core::hint::black_box(());
    result
}

/// Runs one update under callgrind.
pub(crate) fn count(engine: &str, old: &Path, new: &Path, folder: &Path) -> Option<Counts> {
    let profile = folder.join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*callgrind*counted*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().ok()?)
        .args(["once", engine])
        .args([old, new])
        .output()
        .ok()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1))?;
    let instructions = collected.trim().parse().ok().filter(|&count| count > 0)?;
    let profile = std::fs::read_to_string(&profile).ok()?;
    Some(Counts { instructions, allocations: allocations(&profile) })
}

/// Adds up the calls of the allocator in a profile.
fn allocations(profile: &str) -> u64 {
    let mut names = std::collections::HashMap::new();
    let mut called = None;
    let mut sum = 0;
    for line in profile.lines() {
        let named = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="));
        if let Some(name) = named {
            let (id, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                let allocates = matches!(name, "malloc" | "calloc" | "realloc" | "posix_memalign");
                names.insert(id.to_owned(), allocates);
            }
            if line.starts_with("cfn=") {
                called = Some(id.to_owned());
            }
        } else if let Some(calls) = line.strip_prefix("calls=")
            && called.take().and_then(|id| names.get(&id).copied()) == Some(true)
        {
            let count = calls.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            sum += count.unwrap_or(0);
        }
    }
    sum
}
