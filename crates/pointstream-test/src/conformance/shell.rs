//! A driver under the framework's own loop: watched, lost, panicking, and well again each time.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pointstream_conn::{
    AnyDriver, Binding, Changes, Clock, ConnConfig, ConnState, ConnView, Driver, Features,
    Follower, Handle, NamedTuning, OpError, PointDef, Readings, Request, Shell, Write,
};
use pointstream_point::{Id, Kind, PointKey, PointSpec, Status, Tags, Tuning};
use tokio::task::JoinSet;

use super::Points;

/// How long anything may take until all is well again, in the time of the runtime.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn recovers_under_the_shell<D: Driver>(driver: D, points: &Points) {
    let Some(first) = points.readable.first() else { return };
    let features = driver.features();
    let (trip, watches) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let driver = Tripped { inner: driver, trip: Arc::clone(&trip), watches: Arc::clone(&watches) };
    let seen = Arc::new(Seen::default());
    let config = ConnConfig::new(id("conformance"), first.key.shard);
    let (shell, handle) = Shell::new(config, AnyDriver::new(driver), seen.clone(), Clock::start());
    let mut tasks = JoinSet::new();
    tasks.spawn(shell.run());
    let keys: Vec<PointKey> = points.readable.iter().map(|binding| binding.key).collect();
    handle.bind(points.readable.iter().map(def).collect()).await;
    handle.watch(keys.clone()).await;
    let well = |what: &'static str, round: u64| {
        let (handle, seen, keys, watches) = (&handle, &seen, &keys, &watches);
        async move {
            let well = || {
                let replayed = !features.watch || watches.load(Ordering::Relaxed) >= round;
                let fresh = !features.poll || seen.all_ok(keys);
                // The status is that of the session before until this one is proven.
                let open = seen.state() == ConnState::Open && seen.status() == Status::Ok;
                handle.stats().opens >= round && open && replayed && fresh
            };
            until(well).await.unwrap_or_else(|()| panic!("{what}: {}", seen.text(handle)));
        }
    };
    well("opened and watched, it never became ok", 1).await;
    handle.close().await;
    well("closed while it was watched, it never became ok again", 2).await;
    trip.store(true, Ordering::Relaxed);
    handle.ping().await;
    let tripped = || !trip.load(Ordering::Relaxed);
    until(tripped).await.unwrap_or_else(|()| panic!("it was never pinged"));
    well("after a panic it never became ok again", 3).await;
    drop(handle);
    let ended = tokio::time::timeout(PATIENCE, tasks.join_next()).await;
    assert!(matches!(ended, Ok(Some(Ok(())))), "the shell did not end: {ended:?}");
}

async fn until(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(drop)
}

/// A point of the address and kind of a binding.
fn def(binding: &Binding) -> PointDef {
    let kind = binding.kind.unwrap_or(Kind::Number);
    let mut spec = PointSpec::new(id(&format!("p{}", binding.key.slot)), kind);
    (spec.cur, spec.write) = (binding.cur.clone(), binding.write.clone());
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(1));
    PointDef::new(binding.key, Arc::new(spec), Arc::new(NamedTuning::new(id("t"), tuning)))
}

fn id(text: &str) -> Id {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What the connector shows.
#[derive(Default)]
struct Seen {
    view: Mutex<ConnView>,
    points: Mutex<BTreeMap<PointKey, Status>>,
}

impl Seen {
    fn state(&self) -> ConnState {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).state
    }

    fn status(&self) -> Status {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).status
    }

    fn all_ok(&self, keys: &[PointKey]) -> bool {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().all(|key| points.get(key) == Some(&Status::Ok))
    }

    fn text(&self, handle: &Handle) -> String {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner).clone();
        format!("{view:?}, {points:?}, {:?}", handle.stats())
    }
}

impl Follower for Seen {
    fn on_changes(&self, changes: &Arc<Changes>) {
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.extend(changes.points.iter().map(|(key, cur)| (*key, cur.status)));
    }

    fn on_conn(&self, view: &ConnView) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = view.clone();
    }
}

/// A driver that panics at its next ping when it is tripped.
struct Tripped<D> {
    inner: D,
    trip: Arc<AtomicBool>,
    /// How often points were subscribed to without being refused.
    watches: Arc<AtomicU64>,
}

impl<D: Driver> Driver for Tripped<D> {
    fn features(&self) -> Features {
        self.inner.features()
    }

    async fn open(&mut self, into: &mut Readings) -> Result<(), OpError> {
        self.inner.open(into).await
    }

    async fn close(&mut self) {
        self.inner.close().await;
    }

    async fn ping(&mut self, into: &mut Readings) -> Result<Tags, OpError> {
        assert!(
            !self.trip.swap(false, Ordering::Relaxed),
            "the conformance suite trips the driver"
        );
        self.inner.ping(into).await
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        self.inner.bind(points, into);
    }

    fn unbind(&mut self, points: &[PointKey]) {
        self.inner.unbind(points);
    }

    fn plan(&self, points: &[PointKey]) -> Vec<Request> {
        self.inner.plan(points)
    }

    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        self.inner.read(requests, into).await
    }

    async fn poll(&mut self, into: &mut Readings) -> Result<(), OpError> {
        self.inner.poll(into).await
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        self.inner.write(writes, into).await
    }

    async fn watch(&mut self, points: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        self.inner.watch(points, into).await?;
        self.watches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn unwatch(&mut self, points: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        self.inner.unwatch(points, into).await
    }

    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        self.inner.event(into).await
    }
}
