use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use pointstream_conn::{
    Binding, Driver, Features, Learn, OpError, Readings, Request, Samples, Write,
};
use pointstream_point::{Fault, Kind, LearnPath, LearnRow, PointKey, Span, Tags, Value};
use tokio::sync::watch;

/// A device in memory. Clones are the same device.
#[derive(Clone, Debug)]
pub struct FakeDevice {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Counts the changes that a watching driver should look at.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<String, Result<Value, Fault>>,
    mood: Mood,
    delay: Duration,
    calls: BTreeMap<&'static str, u64>,
    session: bool,
    endless: bool,
    logs: BTreeMap<String, Vec<(Timestamp, Value)>>,
    /// What the device has to tell unasked of the past, by address.
    past: Vec<(String, Timestamp, Value)>,
    page_max: Option<usize>,
    /// How many of an operation run, and how many did at most.
    running: BTreeMap<&'static str, (usize, usize)>,
}

/// An operation that runs.
struct Running<'a>(&'a FakeDevice, &'static str);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some((running, _)) = self.0.lock().running.get_mut(self.1) {
            *running -= 1;
        }
    }
}

/// How a device behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mood {
    /// It answers.
    #[default]
    Well,
    /// It cannot be reached, and loses every session.
    Gone,
    /// It takes every request and answers none.
    Silent,
    /// Its driver panics at the next operation.
    Panicking,
}

