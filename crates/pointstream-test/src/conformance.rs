//! What every driver must do, whatever its protocol.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_conn::{Binding, Driver, OpError, Reading, Readings, Samples, Write};
use pointstream_point::{Fault, PointKey, Span, Value};

mod history;
mod learn;
mod shell;

/// A driver's points for [`driver`], in front of a device that is well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Points {
    /// Points whose addresses are good and can be read.
    pub readable: Vec<Binding>,
    /// Values that some of them take.
    pub writes: Vec<Write>,
    /// A point whose address is bad.
    pub bad: Option<Binding>,
    /// A history that the device keeps.
    pub history: Option<History>,
}

/// A history that the device behind a driver keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct History {
    /// A point with its address.
    pub point: Binding,
    /// A span in which the device has some items of it, three at least.
    pub span: Span,
    /// A point whose address of the history is bad.
    pub bad: Option<Binding>,
}

impl History {
    /// The history of a point, of which there are items in a span.
    pub const fn new(point: Binding, span: Span) -> Self {
        Self { point, span, bad: None }
    }

    /// This history, and a point whose address of it is bad.
    #[must_use]
    pub fn with_bad(mut self, bad: Binding) -> Self {
        self.bad = Some(bad);
        self
    }
}

impl Points {
    /// Points that can be read.
    pub const fn new(readable: Vec<Binding>) -> Self {
        Self { readable, writes: Vec::new(), bad: None, history: None }
    }

    /// These points, of which some take values.
    #[must_use]
    pub fn with_writes(mut self, writes: Vec<Write>) -> Self {
        self.writes = writes;
        self
    }

    /// These points and one with a bad address.
    #[must_use]
    pub fn with_bad(mut self, bad: Binding) -> Self {
        self.bad = Some(bad);
        self
    }

    /// These points and a history that the device keeps.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    fn keys(&self) -> Vec<PointKey> {
        self.readable.iter().map(|binding| binding.key).collect()
    }
}

/// What is cancelled.
const OPERATIONS: [&str; 11] = [
    "open", "ping", "read", "poll", "write", "learn", "history", "watch", "unwatch", "event",
    "close",
];

/// How many await points an operation may have before its cancellation is given up on.
const POLLS_MAX: usize = 1_000;

/// How long an event is waited for.
const EVENT_WAIT: Duration = Duration::from_millis(20);

/// Runs drivers made by `make` through what the framework may ask of them: binding, opening,
/// pinging, planning, reading, writing, learning, reading histories, closing, and cancellation of each at every await point,
/// after which a driver that is closed and opened again must be as good as new.
///
/// # Panics
///
/// When a driver does not conform, with what it did.
pub async fn driver<D: Driver>(make: impl Fn() -> D, points: &Points) {
    binds_good_points_and_faults_a_bad_one(make(), points);
    plans_each_point_once(make(), points);
    opens_and_closes_again_and_again(make(), points).await;
    reads_each_point_once(make(), points).await;
    writes_come_back(make(), points).await;
    learn::leads_to_points_that_bind(make(), points).await;
    history::is_read_by_spans(make(), points).await;
    for operation in OPERATIONS {
        survives_cancellation(&make, points, operation).await;
    }
    shell::recovers_under_the_shell(make(), points).await;
}

fn binds_good_points_and_faults_a_bad_one<D: Driver>(mut driver: D, points: &Points) {
    assert_eq!(bind(&mut driver, &points.readable), [], "good points have no faults");
    if let Some(bad) = &points.bad {
        let faults = bind(&mut driver, core::slice::from_ref(bad));
        let about_it = faults.iter().all(|(key, _)| *key == bad.key);
        assert!(!faults.is_empty() && about_it, "a bad address is its point's fault: {faults:?}");
        driver.unbind(&[bad.key]);
    }
}

fn plans_each_point_once<D: Driver>(mut driver: D, points: &Points) {
    bind(&mut driver, &points.readable);
    if !driver.features().poll {
        return;
    }
    let mut keys = points.keys();
    let planned = |driver: &D, keys: &[PointKey]| {
        let requests = driver.plan(keys);
        let mut planned: Vec<_> =
            requests.iter().flat_map(|request| request.points.iter().copied()).collect();
        planned.sort();
        planned
    };
    keys.sort();
    assert_eq!(planned(&driver, &keys), keys, "a plan has each point once");
    if let Some(gone) = keys.pop() {
        driver.unbind(&[gone]);
        assert_eq!(planned(&driver, &keys), keys, "a plan has the points that remain");
    }
}

