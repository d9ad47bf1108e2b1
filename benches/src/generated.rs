//! Documents made from a seed: lists, tables, trees, and what is hard to compare.

use core::fmt::Write;

/// A sequence of numbers that is the same on every machine (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

pub(crate) struct Pair {
    pub(crate) old: String,
    pub(crate) new: String,
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// Quotes of sixteen fields, nine of which change; the given share of these does.
pub(crate) fn quotes(count: usize, percent: u64) -> Pair {
    let mut random = Random::new(count as u64 * 1_000 + percent);
    let mut texts = [Vec::new(), Vec::new()];
    for at in 0..count {
        let mut values: Vec<String> = (0..9).map(|field| quote_field(field, &mut random)).collect();
        texts[0].push(quote(at, &values));
        for (field, value) in values.iter_mut().enumerate() {
            if random.below(100) < percent {
                let before = value.clone();
                while *value == before {
                    *value = quote_field(field, &mut random);
                }
            }
        }
        texts[1].push(quote(at, &values));
    }
    let wrap = |at: usize, quotes: &[String]| {
        format!(r#"{{"asOf":{},"quotes":{}}}"#, 1_700_000_000 + at, list(quotes))
    };
    Pair { old: wrap(0, &texts[0]), new: wrap(1, &texts[1]) }
}

fn quote_field(field: usize, random: &mut Random) -> String {
    match field {
        0..=2 => format!("{}.{:02}", 10 + random.below(490), random.below(100)),
        3 | 4 => (100 * (1 + random.below(99))).to_string(),
        5 => (1_000 + random.below(9_000_000)).to_string(),
        6 | 7 => format!("-{}.{:02}", random.below(9), 1 + random.below(99)),
        _ => (1_700_000_000_000 + random.below(86_400_000)).to_string(),
    }
}

fn quote(at: usize, v: &[String]) -> String {
    format!(
        concat!(
            r#"{{"symbol":"SYM{at:05}","name":"Company {at:05} Incorporated","mic":"XNYS","#,
            r#""currency":"USD","last":{},"bid":{},"ask":{},"bidSize":{},"askSize":{},"#,
            r#""volume":{},"change":{},"changePct":{},"time":{},"open":{open}.5,"#,
            r#""sector":"Industrials","lot":100}}"#
        ),
        v[0],
        v[1],
        v[2],
        v[3],
        v[4],
        v[5],
        v[6],
        v[7],
        v[8],
        at = at,
        open = 10 + at % 490,
    )
}

fn words(random: &mut Random, count: usize) -> String {
    const WORDS: [&str; 16] = [
        "market", "record", "energy", "water", "report", "station", "minister", "growth", "signal",
        "harbour", "council", "summer", "network", "winter", "valley", "engine",
    ];
    let words: Vec<_> = (0..count).map(|_| WORDS[random.below(16) as usize]).collect();
    words.join(" ")
}

fn news_item(id: u64, counters: [u64; 2]) -> String {
    let mut random = Random::new(id);
    format!(
        concat!(
            r#"{{"id":{id},"title":"{}","summary":"{}","author":"{}","section":"world","#,
            r#""url":"https://news.example/articles/{id}","published":{},"likes":{},"comments":{}}}"#
        ),
        words(&mut random, 8),
        words(&mut random, 44),
        words(&mut random, 2),
        1_700_000_000 + id * 37,
        counters[0],
        counters[1],
        id = id,
    )
}

/// A feed: items come in on top, as many fall off the end; counters of some kept ones change.
pub(crate) fn news(count: u64, inserted: u64, updated: u64) -> Pair {
    let text = |newest: u64, bumps: u64| {
        let items: Vec<_> = (0..count)
            .map(|at| {
                let id = newest - at;
                let bump = u64::from(id % 10 == 3 && bumps > 0);
                news_item(id, [id % 97 + bump, id % 13 + bump])
            })
            .collect();
        format!(r#"{{"items":{}}}"#, list(&items))
    };
    Pair { old: text(10_000, 0), new: text(10_000 + inserted, updated) }
}

#[derive(Clone, Copy)]
pub(crate) enum Reorder {
    MoveOne,
    Rank,
    Shuffle,
}

/// Rows that change places and nothing else.
pub(crate) fn reorder(count: usize, how: Reorder) -> Pair {
    let mut random = Random::new(count as u64);
    let mut rows: Vec<_> = (0..count)
        .map(|at| {
            let score = 1_000 + random.below(9_000);
            format!(
                r#"{{"id":{},"name":"player {at:04}","team":"team {}","score":{score}}}"#,
                100_000 + at,
                at % 7
            )
        })
        .collect();
    let old = list(&rows);
    match how {
        Reorder::MoveOne => {
            // One of the first few, whose index has one digit in tables of any length.
            let row = rows.remove(3);
            rows.insert(count * 97 / 100, row);
        }
        Reorder::Rank => {
            for _ in 0..20 {
                let from = random.below(count as u64) as usize;
                let row = rows.remove(from);
                let to = (from + random.below(9) as usize).min(count - 1);
                rows.insert(to, row);
            }
        }
        Reorder::Shuffle => random.shuffle(&mut rows),
    }
    Pair { old, new: list(&rows) }
}

/// Points in an object by the path of their tag.
pub(crate) fn telemetry(count: usize, percent: u64) -> Pair {
    let mut random = Random::new(count as u64 + percent);
    let mut texts = [Vec::new(), Vec::new()];
    for at in 0..count {
        let tag = format!("site{}/area{}/tag{at:05}", at % 3, at % 11);
        let mut value = (random.below(90_000), 1_700_000_000 + random.below(1_000));
        for (now, text) in texts.iter_mut().enumerate() {
            if now == 1 && random.below(100) < percent {
                value =
                    ((value.0 + 1 + random.below(8_000)) % 90_000, 1_700_001_000 + random.below(9));
            }
            text.push(format!(
                r#""{tag}":{{"v":{}.{:03},"t":{},"q":"good"}}"#,
                value.0 / 1_000,
                value.0 % 1_000,
                value.1
            ));
        }
    }
    let wrap = |at: usize, points: &[String]| {
        format!(r#"{{"seq":{},"points":{{{}}}}}"#, 41 + at, points.join(","))
    };
    Pair { old: wrap(0, &texts[0]), new: wrap(1, &texts[1]) }
}

#[derive(Clone, Copy)]
pub(crate) enum Numbers {
    Percent(u64),
    Window(usize),
}

/// An array of numbers: some change, all change, or a window slides over them.
pub(crate) fn numbers(count: usize, how: Numbers) -> Pair {
    let mut random = Random::new(count as u64);
    let mut number = || format!("{}.{:04}", 100 + random.below(900), random.below(10_000));
    let olds: Vec<_> = (0..count).map(|_| number()).collect();
    let news: Vec<_> = match how {
        Numbers::Percent(100) => (0..count).map(|_| number()).collect(),
        Numbers::Percent(percent) => {
            let every = (100 / percent) as usize;
            olds.iter()
                .enumerate()
                .map(|(at, old)| if at % every == 7 { number() } else { old.clone() })
                .collect()
        }
        Numbers::Window(step) => {
            let added: Vec<_> = (0..step).map(|_| number()).collect();
            olds[step..].iter().cloned().chain(added).collect()
        }
    };
    Pair { old: list(&olds), new: list(&news) }
}

/// A configuration of six levels, one value of which changes.
pub(crate) fn config() -> Pair {
    let text = |port: u64| {
        let mut out = String::from("{");
        for region in 0..6 {
            let _ = write!(out, r#"{}"region{region}":{{"sites":{{"#, comma(region));
            for site in 0..8 {
                let _ = write!(out, r#"{}"site{site}":{{"gateways":{{"#, comma(site));
                for gateway in 0..12 {
                    let _ = write!(out, r#"{}"gateway{gateway}":{{"#, comma(gateway));
                    for device in 0..8 {
                        let here = [region, site, gateway, device] == [3, 4, 6, 5];
                        let _ = write!(
                            out,
                            r#"{}"device{device}":{{"host":"10.{region}.{site}.{device}","port":{},"unit":{device},"poll":{{"every":1000,"timeout":250}}}}"#,
                            comma(device),
                            if here { port } else { 502 },
                        );
                    }
                    out.push('}');
                }
                out.push_str("}}");
            }
            out.push_str("}}");
        }
        out + "}"
    };
    Pair { old: text(502), new: text(1502) }
}

const fn comma(at: u64) -> &'static str {
    if at == 0 { "" } else { "," }
}

pub(crate) fn deep(levels: usize, object: bool) -> Pair {
    let (open, close) = if object { ("{\"a\":", "}") } else { ("[", "]") };
    let nest = |leaf: &str| format!("{}{leaf}{}", open.repeat(levels), close.repeat(levels));
    Pair { old: nest("1"), new: nest("2") }
}

pub(crate) fn all_different(objects: bool) -> Pair {
    let text = |seed: u64| {
        let mut random = Random::new(seed);
        let items: Vec<_> = (0..5_000)
            .map(|_| {
                let (a, b) = (random.next(), random.next());
                if objects {
                    format!(r#"{{"a":{},"b":"{:016x}"}}"#, a % 100_000, b)
                } else {
                    format!(r#""{:015x}{:015x}""#, a >> 4, b >> 4)
                }
            })
            .collect();
        list(&items)
    };
    Pair { old: text(1), new: text(2) }
}

pub(crate) fn long_prefix() -> Pair {
    let prefix = "lorem ipsum dolor sit amet ".repeat(741);
    let text = |changed: &str| {
        let items: Vec<_> = (0..50)
            .map(|at| {
                format!(r#""{}{}""#, &prefix[..20_000], if at == 25 { changed } else { "end" })
            })
            .collect();
        list(&items)
    };
    Pair { old: text("end"), new: text("END") }
}

pub(crate) fn repeat_shift() -> Pair {
    let text = |shift: usize| {
        let items: Vec<_> = (0..10_000).map(|at| ((at + shift) % 7).to_string()).collect();
        list(&items)
    };
    Pair { old: text(0), new: text(3) }
}

pub(crate) fn escapes() -> Pair {
    Pair {
        old: r#"{"a/b":1,"m~n":2,"q\"t":"x\\y","":null,"é\u0001":[1,2,3]}"#.into(),
        new: r#"{"a/b":2,"m~n":3,"q\"t":"x\\z","":null,"é\u0001":[1,2,4]}"#.into(),
    }
}
