//! What devices tell of the past, asked for and unasked, bad input included.

use core::time::Duration;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pointstream::point::{Span, Tag, Value};
use pointstream::store::{History, SeriesWrite, Store, StoredHistory};
use pointstream::{Config, HisProgress};
use pointstream_test::Mood;

use crate::bench::{Bench, config, connector, id, number, point};
use crate::history::{Folder, collecting, items, text, until};

fn ago(secs: i64) -> Timestamp {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    now.checked_sub(SignedDuration::from_secs(secs)).unwrap()
}

/// Points whose device keeps the log `log`, one for each connector, all of device `a`.
fn keepers(folder: &Folder, count: usize, tags: &[(&str, Tag)]) -> Config {
    let conns = (0..count).map(|at| {
        let mut spec = point(&format!("p{at}"));
        spec.more.his = Some("log".into());
        tags.iter().for_each(|(name, tag)| drop(spec.more.tags.set(name, tag.clone())));
        let mut conn = connector(&format!("c{at}"), &[]).with("device", "a").with_point(spec);
        conn.op_timeout = Duration::from_secs(1);
        conn
    });
    let mut config = config(conns);
    config.store = Some(folder.0.join("gateway.redb"));
    config
}

/// What the details of a point say of its history, by name.
fn his(bench: &Bench, point: &str, name: &str) -> Option<String> {
    let details = bench.gateway.admin().point_details(point).unwrap();
    let line = details.lines().find_map(|line| line.strip_prefix(name));
    line.map(|value| value.trim().to_owned())
}

#[tokio::test]
async fn what_a_device_tells_unasked_fills_the_gap_and_is_never_current() {
    let folder = Folder::new("past");
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(21.0));
    let mut tags = vec![("hisCollectInterval", text("1sec")), ("hisCollectNA", Tag::Marker)];
    tags.push(("hisTsPrecision", text("1ms")));
    let mut config = collecting("a.temp", &folder, &tags);
    Arc::make_mut(&mut config.connectors[0].points[0]).more.cur_convert = Some("* 2".into());
    bench.gateway.apply(config).await.unwrap();
    until(&bench, "a.temp", |items| items.iter().any(|item| item.val == number(42.0))).await;
    bench.a.set_mood(Mood::Gone);
    let gap = until(&bench, "a.temp", |items| items.iter().any(|i| i.val == Value::Na)).await;
    let missed = gap.iter().find(|item| item.val == Value::Na).unwrap().ts;
    // Out of order, twice, and with one that the gateway has NA for.
    let early = ago(120);
    bench
        .a
        .tell_past("a.temp", [(missed, number(7.0)), (early, number(5.0)), (early, number(6.0))]);
    bench.a.set_mood(Mood::Well);
    let full = until(&bench, "a.temp", |items| items[0].val == number(12.0)).await;
    assert_eq!(
        full[0].ts, early,
        "the last of the same time counts, converted as current values are"
    );
    let mended = full.iter().find(|item| item.ts == missed).unwrap();
    assert_eq!(mended.val, number(14.0));
    let shown = bench.gateway.admin().point("a.temp").unwrap().cur_val.unwrap();
    assert_eq!(shown, number(42.0), "nothing of it was ever the current value");
    assert!(full.iter().all(|item| item.ts <= early || item.val != number(12.0)));
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn a_bad_item_of_the_past_is_told_and_the_next_good_one_mends_it() {
    let folder = Folder::new("badpast");
    let mut bench = Bench::new();
    ["a.temp", "a.plain"].iter().for_each(|name| bench.a.set(name, number(1.0)));
    let mut config = collecting("a.temp", &folder, &[("his", Tag::Marker)]);
    config.connectors[0].points.push(Arc::new(point("a.plain")));
    config.topics.push(pointstream::TopicConfig::new(id("all")));
    bench.gateway.apply(config).await.unwrap();
    let _reader = bench.reader("all");
    let far = |text: &str| text.parse::<Timestamp>().unwrap();
    let hours = |hours| Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let cases = [
        (far("1949-12-31T23:59:59Z"), number(1.0), "is not between 1950 and 2200"),
        (hours(2), number(1.0), "is more than an hour ahead"),
        (ago(9), Value::Bool(true), "curVal kind != configured kind"),
        (ago(9), Value::Null, "Cannot write null val"),
        (ago(9), number(f64::NAN), "has no place in a history"),
        (ago(9), Value::Number(1.0, pointstream::point::Unit::parse("kW").ok()), "unit"),
    ];
    let since = ago(200);
    for (at, (ts, val, why)) in (1i64..).zip(cases) {
        bench.a.tell_past("a.temp", [(ts, val.clone())]);
        let err = || his(&bench, "a.temp", "hisErr");
        wait(|| err().is_some_and(|err| err.contains(why)), why).await;
        assert_eq!(his(&bench, "a.temp", "hisStatus").as_deref(), Some("fault"));
        let good = since.checked_add(SignedDuration::from_secs(at)).unwrap();
        bench.a.tell_past("a.temp", [(good, number(3.0))]);
        let status = || his(&bench, "a.temp", "hisStatus");
        wait(|| status().as_deref() == Some("ok"), "ok again").await;
    }
    bench.a.tell_past("a.plain", [(ago(9), number(3.0))]);
    let kept = until(&bench, "a.temp", |items| items.len() == 6).await;
    assert!(kept.iter().all(|item| item.val == number(3.0)));
    assert_eq!(items(&bench, "a.plain").await, [], "a point without a history gets none");
    bench.gateway.shutdown().await;
}