impl FakeDevice {
    /// A device that is well and has no values.
    pub fn new() -> Self {
        let (version, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { state: Mutex::default(), version }) }
    }

    /// Gives an address a value.
    pub fn set(&self, address: &str, value: Value) {
        self.lock().values.insert(address.to_owned(), Ok(value));
        self.inner.version.send_modify(|version| *version += 1);
    }

    /// Has the device keep these past values of an address.
    pub fn keep(&self, address: &str, items: impl IntoIterator<Item = (Timestamp, Value)>) {
        self.lock().logs.entry(address.to_owned()).or_default().extend(items);
    }

    /// Has the device tell these past values of an address unasked, once it has a session.
    pub fn tell_past(&self, address: &str, items: impl IntoIterator<Item = (Timestamp, Value)>) {
        let named = items.into_iter().map(|(ts, val)| (address.to_owned(), ts, val));
        self.lock().past.extend(named);
        self.inner.version.send_modify(|version| *version += 1);
    }

    /// Has the device give so many past values at a time, the oldest first, and say so.
    pub fn set_page(&self, items: usize) {
        self.lock().page_max = Some(items);
    }

    /// Has every place of the device's tree lead to itself and to a place below without an end.
    pub fn make_endless(&self) {
        self.lock().endless = true;
    }

    /// Has an address refuse to be read or written.
    pub fn refuse(&self, address: &str, fault: Fault) {
        self.lock().values.insert(address.to_owned(), Err(fault));
    }

    /// The value of an address.
    pub fn get(&self, address: &str) -> Option<Value> {
        self.lock().values.get(address).and_then(|value| value.clone().ok())
    }

    /// Changes how the device behaves from now on. A driver that waits notices.
    pub fn set_mood(&self, mood: Mood) {
        let mut state = self.lock();
        state.mood = mood;
        if mood == Mood::Gone {
            state.session = false;
        }
        drop(state);
        self.inner.version.send_modify(|version| *version += 1);
    }

    /// Has every operation take this long.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// How often an operation was called, by its name in [`Driver`].
    pub fn calls(&self, operation: &str) -> u64 {
        self.lock().calls.get(operation).copied().unwrap_or(0)
    }

    /// How many of an operation ran at a time at most, over all drivers of this device.
    pub fn most_at_once(&self, operation: &str) -> usize {
        self.lock().running.get(operation).map_or(0, |(_, most)| *most)
    }

    /// A driver for this device.
    pub fn driver(&self, features: Features) -> Fake {
        Fake {
            device: self.clone(),
            features,
            points: BTreeMap::new(),
            watched: BTreeMap::new(),
            seen: self.inner.version.subscribe(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation: counts it, takes its time, and behaves as the mood says.
    async fn operation(&self, name: &'static str) -> Result<(), OpError> {
        let delay = {
            let mut state = self.lock();
            *state.calls.entry(name).or_default() += 1;
            let (running, most) = state.running.entry(name).or_default();
            *running += 1;
            *most = (*most).max(*running);
            state.delay
        };
        let _running = Running(self, name);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mood = self.lock().mood;
        match mood {
            Mood::Well => Ok(()),
            Mood::Gone => Err(OpError::Session(Fault::down("the fake device is gone"))),
            Mood::Silent => core::future::pending().await,
            Mood::Panicking => {
                self.lock().mood = Mood::Well;
                panic!("the fake driver panics as it was told to")
            }
        }
    }

    /// What is below a place. The tree is that of the addresses, whose parts stand between slashes.
    fn rows(&self, at: Option<&LearnPath>) -> Result<Vec<LearnRow>, OpError> {
        let state = self.lock();
        let mut rows = BTreeMap::new();
        let at = at.map(LearnPath::as_str);
        for (address, value) in &state.values {
            let rest = match at {
                Some(at) => address.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')),
                None => Some(address.as_str()),
            };
            let Some(rest) = rest else { continue };
            let name = rest.split('/').next().unwrap_or_default();
            let row = rows.entry(name.to_owned()).or_insert_with(|| LearnRow::new(name));
            if name.len() < rest.len() {
                let below = &address[..address.len() - rest.len() + name.len()];
                *row = row.clone().with_learn(below);
            } else {
                let kind = value.as_ref().ok().and_then(Value::kind).unwrap_or(Kind::Number);
                *row = row.clone().with_cur(kind, address.as_str()).with_write(address.as_str());
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        if state.endless {
            let below = at.map(|at| format!("{at}/more")).unwrap_or_else(|| "more".to_owned());
            rows.push(LearnRow::new("more").with_learn(below));
            rows.push(LearnRow::new("again").with_learn(at.unwrap_or("more")));
        } else if rows.is_empty() && at.is_some() {
            return Err(OpError::Refused(Fault::permanent("the fake device has no such place")));
        }
        Ok(rows)
    }

    fn read(&self, address: &str) -> Result<Value, Fault> {
        let unknown = || Err(Fault::permanent("the fake device has no such address"));
        self.lock().values.get(address).cloned().unwrap_or_else(unknown)
    }
}

impl Default for FakeDevice {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver of a [`FakeDevice`]. An address is any text; one that begins with `!` is bad.
#[derive(Debug)]
pub struct Fake {
    device: FakeDevice,
    features: Features,
    points: BTreeMap<PointKey, Binding>,
    watched: BTreeMap<PointKey, Option<Value>>,
    seen: watch::Receiver<u64>,
}

impl Fake {
    /// Tells the watched points whose values are others than those told last.
    fn report(&mut self, into: &mut Readings) {
        for (key, last) in &mut self.watched {
            let address = self.points.get(key).and_then(|point| point.cur.as_deref());
            match address.map(|address| self.device.read(address)) {
                Some(Ok(value)) if last.as_ref() != Some(&value) => {
                    into.ok(*key, value.clone());
                    *last = Some(value);
                }
                Some(Err(fault)) => into.err(*key, fault),
                _ => {}
            }
        }
    }
}

impl Driver for Fake {
    fn features(&self) -> Features {
        self.features
    }

    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        self.device.operation("open").await?;
        self.device.lock().session = true;
        Ok(())
    }

    async fn close(&mut self) {
        *self.device.lock().calls.entry("close").or_default() += 1;
        self.device.lock().session = false;
        self.watched.clear();
    }

    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        self.device.operation("ping").await.map(|()| Tags::new())
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        for point in points {
            let addresses = [&point.cur, &point.write];
            if addresses.into_iter().flatten().any(|address| address.starts_with('!')) {
                into.err(point.key, Fault::permanent("bad address"));
            }
            if point.his.as_ref().is_some_and(|address| address.starts_with('!')) {
                into.his_err(point.key, Fault::permanent("bad address"));
            }
            self.points.insert(point.key, point.clone());
        }
    }

    fn unbind(&mut self, points: &[PointKey]) {
        for key in points {
            self.points.remove(key);
            self.watched.remove(key);
        }
    }

    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        self.device.operation("read").await?;
        for key in requests.iter().flat_map(|request| request.points.iter()) {
            let Some(address) = self.points.get(key).and_then(|point| point.cur.as_deref()) else {
                continue;
            };
            match self.device.read(address) {
                Ok(value) => into.ok(*key, value),
                Err(fault) => into.err(*key, fault),
            }
        }
        Ok(())
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        self.device.operation("write").await?;
        for write in writes {
            let point = self.points.get(&write.key);
            let Some(address) = point.and_then(|point| point.write.as_deref()) else { continue };
            match self.device.read(address) {
                Err(fault) => into.write_err(write.key, fault),
                Ok(_) => self.device.set(address, write.value.clone()),
            }
        }
        Ok(())
    }

    async fn watch(&mut self, points: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        self.device.operation("watch").await?;
        self.watched.extend(points.iter().map(|key| (*key, None)));
        self.report(into);
        Ok(())
    }

    async fn unwatch(&mut self, points: &[PointKey], _: &mut Readings) -> Result<(), OpError> {
        self.device.operation("unwatch").await?;
        for key in points {
            self.watched.remove(key);
        }
        Ok(())
    }

    async fn history(
        &mut self,
        point: PointKey,
        span: Span,
        into: &mut Samples,
    ) -> Result<(), OpError> {
        self.device.operation("history").await?;
        let address = self.points.get(&point).and_then(|point| point.his.as_deref());
        let state = self.device.lock();
        let Some(log) = address.and_then(|address| state.logs.get(address)) else {
            let none = "the fake device keeps no such history";
            return Err(OpError::Refused(Fault::permanent(none)));
        };
        let mut within: Vec<_> = log.iter().filter(|(ts, _)| span.contains(*ts)).collect();
        if let Some(max) = state.page_max.filter(|max| within.len() > *max) {
            within.sort_by_key(|(ts, _)| *ts);
            within.truncate(max);
            into.cut();
        }
        for (ts, val) in within {
            into.push(*ts, val.clone());
        }
        Ok(())
    }

    async fn learn(&mut self, at: Option<&LearnPath>) -> Result<Vec<LearnRow>, OpError> {
        if self.features.learn != Some(Learn::Offline) {
            self.device.operation("learn").await?;
        }
        self.device.rows(at)
    }

    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        if self.seen.changed().await.is_err() {
            core::future::pending().await
        }
        if !self.device.lock().session {
            return Err(OpError::Session(Fault::down("the fake device is gone")));
        }
        self.report(into);
        let told = core::mem::take(&mut self.device.lock().past);
        for (address, ts, val) in told {
            let of = |point: &Binding| point.cur.as_deref() == Some(address.as_str());
            for (key, _) in self.points.iter().filter(|(_, point)| of(point)) {
                into.past(*key, ts, val.clone());
            }
        }
        Ok(())
    }
}
