use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointstream_conn::{Binding, Readings};
use pointstream_point::{Fault, Kind, PointKey, Status, Times, Value};

use crate::QoS;
use crate::address::{Sink, Source};
use crate::config::Availability;
use crate::extract::{Extract, ExtractError, Found, Payload};
use crate::io::Observed;
use crate::packet::{Reason, SubscribeOptions};
use crate::session::Message;
use crate::topic::Routes;

/// The points of a connector, by key and by topic.
#[derive(Debug)]
pub(crate) struct Points {
    qos: QoS,
    availability: Option<Availability>,
    /// Whether the device has said that it is gone.
    is_down: bool,
    by_key: BTreeMap<PointKey, Point>,
    routes: Routes<Route>,
    found: Vec<Route>,
}

#[derive(Debug)]
struct Point {
    kind: Option<Kind>,
    source: Option<Source>,
    sink: Option<Sink>,
    /// What is to be shown when the device is there again; kept only where it can be gone.
    last: Option<(Value, Times)>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Route {
    Availability,
    Point(PointKey),
}

impl Points {
    pub(crate) fn new(qos: QoS, availability: Option<Availability>) -> Self {
        let mut routes = Routes::new();
        if let Some(availability) = &availability {
            routes.insert(&availability.topic, Route::Availability);
        }
        let (is_down, by_key, found) = (false, BTreeMap::new(), Vec::new());
        Self { qos, availability, is_down, by_key, routes, found }
    }

    pub(crate) fn bind(&mut self, bindings: &[Binding], into: &mut Readings) {
        for binding in bindings {
            self.unbind(&[binding.key]);
            let mut point = Point { kind: binding.kind, source: None, sink: None, last: None };
            match binding.cur.as_deref().map(str::parse::<Source>) {
                Some(Ok(source)) => {
                    self.routes.insert(&source.filter, Route::Point(binding.key));
                    point.source = Some(source);
                }
                Some(Err(error)) => into.err(binding.key, Fault::permanent(error)),
                None => {}
            }
            match binding.write.as_deref().map(str::parse::<Sink>) {
                Some(Ok(sink)) => point.sink = Some(sink),
                Some(Err(error)) => into.write_err(binding.key, Fault::permanent(error)),
                None => {}
            }
            self.by_key.insert(binding.key, point);
        }
    }

    pub(crate) fn unbind(&mut self, keys: &[PointKey]) {
        for key in keys {
            if let Some(source) = self.by_key.remove(key).and_then(|point| point.source) {
                self.routes.remove(&source.filter, &Route::Point(*key));
            }
        }
    }

    pub(crate) fn sink(&self, key: PointKey) -> Option<&Sink> {
        self.by_key.get(&key)?.sink.as_ref()
    }

    pub(crate) const fn qos(&self) -> QoS {
        self.qos
    }

    /// All filters of all points.
    pub(crate) fn filters(&self) -> Vec<Arc<str>> {
        let sources = self.by_key.values().filter_map(|point| point.source.as_ref());
        let filters = sources.map(|source| &*source.filter);
        let availability = self.availability.as_ref().map(|it| &*it.topic);
        filters.chain(availability).collect::<BTreeSet<_>>().into_iter().map(Into::into).collect()
    }

    /// The filters of these points, with the best quality that any of them wants.
    pub(crate) fn wanted(&self, keys: &BTreeSet<PointKey>) -> BTreeMap<Arc<str>, SubscribeOptions> {
        let mut wanted: BTreeMap<Arc<str>, SubscribeOptions> = BTreeMap::new();
        let mut want = |filter: &str, qos: QoS| {
            let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
            match wanted.get_mut(filter) {
                Some(options) => options.qos = options.qos.max(qos),
                None => drop(wanted.insert(filter.into(), options)),
            }
        };
        for source in keys.iter().filter_map(|key| self.by_key.get(key)?.source.as_ref()) {
            want(&source.filter, source.qos.unwrap_or(self.qos));
        }
        if let Some(availability) = self.availability.as_ref().filter(|_| !keys.is_empty()) {
            want(&availability.topic, self.qos);
        }
        wanted
    }

    /// The broker has refused a filter: all its points have the fault.
    pub(crate) fn refuse(
        &self,
        filter: &str,
        reason: Reason,
        mut found: impl FnMut(PointKey, Fault),
    ) {
        let text = format!("the broker has refused the subscription to {filter}: {reason}");
        let fault = Fault::permanent(text);
        for (key, point) in &self.by_key {
            if point.source.as_ref().is_some_and(|source| *source.filter == *filter) {
                found(*key, fault.clone());
            }
        }
    }

    /// Turns what came into readings.
    pub(crate) fn take(&mut self, batch: &mut Vec<Observed>, into: &mut Readings) {
        for item in batch.drain(..) {
            match item {
                Observed::Message(message) => self.on_message(&message, into),
                Observed::Oversize { topic, len } => {
                    let fault = format_args!("a message of {len} bytes is longer than is read");
                    let fault = Fault::permanent(fault);
                    self.find(&topic, |_, route| {
                        if let Route::Point(key) = route {
                            into.err(key, fault.clone());
                        }
                    });
                }
                Observed::Refused { filter, reason } => {
                    self.refuse(&filter, reason, |key, fault| into.err(key, fault));
                }
            }
        }
    }