async fn wait(holds: impl Fn() -> bool, what: &str) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_synchronisation_tells_how_far_it_is_and_can_be_cancelled() {
    let folder = Folder::new("cancel");
    let mut bench = Bench::new();
    bench.a.keep("log", (0..10).map(|at| (ago(100 - at), number(1.0))));
    bench.gateway.apply(keepers(&folder, 3, &[])).await.unwrap();
    let ids: Vec<_> = (0..3).map(|at| id(&format!("p{at}"))).collect();
    bench.a.set_mood(Mood::Silent);
    let progress = HisProgress::new();
    let is_pending =
        |at: &i32| his(&bench, &format!("p{at}"), "hisPending").as_deref() == Some("true");
    let (cancel, pending) = (progress.clone(), || (0..3).filter(is_pending).count());
    let canceller = async {
        wait(|| pending() == 3, "all are pending").await;
        assert_eq!((cancel.counts(), cancel.items()), ((0, 3), 0));
        cancel.cancel();
    };
    let (synced, ()) = tokio::join!(bench.gateway.sync_his(&ids, None, &progress), canceller);
    assert!(progress.is_cancelled());
    let told = |result: &Result<usize, pointstream::point::Fault>| {
        result.clone().unwrap_err().to_string() == "the synchronisation was cancelled"
    };
    assert!(synced.len() == 3 && synced.iter().all(|(_, result)| told(result)), "{synced:?}");
    wait(|| pending() == 0, "nothing is pending").await;
    // Dropping it is as good.
    let progress = HisProgress::new();
    let cut = tokio::time::timeout(
        Duration::from_millis(200),
        bench.gateway.sync_his(&ids, None, &progress),
    );
    assert!(cut.await.is_err());
    wait(|| pending() == 0, "nothing is pending").await;
    let twice = [ids.as_slice(), ids.as_slice()].concat();
    bench.a.set_mood(Mood::Well);
    let progress = HisProgress::new();
    for _ in 0..100 {
        let synced = bench.gateway.sync_his(&twice, None, &progress).await;
        if synced.iter().all(|(_, result)| result.is_ok()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(items(&bench, "p2").await.len(), 10);
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn many_connectors_are_asked_side_by_side_up_to_the_bound() {
    let folder = Folder::new("many");
    let mut bench = Bench::new();
    bench.a.keep("log", (0..100).map(|at| (ago(1_000 - at), number(1.0))));
    bench.gateway.apply(keepers(&folder, 40, &[])).await.unwrap();
    bench.a.set_delay(Duration::from_millis(30));
    let ids: Vec<_> = (0..40).map(|at| id(&format!("p{at}"))).collect();
    let progress = HisProgress::new();
    let synced = bench.gateway.sync_his(&ids, None, &progress).await;
    assert!(synced.iter().all(|(_, result)| *result == Ok(100)), "{synced:?}");
    assert_eq!((progress.counts(), progress.items()), ((40, 40), 4_000));
    let most = bench.a.most_at_once("history");
    assert!((4..=16).contains(&most), "{most} at once");
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn a_device_that_gives_pages_is_asked_on_over_a_century() {
    let folder = Folder::new("pages");
    let mut bench = Bench::new();
    let from: Timestamp = "1960-01-01T00:00:00Z".parse().unwrap();
    let month = |at: i64| from.checked_add(SignedDuration::from_hours(at * 24 * 30)).unwrap();
    // In no order, one of them twice.
    bench.a.keep("log", (0..800).rev().map(|at| (month(at), number(at as f64))));
    bench.a.keep("log", [(month(3), number(3.5))]);
    bench.a.set_page(50);
    bench.gateway.apply(keepers(&folder, 1, &[])).await.unwrap();
    let century = Span::new(from, "2060-01-01T00:00:00Z".parse().unwrap());
    let synced = bench.gateway.sync_his(&[id("p0")], Some(century), &HisProgress::new()).await;
    assert_eq!(synced[0].1, Ok(801));
    let items = items(&bench, "p0").await;
    assert_eq!((items.len(), &items[3].val), (800, &number(3.5)));
    assert!(items.is_sorted_by_key(|item| item.ts));
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn options_of_a_write_clear_the_span_and_take_any_unit() {
    let folder = Folder::new("options");
    let mut bench = Bench::new();
    let kilowatts = Value::Number(2.0, pointstream::point::Unit::parse("kW").ok());
    bench.a.keep("log", [(ago(60), number(1.0)), (ago(50), kilowatts)]);
    let synced = |bench: &Bench| {
        let admin = bench.gateway.admin();
        async move {
            let sync = admin.sync_his("p0", Some(Span::new(ago(3_600), ago(0))));
            sync.await.map_err(|error| error.to_string())
        }
    };
    bench.gateway.apply(keepers(&folder, 1, &[])).await.unwrap();
    let store = bench.gateway.history().unwrap();
    let old = SeriesWrite {
        point: "p0".into(),
        items: [ago(7_200), ago(600)].map(|ts| (ts, Some(number(9.0)))).into(),
    };
    store.write(&[old]).unwrap();
    assert!(synced(&bench).await.unwrap_err().contains("Mismatched unit"));
    let options = |text_of: &str| [("connHisWriteOpts", text(text_of))];
    bench.gateway.apply(keepers(&folder, 1, &options("unitSet"))).await.unwrap();
    assert_eq!(synced(&bench).await, Ok(2));
    assert_eq!(items(&bench, "p0").await.len(), 4);
    bench.gateway.apply(keepers(&folder, 1, &options("unitSet, clear"))).await.unwrap();
    assert_eq!(synced(&bench).await, Ok(2));
    let left = items(&bench, "p0").await;
    let left: Vec<_> = left.iter().map(|item| item.val.clone()).collect();
    let kept = [9.0, 1.0, 2.0].map(number);
    assert_eq!(left, kept, "what the device no longer has is gone, within the span only");
    bench.gateway.apply(keepers(&folder, 1, &options("nope"))).await.unwrap();
    assert!(synced(&bench).await.unwrap_err().contains("expected clear, unitSet"));
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn an_item_ahead_of_its_time_does_not_keep_later_ones_from_being_fetched() {
    let folder = Folder::new("ahead");
    let (store, _) = Store::open(&folder.0.join("gateway.redb")).unwrap();
    let store = Arc::new(store);
    let wrong: Timestamp = "2106-02-07T06:28:15Z".parse().unwrap();
    let items_of = [ago(500), wrong].map(|ts| (ts, Some(number(1.0)))).into();
    let written = StoredHistory::new(Arc::clone(&store));
    written.write(&[SeriesWrite { point: "p0".into(), items: items_of }]).unwrap();
    drop((written, store));
    let mut bench = Bench::new();
    bench.a.keep("log", [(ago(900), number(2.0)), (ago(100), number(3.0))]);
    bench.gateway.apply(keepers(&folder, 1, &[])).await.unwrap();
    let synced = bench.gateway.sync_his(&[id("p0")], None, &HisProgress::new()).await;
    assert_eq!(synced[0].1, Ok(1), "only what is later than the last one that can be true");
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_starts_with_a_damaged_store_and_goes_on_with_what_is_sound() {
    let folder = Folder::new("damaged");
    let file = folder.0.join("gateway.redb");
    let written = StoredHistory::new(Arc::new(Store::open(&file).unwrap().0));
    let old: Vec<_> = (0..40_000).map(|at| (ago(90_000 - at), Some(number(at as f64)))).collect();
    for items in old.chunks(1_000) {
        written.write(&[SeriesWrite { point: "a.temp".into(), items: items.to_vec() }]).unwrap();
    }
    drop(written);
    let sound = std::fs::read(&file).unwrap();
    // The first page from the middle on that is of any use.
    let mut spoilt = (sound.len() / 8_192..).map(|page| {
        let mut bytes = sound.clone();
        bytes[page * 4_096..][..64].fill(0xa5);
        std::fs::write(&file, &bytes).unwrap();
        bytes
    });
    let bytes = spoilt.find(|_| !Store::check(&file).unwrap().is_sound()).unwrap();
    let tags = [("hisCollectInterval", text("1sec"))];
    for (at, damaged) in [bytes, Vec::new(), vec![0x5a; 20_000]].into_iter().enumerate() {
        std::fs::write(&file, &damaged).unwrap();
        let mut bench = Bench::new();
        bench.a.set("a.temp", number(21.0));
        bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
        let history = bench.gateway.history().unwrap();
        let last = || history.last("a.temp").unwrap().is_some_and(|item| item.ts > ago(60));
        wait(last, "something is collected").await;
        let kept = history.info("a.temp").unwrap().unwrap().size;
        assert_eq!(kept > 20_000, at == 0, "{kept} items of a file that is damaged in parts");
        let aside = folder.0.join(format!("gateway.redb.damaged-{}", at + 1));
        assert_eq!(std::fs::read(aside).unwrap(), damaged, "the damaged file stays as it was");
        drop(history);
        bench.gateway.shutdown().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_may_not_be_written_is_refused_in_words() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("readonly");
    let file = folder.0.join("gateway.redb");
    drop(Store::open(&file).unwrap());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    if std::fs::OpenOptions::new().write(true).open(&file).is_ok() {
        eprintln!(
            "SKIPPED: whoever runs this may write to a file that is read-only; run it as another user than root"
        );
        return;
    }
    let mut bench = Bench::new();
    let refused = bench.gateway.apply(collecting("a.temp", &folder, &[])).await.unwrap_err();
    assert!(refused.to_string().contains("gateway.redb: "), "{refused}");
    assert!(file.exists(), "it stays where it is");
}

/// A store that is full for a while.
struct Full {
    inner: StoredHistory,
    full: std::sync::atomic::AtomicBool,
    refused: std::sync::atomic::AtomicU64,
}

impl History for Full {
    fn write(&self, batch: &[SeriesWrite]) -> Result<(), pointstream::store::StoreError> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.full.load(SeqCst) {
            self.refused.fetch_add(1, SeqCst);
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(pointstream::store::StoreError::Io { path: "full".into(), source });
        }
        self.inner.write(batch)
    }

    fn read(
        &self,
        point: &str,
        span: Span,
        visit: &mut dyn FnMut(pointstream::point::HisItem) -> bool,
    ) -> Result<(), pointstream::store::StoreError> {
        self.inner.read(point, span, visit)
    }

    fn info(
        &self,
        point: &str,
    ) -> Result<Option<pointstream::store::HisInfo>, pointstream::store::StoreError> {
        self.inner.info(point)
    }

    fn last(
        &self,
        point: &str,
    ) -> Result<Option<pointstream::point::HisItem>, pointstream::store::StoreError> {
        self.inner.last(point)
    }

    fn points(&self) -> Result<Vec<String>, pointstream::store::StoreError> {
        self.inner.points()
    }

    fn remove(&self, point: &str) -> Result<(), pointstream::store::StoreError> {
        self.inner.remove(point)
    }

    fn trim(
        &self,
        before: Timestamp,
        bytes_max: u64,
    ) -> Result<pointstream::store::Trimmed, pointstream::store::StoreError> {
        self.inner.trim(before, bytes_max)
    }
}

#[tokio::test]
async fn a_full_disk_keeps_items_for_later_and_live_values_go_on() {
    let folder = Folder::new("fulldisk");
    let (store, _) = Store::open(&folder.0.join("history.redb")).unwrap();
    let history = Arc::new(Full {
        inner: StoredHistory::new(Arc::new(store)),
        full: true.into(),
        refused: 0.into(),
    });
    let mut bench = Bench::new();
    let gateway = core::mem::replace(&mut bench.gateway, Bench::new().gateway);
    bench.gateway = gateway.with_history(Arc::<Full>::clone(&history));
    bench.a.set("a.temp", number(1.0));
    let tags = [("hisCollectInterval", text("1sec"))];
    bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
    let count = |of: &std::sync::atomic::AtomicU64| of.load(std::sync::atomic::Ordering::SeqCst);
    wait(|| count(&history.refused) > 0, "a write fails").await;
    let past = ago(600);
    bench.a.tell_past("a.temp", [(past, number(9.0))]);
    bench.a.set("a.temp", number(2.0));
    let live = || bench.gateway.admin().point("a.temp").unwrap().cur_val == Some(number(2.0));
    wait(live, "live values go on").await;
    let refused = bench.gateway.admin().sync_his("a.temp", None).await.unwrap_err().to_string();
    assert!(refused.contains("no address of a history"), "{refused}");
    assert_eq!(history.info("a.temp").unwrap(), None);
    history.full.store(false, std::sync::atomic::Ordering::SeqCst);
    let first = || history.info("a.temp").unwrap().is_some_and(|info| info.start.ts == past);
    wait(first, "what waited is written").await;
    bench.gateway.shutdown().await;
}
