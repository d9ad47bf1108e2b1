//! The measurements.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::process::{processor, resident};
use crate::wire::{Publisher, Seen, ask, follow, stamp};
use crate::{Error, Target};

/// The bytes of a document, as short messages have.
const DOCUMENT_BYTES: usize = 200;

/// Resident memory per subscriber that has its document and waits.
pub(crate) async fn idle(target: &Target, count: usize) -> Result<Value, Error> {
    let origin = Instant::now();
    Publisher::connect(target).await?.publish(&document(origin)).await?;
    // What a server takes once, however many come.
    let warm = subscribers(target, 10, origin).await?;
    sleep(Duration::from_secs(1)).await;
    let before = resident(target.pid)?;
    let seen = subscribers(target, count, origin).await?;
    sleep(Duration::from_secs(3)).await;
    let after = resident(target.pid)?;
    drop((warm, seen));
    Ok(json!({
        "subscribers": count,
        "bytes_per_subscriber": per(after.saturating_sub(before), count as u64),
        "resident_bytes": after,
    }))
}

/// The next publication when all have the one before.
pub(crate) async fn lockstep(
    target: &Target,
    count: usize,
    time: Duration,
) -> Result<Value, Error> {
    let origin = Instant::now();
    let seen = subscribers(target, count, origin).await?;
    let mut publisher = Publisher::connect(target).await?;
    let mut run = Run::start(target, &seen, Duration::from_secs(1)).await?;
    let mut published = 0;
    loop {
        publisher.publish(&document(origin)).await?;
        published += 1;
        seen.stamps(published * count as u64).await;
        if run.warming && run.started.elapsed() >= run.warm_up {
            run = run.restart(target, &seen)?;
            published = 0;
        } else if run.started.elapsed() >= time && !run.warming {
            break;
        }
    }
    run.finish(target, &seen, published, count)
}

/// So many publications a second, whoever is behind.
pub(crate) async fn paced(
    target: &Target,
    count: usize,
    rate: u32,
    time: Duration,
) -> Result<Value, Error> {
    let origin = Instant::now();
    let seen = subscribers(target, count, origin).await?;
    let mut publisher = Publisher::connect(target).await?;
    let run = Run::start(target, &seen, Duration::ZERO).await?;
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut published = 0;
    while run.started.elapsed() < time {
        ticks.tick().await;
        publisher.publish(&document(origin)).await?;
        published += 1;
    }
    // What a server left out for somebody who was behind does not come.
    let rest = seen.stamps(published * count as u64);
    let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
    run.finish(target, &seen, published, count)
}

/// Publications of 20 kB, first without and then with readers that never read.
pub(crate) async fn stalled(
    target: &Target,
    count: usize,
    publications: u64,
) -> Result<Value, Error> {
    let origin = Instant::now();
    let mut publisher = Publisher::connect(target).await?;
    let mut rounds = Vec::new();
    let mut readers = Vec::new();
    // The first round is for what a server takes once.
    for stalled in [0, 0, count] {
        for _ in 0..stalled {
            readers.push(ask(target).await?);
        }
        sleep(Duration::from_millis(500)).await;
        let before = resident(target.pid)?;
        let mut most = before;
        let mut micros = Vec::new();
        for n in 0..publications {
            let text = json!([stamp(origin), n, noise(n, 20_000)]).to_string();
            let begun = Instant::now();
            publisher.publish(&text).await?;
            micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            most = most.max(resident(target.pid)?);
        }
        micros.sort_unstable();
        rounds.push((most.saturating_sub(before), quantile(&micros, 50), quantile(&micros, 99)));
    }
    drop(readers);
    let [_, without, with] = rounds[..] else { return Err("three rounds".into()) };
    Ok(json!({
        "stalled": count,
        "grown_bytes_without": without.0, "grown_bytes": with.0,
        "publish_us_p50_without": without.1, "publish_us_p50": with.1,
        "publish_us_p99_without": without.2, "publish_us_p99": with.2,
    }))
}

/// A hundred quotes of which ten change each time: what one subscriber is sent.
pub(crate) async fn quotes(target: &Target) -> Result<Value, Error> {
    const PUBLICATIONS: u64 = 200;
    let origin = Instant::now();
    let seen = subscribers(target, 1, origin).await?;
    let mut publisher = Publisher::connect(target).await?;
    let mut quotes = Quotes::new();
    publisher.publish(&quotes.text(&stamp(origin))).await?;
    seen.stamps(1).await;
    seen.restart();
    let mut documents = 0;
    for published in 1..=PUBLICATIONS {
        quotes.change();
        let text = quotes.text(&stamp(origin));
        documents += text.len() as u64;
        publisher.publish(&text).await?;
        seen.stamps(published).await;
    }
    let bytes = seen.bytes.get();
    Ok(json!({
        "publications": PUBLICATIONS,
        "document_bytes": documents,
        "received_bytes": bytes,
        "share": per(bytes, documents),
    }))
}

