//! What a connector's points collect, and what is fetched of the log that its device keeps.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use pointstream_conn::{Connector, Input, Samples};
use pointstream_point::{
    Collect, CollectState, Cur, Fault, HisRules, Now, PointKey, PointSpec, Span, Status, Tag, Value,
};
use pointstream_time::Instant;

use super::Outcome;
use super::device::{logged, minutes};

/// Of how many points of a connector something is collected and fetched.
pub(super) const KEPT: u32 = 8;

/// How often is collected, and the device logs.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// As many readings of one synchronisation are too many.
const READINGS_MAX: usize = 50;

type Series = BTreeMap<Timestamp, Value>;

/// The histories of some points of a connector.
#[derive(Debug)]
pub(super) struct Histories {
    collect: Collect,
    rules: HisRules,
    points: Vec<Kept>,
    /// Points that are to be synchronised; the first one is being.
    waiting: VecDeque<(PointKey, Span)>,
    /// The mark of the reading under way.
    pub(super) token: Option<u64>,
    readings: usize,
    is_final: bool,
    /// Nothing more is asked for in this minute.
    paused: bool,
}

#[derive(Debug, Default)]
struct Kept {
    state: CollectState,
    cur: Cur,
    collected: Series,
    fetched: Series,
    /// Until when all of the log was fetched.
    until: Option<Timestamp>,
}

/// What every point collects: its value each minute, or NA.
pub(super) fn configure(spec: &mut PointSpec) {
    spec.more.his = Some("h".into());
    spec.more.tags.set("hisCollectInterval", Tag::Value(Value::str("1min")));
    spec.more.tags.set("hisCollectNA", Tag::Marker);
}

impl Histories {
    pub(super) fn new(spec: &PointSpec, points: u32) -> Self {
        let Ok(Some(collect)) = Collect::of(spec) else { unreachable!("a good interval") };
        let points = (0..points.min(KEPT)).map(|_| Kept::default()).collect();
        let (rules, waiting) = (HisRules::of(spec), VecDeque::new());
        Self {
            collect,
            rules,
            points,
            waiting,
            token: None,
            readings: 0,
            is_final: false,
            paused: false,
        }
    }

    pub(super) fn on_cur(&mut self, key: PointKey, cur: &Cur) {
        if let Some(point) = self.points.get_mut(key.slot as usize) {
            point.cur = cur.clone();
        }
    }

    /// A minute has begun.
    pub(super) fn on_minute(&mut self, wall: Timestamp, outcome: &mut Outcome) {
        self.paused = false;
        for point in &mut self.points {
            if let Some(item) = point.state.on_interval(&self.collect, wall, &point.cur) {
                outcome.collected += 1;
                point.collected.insert(item.ts, item.val);
            }
        }
    }

    /// The device told of the past.
    pub(super) fn on_past(
        &mut self,
        key: PointKey,
        ts: Timestamp,
        val: &Value,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        outcome.past += 1;
        let expected = logged(key.slot, ts);
        if *val != expected {
            return Err(format!(
                "the past of point {} has {val} at {ts}, not {expected}",
                key.slot
            ));
        }
        if let Some(point) = self.points.get_mut(key.slot as usize) {
            point.fetched.insert(ts, expected);
        }
        Ok(())
    }

    /// Asks for what is later than the last item.
    pub(super) fn sync(&mut self, machine: &mut Connector, now: Now, key: PointKey) {
        let Some(point) = self.points.get(key.slot as usize) else { return };
        if self.waiting.iter().any(|(waits, _)| *waits == key) {
            return;
        }
        let start = point.until.unwrap_or_else(|| Now::simulated(Instant::ORIGIN).wall);
        let end = now.wall.checked_add(SignedDuration::from_hours(1)).unwrap_or(now.wall);
        machine.handle(now, Input::HisPending(vec![key]));
        self.waiting.push_back((key, Span::new(start, end)));
    }

    /// Asks for all that is left, for good.
    pub(super) fn sync_all(&mut self, machine: &mut Connector, now: Now, keys: &[PointKey]) {
        self.is_final = true;
        keys.iter().for_each(|key| self.sync(machine, now, *key));
    }

