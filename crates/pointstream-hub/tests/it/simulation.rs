//! A run is a number: it says who publishes what, who reads how slowly, and what breaks when. A run
//! that fails names its number, and [`run`] with it does the same again.

use std::collections::BTreeSet;
use std::time::Duration;

use pointstream_hub::{
    Epoch, ErrorCode, Fault, ItemOptions, Limits, Mode, Payload, Publication, Subscribe, Topic,
    TopicOptions, UpdateMode, ViewSpec,
};
use pointstream_time::{Instant, Seed};
use serde_json::{Value, json};

use crate::client::Client;
use crate::model::{Model, View};

struct World {
    dice: Seed,
    now: Instant,
    options: TopicOptions,
    limits: Limits,
    topic: Topic,
    /// When the document ends.
    expires: Option<Instant>,
    model: Model,
    update: Option<UpdateMode>,
    clients: Vec<(Client, View)>,
    restarts: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Seed::new(seed);
        let update = match dice.next_u64() % 3 {
            0 => None,
            1 => Some(UpdateMode::Patch),
            _ => Some(UpdateMode::Merge),
        };
        let mut options = match update {
            None => TopicOptions::text(),
            Some(update) => {
                let mut items = ItemOptions::new(".id".parse().unwrap());
                items.update = update;
                TopicOptions::items(items)
            }
        };
        if dice.next_u64().is_multiple_of(4) {
            options.ttl = Some(Duration::from_secs(30));
        }
        let mut limits = Limits::default();
        limits.ring_events_max = (dice.next_u64() % 8) as usize;
        limits.views_max = 2 + (dice.next_u64() % 8) as usize;
        limits.view_linger = Duration::from_secs(dice.next_u64() % 20);
        let topic = Topic::new(Epoch::new(u128::from(seed) << 32), &options, &limits);
        let mut world = Self {
            dice,
            now: Instant::ORIGIN,
            options,
            limits,
            topic,
            expires: None,
            model: Model::default(),
            update,
            clients: Vec::new(),
            restarts: 0,
        };
        world.clients = (0..6).map(|_| world.client()).collect();
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice.next_u64() % sides
    }

    fn client(&mut self) -> (Client, View) {
        let mut view = View::default();
        if self.update.is_some() && self.roll(2) == 0 {
            let ids: BTreeSet<String> = (0..3).map(|_| format!("é/{}", self.roll(6))).collect();
            view.filter = Some(ids);
        }
        if self.roll(4) == 0 {
            let pointers = ["/fields", "/list/1", "/list", "/absent/x", "/1", "/0/o", "/fields/b"];
            view.pointer = pointers[self.roll(pointers.len() as u64) as usize].to_owned();
        }
        if self.roll(4) == 0 {
            view.fields = ["a", "id", "list"].map(str::to_owned).into();
        }
        if self.roll(4) == 0 {
            view.rate = Some([0.5, 2.0][self.roll(2) as usize]);
        }
        if self.roll(5) == 0 {
            let at = if self.update.is_some() { "/0/a" } else { "/fields/a" };
            view.deadband = Some((at.to_owned(), 2.5));
        }
        let mode = if self.roll(4) == 0 { Mode::Snapshot } else { Mode::Patch };
        let mut wanted = Subscribe::new(mode, None);
        wanted.view = spec(&view);
        wanted.verify = self.roll(3) == 0;
        (Client::new(wanted), view)
    }

    fn document(&mut self) -> Value {
        let mut fields = serde_json::Map::new();
        for key in ["a", "b", "c"] {
            if self.roll(4) > 0 {
                fields.insert(key.to_owned(), json!(self.roll(8)));
            }
        }
        let list: Vec<Value> = (0..self.roll(5))
            .map(|_| match self.roll(3) {
                0 => json!(self.roll(4)),
                1 => json!({"id": self.roll(4), "a": self.roll(4)}),
                _ => json!([self.roll(2), "x"]),
            })
            .collect();
        let pad = "p".repeat(self.roll(3) as usize * 40);
        json!({"fields": fields, "list": list, "text": "é\n\u{2028}", "pad": pad, "a": self.roll(5)})
    }

    fn item(&mut self) -> Value {
        let mut item = json!({"id": format!("é/{}", self.roll(6))});
        for key in ["a", "b", "c"] {
            if self.roll(2) == 0 {
                item[key] = json!(self.roll(8));
            }
        }
        match self.roll(6) {
            0 => item["o"] = json!({"x": self.roll(3)}),
            1 => item["o"] = json!({"y": [self.roll(3), null]}),
            2 => item["o"] = Value::Null,
            3 => item["id"] = Value::Null,
            _ => {}
        }
        item
    }

    fn publish(&mut self) {
        let payload = if let Some(update) = self.update {
            let items: Vec<Value> = (0..self.roll(4)).map(|_| self.item()).collect();
            self.model.publish_items(&items, update);
            json!(items).to_string()
        } else {
            let document = self.document();
            self.model.text = Some(document.clone());
            document.to_string()
        };
        let publication = Publication::new(Payload::Json(payload.as_bytes()));
        self.topic.publish_with(&publication).unwrap();
        self.expires = self.options.ttl.map(|ttl| self.now + ttl);
    }

    fn publish_otherwise(&mut self) {
        let Some(document) = &self.model.text else {
            let id = format!("é/{}", self.roll(6));
            if self.update.is_some() && self.topic.remove_item(&id).unwrap().is_some() {
                self.model.remove_item(&id);
                self.expires = self.options.ttl.map(|ttl| self.now + ttl);
            }
            return;
        };
        let mut next = document.clone();
        next["a"] = json!(self.roll(5));
        let patch = json!({"a": next["a"]}).to_string();
        let publication = Publication::new(Payload::MergePatch(patch.as_bytes()));
        self.topic.publish_with(&publication).unwrap();
        self.model.text = Some(next);
        self.expires = self.options.ttl.map(|ttl| self.now + ttl);
    }

    /// Time passes, deadline by deadline.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.topic.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.topic.handle_timeout(self.now);
            let next = self.topic.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "what was due was done");
        }
        self.now = until;
        self.topic.handle_timeout(self.now);
        if self.expires.is_some_and(|at| at <= self.now) {
            self.expires = None;
            self.model = Model::default();
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        let epoch = Epoch::new(u128::from(self.dice.next_u64()) << 64 | u128::from(self.restarts));
        for (client, _) in &mut self.clients {
            client.cut(&mut self.topic);
        }
        self.topic = Topic::new(epoch, &self.options, &self.limits);
        self.topic.handle_timeout(self.now);
        self.model = Model::default();
        self.expires = None;
    }

    fn step(&mut self) {
        let who = self.roll(self.clients.len() as u64) as usize;
        match self.roll(40) {
            0..12 => self.publish(),
            12..16 => self.publish_otherwise(),
            16..26 => {
                let (count, bytes) = (self.roll(5) as usize, self.roll(400) as usize);
                self.clients[who].0.serve(&mut self.topic, count);
                self.clients[who].0.receive(bytes);
            }
            26..30 => {
                let bytes = self.roll(200) as usize;
                self.clients[who].0.receive(bytes);
                self.clients[who].0.cut(&mut self.topic);
            }
            30..37 => {
                let time = Duration::from_millis(self.roll(3_000));
                self.pass(time);
            }
            37 => {
                // One that goes for good, and another one that comes.
                let next = self.client();
                self.clients[who].0.cut(&mut self.topic);
                self.clients[who] = next;
            }
            38 => {
                let fault = (self.roll(2) == 0).then(|| Fault::new(ErrorCode::Source, "it is ill"));
                self.topic.set_fault(fault);
            }
            _ if self.roll(4) == 0 => self.restart(),
            _ => {}
        }
    }

    /// After quiet, every client has what its view shows.
    fn check(&mut self) {
        self.options.ttl = None;
        let mut late = Vec::new();
        for (at, (client, _)) in self.clients.iter_mut().enumerate() {
            client.serve(&mut self.topic, 1);
            if !client.is_connected() {
                late.push(at);
            }
        }
        // Those for whom there was no view come when the others have gone.
        let all = (0..self.clients.len()).filter(|at| !late.contains(at)).collect::<Vec<_>>();
        for at in all.into_iter().chain(late) {
            let (client, view) = &mut self.clients[at];
            client.serve(&mut self.topic, usize::MAX);
            self.now += Duration::from_secs(3);
            if self.expires.is_some_and(|at| at <= self.now) {
                self.expires = None;
                self.model = Model::default();
            }
            self.topic.handle_timeout(self.now);
            client.serve(&mut self.topic, usize::MAX);
            client.receive(client.on_the_way());
            let view = view.clone();
            if let Some(expected) = self.model.view(&view) {
                let shown = client.document.clone().unwrap();
                compare(&shown, &expected, &view);
            }
            client.cut(&mut self.topic);
        }
    }
}