/// A hundred quotes with three prices each.
pub(crate) struct Quotes {
    prices: Vec<u64>,
    seed: u64,
}

impl Quotes {
    pub(crate) fn new() -> Self {
        Self { prices: (0..100).map(|n| 74_700 + n).collect(), seed: 1 }
    }

    /// Changes ten of them.
    pub(crate) fn change(&mut self) {
        for _ in 0..10 {
            let at = usize::try_from(next(&mut self.seed) % 100).unwrap_or_default();
            if let Some(price) = self.prices.get_mut(at) {
                *price += 1 + next(&mut self.seed) % 9;
            }
        }
    }

    pub(crate) fn text(&self, stamp: &str) -> String {
        let quote = |(n, price): (usize, &u64)| {
            let price =
                |more: u64| (price + more).to_string().parse::<f64>().unwrap_or_default() / 1e5;
            json!({"Symbol": format!("SYM{n:03}"), "Bid": price(0), "Mid": price(4), "Ask": price(8)})
        };
        let rows: Vec<Value> = self.prices.iter().enumerate().map(quote).collect();
        json!({"at": stamp, "quotes": rows}).to_string()
    }
}

/// A span of time in which publications are counted.
struct Run {
    warming: bool,
    warm_up: Duration,
    started: Instant,
    server: Duration,
    own: Duration,
}

impl Run {
    async fn start(target: &Target, seen: &Seen, warm_up: Duration) -> Result<Self, Error> {
        // What subscribing has begun is over.
        sleep(Duration::from_millis(500)).await;
        seen.restart();
        Self::now(target, !warm_up.is_zero(), warm_up)
    }

    fn restart(self, target: &Target, seen: &Seen) -> Result<Self, Error> {
        seen.restart();
        Self::now(target, false, self.warm_up)
    }

    fn now(target: &Target, warming: bool, warm_up: Duration) -> Result<Self, Error> {
        let (server, own) = (processor(target.pid)?, processor(std::process::id())?);
        Ok(Self { warming, warm_up, started: Instant::now(), server, own })
    }

    fn finish(
        self,
        target: &Target,
        seen: &Seen,
        published: u64,
        count: usize,
    ) -> Result<Value, Error> {
        let seconds = self.started.elapsed().as_secs_f64();
        let server = (processor(target.pid)? - self.server).as_secs_f64();
        let own = (processor(std::process::id())? - self.own).as_secs_f64();
        let mut late = seen.late.borrow_mut();
        late.sort_unstable();
        let stamps = seen.stamps.get();
        #[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
        let delivered = stamps as f64;
        Ok(json!({
            "subscribers": count,
            "published": published,
            "delivered": stamps,
            "delivered_per_s": rounded(delivered / seconds),
            "bytes_per_event": per(seen.bytes.get(), stamps),
            "late_us_p50": quantile(&late, 50),
            "late_us_p99": quantile(&late, 99),
            "server_us_per_event": rounded(server * 1e6 / delivered),
            "server_busy": rounded(server / seconds),
            "generator_busy": rounded(own / seconds),
        }))
    }
}

/// Subscribers that read, once all of them have begun.
async fn subscribers(target: &Target, count: usize, origin: Instant) -> Result<Rc<Seen>, Error> {
    let seen = Seen::new(origin);
    for n in 0..count {
        let (target, own) = (target.clone(), Rc::clone(&seen));
        spawn_local(async move {
            if let Err(error) = follow(&target, &own).await {
                eprintln!("subscribers: {error}");
                std::process::exit(1);
            }
        });
        // A few at a time, so that no queue of the system overflows.
        while seen.begun.get() + 32 < n {
            sleep(Duration::from_millis(1)).await;
        }
    }
    while seen.begun.get() < count {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(seen)
}

/// A document of the usual length, all of which is another one each time.
fn document(origin: Instant) -> String {
    let stamp = stamp(origin);
    let seed = u64::try_from(origin.elapsed().as_nanos()).unwrap_or_default();
    let pad = noise(seed, DOCUMENT_BYTES - stamp.len() - 7);
    json!([stamp, pad]).to_string()
}

/// Letters that do not repeat.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len).map(|_| char::from(b"abcdefghijklmnop"[(next(&mut state) % 16) as usize])).collect()
}

/// Marsaglia's xorshift.
const fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn quantile(sorted: &[u32], percent: usize) -> u32 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
pub(crate) fn per(what: u64, count: u64) -> f64 {
    rounded(what as f64 / count as f64)
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