    /// The next reading, if none is under way.
    pub(super) fn next(&mut self, token: u64) -> Option<Input<'static>> {
        let (key, span) = *self.waiting.front().filter(|_| self.token.is_none() && !self.paused)?;
        self.token = Some(token);
        Some(Input::History(key, span, token))
    }

    /// A reading has ended; gives what is to be told about the point, if that is all.
    pub(super) fn on_read(
        &mut self,
        result: Result<Samples, Fault>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<Input<'static>>, String> {
        self.token = None;
        let Some((key, span)) = self.waiting.front_mut() else { return Ok(None) };
        let (key, clip) = (*key, *span);
        let samples = match result {
            Ok(samples) => samples,
            // At the end the device is well, and what fails is tried until it does not.
            Err(_) if self.is_final => {
                self.paused = true;
                return Ok(None);
            }
            Err(fault) => {
                self.waiting.pop_front();
                return Ok(Some(Input::HisDone(key, Err(fault))));
            }
        };
        let cut = samples.is_cut();
        let items = samples.into_items().into_iter().map(|item| (item.ts, Some(item.val)));
        let items = self.rules.accept(items, Some(clip)).map_err(|error| error.to_string())?;
        outcome.fetched += items.len() as u64;
        let last = items.last().map(|(ts, _)| *ts);
        let Some(point) = self.points.get_mut(key.slot as usize) else { return Ok(None) };
        point.fetched.extend(items.into_iter().filter_map(|(ts, val)| Some((ts, val?))));
        self.readings += 1;
        if let (true, Some(last)) = (cut, last) {
            if self.readings > READINGS_MAX {
                return Err(format!("point {} takes {READINGS_MAX} readings", key.slot));
            }
            span.start = last.checked_add(SignedDuration::from_millis(1)).unwrap_or(last);
            return Ok(None);
        }
        self.readings = 0;
        point.until = Some(now.wall);
        self.waiting.pop_front();
        Ok(Some(Input::HisDone(key, Ok(()))))
    }

    /// Whether there is what there should be when things have been quiet since a time.
    pub(super) fn check(
        &self,
        quiet: Instant,
        end: Instant,
        watched: &[bool],
        fresh: f64,
    ) -> Result<(), String> {
        if !self.waiting.is_empty() {
            return Err(format!("{} synchronisations never ended", self.waiting.len()));
        }
        let origin = Now::simulated(Instant::ORIGIN).wall;
        let wall = |at| Now::simulated(at).wall;
        for ((slot, point), watched) in self.points.iter().enumerate().zip(watched) {
            // A minute that begins at the end was one.
            let span = Span::new(origin, wall(end + Duration::from_millis(1)));
            let all = minutes(span).filter(|ts| *ts > origin);
            let missing = all.clone().find(|ts| !point.collected.contains_key(ts));
            if let Some(ts) = missing {
                return Err(format!("point {slot} collected nothing at {ts}"));
            }
            if point.collected.len() != all.count() {
                return Err(format!("point {slot} collected more than once a minute"));
            }
            // A minute of the quiet end may still be one of trouble.
            let calm = Span::new(wall(quiet + 2 * MINUTE), wall(end));
            let bad = minutes(calm).find(|ts| {
                let val = point.collected.get(ts);
                *watched && point.cur.status == Status::Ok && val != Some(&Value::number(fresh))
            });
            if let Some(ts) = bad {
                let val = point.collected.get(&ts);
                return Err(format!("point {slot} is well and collected {val:?} at {ts}"));
            }
            let slot = slot as u32;
            let until = point.until.ok_or_else(|| format!("point {slot} was never fetched"))?;
            let log = minutes(Span::new(origin, until));
            let wrong = log.clone().find(|ts| point.fetched.get(ts) != Some(&logged(slot, *ts)));
            if let Some(ts) = wrong {
                let has = point.fetched.get(&ts);
                return Err(format!(
                    "of point {slot} the log was fetched wrongly at {ts}: {has:?}"
                ));
            }
        }
        Ok(())
    }
}