async fn opens_and_closes_again_and_again<D: Driver>(mut driver: D, points: &Points) {
    bind(&mut driver, &points.readable);
    let mut into = Readings::new();
    for round in 0..3 {
        check(driver.open(&mut into).await, "open", round);
        check(driver.ping(&mut into).await, "ping", round);
        driver.close().await;
    }
    // Closing what is closed is harmless.
    driver.close().await;
    check(driver.open(&mut into).await, "open after closing twice", 0);
    driver.close().await;
}

async fn reads_each_point_once<D: Driver>(mut driver: D, points: &Points) {
    if !driver.features().poll {
        return;
    }
    bind(&mut driver, &points.readable);
    check(driver.open(&mut Readings::new()).await, "open", 0);
    for round in 0..3 {
        let values = read_all(&mut driver, points).await;
        assert_eq!(values.len(), points.readable.len(), "round {round}: each point has a value");
    }
    driver.close().await;
}

async fn writes_come_back<D: Driver>(mut driver: D, points: &Points) {
    if !driver.features().write || points.writes.is_empty() {
        return;
    }
    bind(&mut driver, &points.readable);
    let mut into = Readings::new();
    check(driver.open(&mut into).await, "open", 0);
    check(driver.write(&points.writes, &mut into).await, "write", 0);
    let refused: Vec<_> = into.drain().collect();
    assert_eq!(refused, [], "good writes are not refused");
    if driver.features().poll {
        let values = read_all(&mut driver, points).await;
        for write in &points.writes {
            assert!(values[&write.key].same(&write.value), "{write:?} came back as {values:?}");
        }
    }
    // Nobody wants anything of the points any more: released, or left as they are.
    let releases: Vec<_> =
        points.writes.iter().map(|write| Write::new(write.key, Value::Null)).collect();
    check(driver.write(&releases, &mut into).await, "a write of null", 0);
    let refused: Vec<_> = into.drain().collect();
    assert_eq!(refused, [], "null is not refused");
    driver.close().await;
}

/// Cancels an operation at its first await point, at its second, and so on until it completes.
async fn survives_cancellation<D: Driver>(make: &impl Fn() -> D, points: &Points, operation: &str) {
    let features = make().features();
    let applies = match operation {
        "read" => features.poll,
        "write" => features.write && !points.writes.is_empty(),
        "watch" | "unwatch" => features.watch,
        "poll" => features.manual.is_some(),
        "learn" => features.learn.is_some(),
        "history" => points.history.is_some(),
        _ => true,
    };
    if !applies {
        return;
    }
    for polls in 1..POLLS_MAX {
        let mut driver = make();
        bind(&mut driver, &points.readable);
        let done = cancelled(&mut driver, points, operation, polls).await;
        // An event may be cancelled at any time; after anything else the session is closed.
        if operation != "event" {
            driver.close().await;
            let mut into = Readings::new();
            check(driver.open(&mut into).await, "open after a cancelled operation", polls);
        }
        if features.watch {
            let mut into = Readings::new();
            check(driver.watch(&points.keys(), &mut into).await, "watch after that", polls);
        }
        if features.poll {
            let values = read_all(&mut driver, points).await;
            assert_eq!(values.len(), points.readable.len(), "{operation} cut at {polls}");
        }
        driver.close().await;
        if done {
            return;
        }
    }
    panic!("{operation} does not complete within {POLLS_MAX} polls");
}

/// Does one operation for so many polls. Gives whether it completed.
async fn cancelled<D: Driver>(
    driver: &mut D,
    points: &Points,
    operation: &str,
    polls: usize,
) -> bool {
    let mut into = Readings::new();
    if operation != "open" {
        check(driver.open(&mut into).await, "open", polls);
    }
    let requests = driver.plan(&points.keys());
    match operation {
        "open" => cut(driver.open(&mut into), polls).await.is_some(),
        "ping" => cut(driver.ping(&mut into), polls).await.is_some(),
        "read" => match requests.first() {
            Some(request) => {
                cut(driver.read(core::slice::from_ref(request), &mut into), polls).await.is_some()
            }
            None => true,
        },
        "history" => match &points.history {
            Some(History { point, span, .. }) => {
                bind(driver, core::slice::from_ref(point));
                let mut samples = Samples::new();
                cut(driver.history(point.key, *span, &mut samples), polls).await.is_some()
            }
            None => true,
        },
        "learn" => cut(driver.learn(None), polls).await.is_some(),
        "write" => cut(driver.write(&points.writes, &mut into), polls).await.is_some(),
        "poll" => cut(driver.poll(&mut into), polls).await.is_some(),
        "watch" => cut(driver.watch(&points.keys(), &mut into), polls).await.is_some(),
        "unwatch" => {
            check(driver.watch(&points.keys(), &mut into).await, "watch", polls);
            cut(driver.unwatch(&points.keys(), &mut into), polls).await.is_some()
        }
        "close" => cut(driver.close(), polls).await.is_some(),
        // Nothing may come by itself, so waiting for longer is as good as an end.
        _ => {
            let event = cut(driver.event(&mut into), polls);
            !matches!(tokio::time::timeout(EVENT_WAIT, event).await, Ok(None))
        }
    }
}

