//! The fifty-three pairs of documents.

use std::path::Path;

use crate::generated::{self, Numbers, Pair, Reorder};
use crate::real::{self, Packages};

pub(crate) struct Workload {
    pub(crate) name: String,
    make: Box<Make>,
}

type Make = dyn Fn(&Packages) -> Option<Pair>;

impl Workload {
    fn new(name: impl Into<String>, make: impl Fn() -> Pair + 'static) -> Self {
        Self { name: name.into(), make: Box::new(move |_| Some(make())) }
    }

    fn real(name: &str, make: impl Fn(&Packages) -> Option<Pair> + 'static) -> Self {
        Self { name: name.into(), make: Box::new(make) }
    }

    /// The documents; nothing if the files that they are made of cannot be had.
    pub(crate) fn make(&self, folder: &Path) -> Option<Pair> {
        (self.make)(&Packages::new(folder))
    }
}

pub(crate) fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    for (count, percent) in [10, 100, 1_000, 10_000]
        .into_iter()
        .flat_map(|count| [1, 10, 100].map(|percent| (count, percent)))
    {
        let make = move || generated::quotes(count, percent);
        all.push(Workload::new(format!("quotes{count}_{percent}pct"), make));
    }
    for (name, count, inserted, updated) in [
        ("news20_ins1", 20, 1, 0),
        ("news50_ins1", 50, 1, 0),
        ("news50_ins3", 50, 3, 0),
        ("news500_ins2", 500, 2, 0),
        ("news50_ins2_upd", 50, 2, 1),
    ] {
        all.push(Workload::new(name, move || generated::news(count, inserted, updated)));
    }
    for (name, count, how) in [
        ("reorder100_move1", 100, Reorder::MoveOne),
        ("reorder100_rank10", 100, Reorder::Rank),
        ("reorder100_shuffle", 100, Reorder::Shuffle),
        ("reorder1000_move1", 1_000, Reorder::MoveOne),
        ("reorder1000_rank10", 1_000, Reorder::Rank),
        ("reorder1000_shuffle", 1_000, Reorder::Shuffle),
    ] {
        all.push(Workload::new(name, move || generated::reorder(count, how)));
    }
    real_leaves(&mut all);
    for (count, percent) in
        [100, 1_000, 10_000].into_iter().flat_map(|count| [10, 100].map(|percent| (count, percent)))
    {
        let make = move || generated::telemetry(count, percent);
        all.push(Workload::new(format!("telemetry{count}_{percent}pct"), make));
    }
    for (name, count, how) in [
        ("nums100k_1pct", 100_000, Numbers::Percent(1)),
        ("nums100k_100pct", 100_000, Numbers::Percent(100)),
        ("nums100k_window100", 100_000, Numbers::Window(100)),
        ("nums10k_window10", 10_000, Numbers::Window(10)),
    ] {
        all.push(Workload::new(name, move || generated::numbers(count, how)));
    }
    all.push(Workload::new("deep100", || generated::deep(100, true)));
    all.push(Workload::new("deep10k", || generated::deep(10_000, false)));
    all.push(Workload::new("deep10k_obj", || generated::deep(10_000, true)));
    all.push(Workload::new("alldiff5k", || generated::all_different(false)));
    all.push(Workload::new("alldiff5k_objs", || generated::all_different(true)));
    all.push(Workload::new("longprefix", generated::long_prefix));
    all.push(Workload::new("repeat10k_shift", generated::repeat_shift));
    all.push(Workload::new("escapes", generated::escapes));
    for (name, package, before, after, file) in [
        ("rv_electron", "electron-to-chromium", "1.5.491", "1.5.492", "full-versions.json"),
        ("rv_mimedb", "mime-db", "1.53.0", "1.54.0", "db.json"),
        ("rv_countries", "world-countries", "5.0.0", "5.1.0", "countries.json"),
        ("rv_caniuse", "caniuse-db", "1.0.30001812", "1.0.30001813", "data.json"),
        ("rv_bcd", "@mdn/browser-compat-data", "8.1.7", "8.1.9", "data.json"),
    ] {
        all.push(Workload::real(name, move |packages| {
            let old = packages.read(package, before, file)?;
            Some(Pair { old, new: packages.read(package, after, file)? })
        }));
    }
    all
}

fn real_leaves(all: &mut Vec<Workload>) {
    all.push(Workload::new("config_leaf", generated::config));
    let example = |packages: &Packages, file: &str| {
        packages.read("simdjson", "0.9.2", &format!("jsonexamples/{file}.json"))
    };
    all.push(Workload::real("countries_leaf", |packages| {
        let text = packages.read("world-countries", "5.1.0", "countries.json")?;
        real::leaf(text, "/120/area", "12345.5")
    }));
    all.push(Workload::real("citm_leaf", move |packages| {
        real::leaf(example(packages, "citm_catalog")?, "/performances/120/start", "1372701600001")
    }));
    all.push(Workload::real("canada_leaf", move |packages| {
        let pointer = "/features/0/geometry/coordinates/240/3/0";
        real::leaf(example(packages, "canada")?, pointer, "-65.1234567890123")
    }));
    all.push(Workload::real("twitter_counts20", move |packages| {
        let values: Vec<_> = (0..20)
            .flat_map(|at| ["retweet_count", "favorite_count"].map(|name| (at * 5, name)))
            .map(|(at, name)| (format!("/statuses/{at}/{name}"), (7_000 + at).to_string()))
            .collect();
        real::leaves(example(packages, "twitter")?, &values)
    }));
    all.push(Workload::real("twitter_timeline5", move |packages| {
        real::timeline(example(packages, "twitter")?, false)
    }));
    all.push(Workload::real("twitter_rotate5", move |packages| {
        real::timeline(example(packages, "twitter")?, true)
    }));
}