/// Equal but for a number that may be held.
fn compare(shown: &Value, expected: &Value, view: &View) {
    let mut shown = shown.clone();
    if let Some((pointer, width)) = &view.deadband
        && let (Some(value), Some(wanted)) = (shown.pointer_mut(pointer), expected.pointer(pointer))
        && let (Some(held), Some(number)) = (value.as_f64(), wanted.as_f64())
    {
        assert!((held - number).abs() < *width, "{held} is not {number} within {width}");
        *value = wanted.clone();
    }
    assert_eq!(&shown, expected, "{view:?}");
}

fn spec(view: &View) -> ViewSpec {
    let mut spec = ViewSpec::default();
    if let Some(filter) = &view.filter {
        spec = spec.filter(filter.iter().map(String::as_str)).unwrap();
    }
    spec = spec.pointer(&view.pointer).unwrap();
    spec = spec.fields(view.fields.iter().map(String::as_str)).unwrap();
    if let Some(rate) = view.rate {
        spec = spec.max_rate(rate).unwrap();
    }
    if let Some((pointer, width)) = &view.deadband {
        spec = spec.deadband(pointer, *width).unwrap();
    }
    spec
}

/// Runs a world; gives how many errors and digests its clients were told.
fn run(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    for _ in 0..200 {
        world.step();
    }
    world.check();
    let clients = world.clients.iter().map(|(client, _)| client);
    clients.fold((0, 0), |sum, client| (sum.0 + client.errors, sum.1 + client.verified))
}

#[test]
fn every_client_ends_with_what_its_view_shows() {
    let mut sum = (0, 0);
    for seed in 0..600 {
        let Ok((errors, verified)) = std::panic::catch_unwind(|| run(seed)) else {
            panic!("run({seed}) failed");
        };
        sum = (sum.0 + errors, sum.1 + verified);
    }
    assert!(sum.0 > 100 && sum.1 > 500, "errors and digests are met: {sum:?}");
}