fn bind<D: Driver>(driver: &mut D, points: &[Binding]) -> Vec<(PointKey, Fault)> {
    let mut into = Readings::new();
    driver.bind(points, &mut into);
    let fault = |reading| match reading {
        Reading::Cur(key, Err(fault))
        | Reading::WriteErr(key, fault)
        | Reading::HisErr(key, fault) => Some((key, fault)),
        _ => None,
    };
    into.drain().filter_map(fault).collect()
}

async fn read_all<D: Driver>(driver: &mut D, points: &Points) -> BTreeMap<PointKey, Value> {
    let mut into = Readings::new();
    let mut values = BTreeMap::new();
    for (at, request) in driver.plan(&points.keys()).iter().enumerate() {
        check(driver.read(core::slice::from_ref(request), &mut into).await, "read", at);
        for reading in into.drain() {
            match reading {
                Reading::Cur(key, Ok(value)) | Reading::Sample(key, value, _)
                    if request.points.contains(&key) =>
                {
                    assert!(values.insert(key, value).is_none(), "{key:?} was read twice");
                }
                other => panic!("read gave {other:?}"),
            }
        }
    }
    values
}

fn check<T>(result: Result<T, OpError>, what: &str, round: usize) -> T {
    result.unwrap_or_else(|error| panic!("{what} failed in round {round}: {error}"))
}

/// Polls a future so many times at most; `None` if it was not done by then.
async fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    Cut { future: pin!(future), polls }.await
}

struct Cut<'a, F> {
    future: Pin<&'a mut F>,
    polls: usize,
}

impl<F: Future> Future for Cut<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        self.polls -= 1;
        if self.polls == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use pointstream_conn::{Features, Learn};
    use pointstream_point::Kind;

    use super::*;
    use crate::FakeDevice;

    fn binding(slot: u32, name: &str) -> Binding {
        let key = PointKey { shard: 1, slot, generation: 1 };
        let mut binding = Binding::new(key, Kind::Number);
        (binding.cur, binding.write) = (Some(name.into()), Some(name.into()));
        binding
    }

    fn points() -> Points {
        let readable = vec![binding(0, "a"), binding(1, "b"), binding(2, "c")];
        let write = Write::new(readable[1].key, Value::number(7.0));
        Points::new(readable).with_writes(vec![write]).with_bad(binding(3, "!"))
    }

    fn device() -> FakeDevice {
        let device = FakeDevice::new();
        ["a", "b", "c"].iter().for_each(|name| device.set(name, Value::number(1.0)));
        device
    }

    #[tokio::test(start_paused = true)]
    async fn the_fake_driver_conforms() {
        let device = device();
        device.set_delay(Duration::from_millis(5));
        let features = Features::NONE.with_poll().with_write().with_watch();
        let features = features.with_learn(Learn::Session);
        driver(|| device.driver(features), &points()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_keeps_histories_conforms_with_pages_and_without() {
        let device = device();
        device.set_delay(Duration::from_millis(5));
        let at = |secs: i64| jiff::Timestamp::from_second(secs).unwrap();
        device.keep("log", (0..50).rev().map(|secs| (at(secs * 60), Value::number(secs as f64))));
        let mut point = binding(5, "a");
        point.his = Some("log".into());
        let mut bad = binding(6, "a");
        bad.his = Some("!".into());
        let history = History::new(point, Span::new(at(300), at(2_500))).with_bad(bad);
        let points = points().with_history(history);
        let features = Features::NONE.with_poll().with_history();
        driver(|| device.driver(features), &points).await;
        device.set_page(7);
        driver(|| device.driver(features), &points).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_tree_without_an_end_conforms_learned_with_a_session_or_without() {
        let device = device();
        device.set("ahu/fan/speed", Value::number(1.0));
        device.make_endless();
        for needs in [Learn::Session, Learn::Offline] {
            let features = Features::NONE.with_poll().with_learn(needs);
            driver(|| device.driver(features), &points()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "read gave")]
    async fn a_driver_that_faults_a_good_point_does_not() {
        let device = device();
        device.refuse("b", Fault::permanent("no"));
        driver(|| device.driver(Features::NONE.with_poll()), &points()).await;
    }
}