    fn find(&mut self, topic: &str, mut each: impl FnMut(&mut Self, Route)) {
        let mut found = core::mem::take(&mut self.found);
        self.routes.find(topic, |route| found.push(*route));
        // Availability first, so that what the device says with it counts at once.
        found.sort_unstable();
        found.dedup();
        found.drain(..).for_each(|route| each(self, route));
        self.found = found;
    }

    fn on_message(&mut self, message: &Message, into: &mut Readings) {
        let mut payload = Payload::new(&message.payload);
        self.find(&message.topic, |points, route| match route {
            Route::Availability => points.on_availability(&mut payload, into),
            Route::Point(key) => points.on_payload(key, &mut payload, into),
        });
    }

    fn on_payload(&mut self, key: PointKey, payload: &mut Payload<'_>, into: &mut Readings) {
        let keeps = self.availability.is_some();
        let Some(point) = self.by_key.get_mut(&key) else { return };
        let Some(source) = &point.source else { return };
        let read = read(source, point.kind, payload);
        if keeps {
            point.last = read.as_ref().ok().cloned();
        }
        match read {
            _ if self.is_down => {}
            Ok((value, times)) => show(key, value, times, into),
            Err(fault) => into.err(key, fault),
        }
    }

    fn on_availability(&mut self, payload: &mut Payload<'_>, into: &mut Readings) {
        let Some(availability) = &self.availability else { return };
        let extract = availability.value.clone().map_or(Extract::Raw, Extract::Pointer);
        let said = extract.find(payload).and_then(|found| found.value(Some(Kind::Str)));
        let Ok(Value::Str(said)) = said else { return };
        let is_down = match &*said {
            said if *said == *availability.down => true,
            said if *said == *availability.up => false,
            _ => return,
        };
        if core::mem::replace(&mut self.is_down, is_down) == is_down {
            return;
        }
        let readable = |(key, point): (&PointKey, &Point)| point.source.is_some().then_some(*key);
        let keys: Vec<_> = self.by_key.iter().filter_map(readable).collect();
        if is_down {
            self.show_availability(&keys, into);
        } else {
            for (key, point) in &self.by_key {
                if let Some((value, times)) = point.last.clone() {
                    show(*key, value, times, into);
                }
            }
        }
    }

    /// Points of a device that is gone are down.
    pub(crate) fn show_availability(&self, keys: &[PointKey], into: &mut Readings) {
        let Some(availability) = self.availability.as_ref().filter(|_| self.is_down) else {
            return;
        };
        let text = format_args!("{} says {}", availability.topic, availability.down);
        let fault = Fault::down(text);
        let readable =
            |key: &&PointKey| self.by_key.get(*key).is_some_and(|point| point.source.is_some());
        keys.iter().filter(readable).for_each(|key| into.err(*key, fault.clone()));
    }
}

fn show(key: PointKey, value: Value, times: Times, into: &mut Readings) {
    if times.is_empty() {
        into.ok(key, value);
    } else {
        into.sample(key, value, times);
    }
}

/// A reading of one point.
fn read(
    source: &Source,
    kind: Option<Kind>,
    payload: &mut Payload<'_>,
) -> Result<(Value, Times), Fault> {
    let wrong = |error: ExtractError| Fault::permanent(error);
    let mut times = Times::default();
    match &source.extract {
        Extract::Template(template) => {
            let text = payload.text().map_err(wrong)?;
            if let Some(status) = template.status(text) {
                check_status(source, &Found::Text(status))?;
            }
            if let Some(time) = template.time(text) {
                times.source = Some(Found::Text(time).time().map_err(wrong)?);
            }
        }
        _ => {
            if let Some(pointer) = &source.status {
                check_status(source, &Found::Json(payload.at(pointer).map_err(wrong)?))?;
            }
            if let Some(pointer) = &source.time {
                let time = Found::Json(payload.at(pointer).map_err(wrong)?).time();
                times.source = Some(time.map_err(wrong)?);
            }
        }
    }
    let found = source.extract.find(payload).map_err(wrong)?;
    found.value(kind).map(|value| (value, times)).map_err(wrong)
}

/// The status that stands beside a value: good, or a status of the other side by its name, or none
/// that is known.
fn check_status(source: &Source, found: &Found<'_>) -> Result<(), Fault> {
    let said = match found {
        Found::Json(serde_json::Value::String(text)) => text.clone(),
        other => other.to_string(),
    };
    let is_good = match &source.good {
        Some(good) => good.iter().any(|good| **good == *said),
        None => ["true", "ok", "good", "192"].iter().any(|good| said.eq_ignore_ascii_case(good)),
    };
    if is_good {
        return Ok(());
    }
    Err(Fault::remote(said.parse().unwrap_or(Status::Unknown)))
}
