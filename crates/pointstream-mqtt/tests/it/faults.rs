//! The driver behind a line in trouble: whatever the trouble, the points get their values again when it
//! is over.

use core::num::NonZeroU32;
use core::time::Duration;

use pointstream_conn::{Driver, Readings};
use pointstream_mqtt::{Config, Mqtt, QoS, Version};
use pointstream_point::{Kind, Value};
use pointstream_test::{Proxy, Weather};

use crate::broker::Broker;
use crate::driver::{Seen, binding, key, watching};

const ONE: QoS = QoS::AtLeastOnce;
const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

/// A driver whose way to its broker leads through a proxy, with the point `n`.
struct Rig {
    broker: Broker,
    proxy: Proxy,
    driver: Mqtt,
    seen: Seen,
    next: u32,
}

impl Rig {
    async fn start(version: Version, change: impl FnOnce(&mut Config)) -> Self {
        let broker = Broker::start().await;
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let uri = format!("mqtt://{}", proxy.addr()).parse().unwrap();
        let mut config = Config::new(uri).with_version(version).with_client_id("gw");
        change(&mut config);
        let bindings = [binding(0, Kind::Number, "n?value=/n", "")];
        let (driver, seen) = watching(Mqtt::new(config, 1), &bindings).await;
        Self { broker, proxy, driver, seen, next: 0 }
    }

    /// Publishes the next numbers, with what makes a message longer than a packet of TCP.
    fn publish(&mut self, count: u32) {
        for _ in 0..count {
            let text = format!(r#"{{"n":{},"pad":"{}"}}"#, self.next, "x".repeat(2_000));
            self.broker.publish("n", &text, ONE, false);
            self.next += 1;
        }
    }

    async fn until_all(&mut self) {
        let wanted = self.next as usize;
        self.seen.until(&mut self.driver, |seen| seen.all.len() >= wanted).await;
    }

    /// Each number came once and in order.
    fn check(&self) {
        let all = (0..self.next).map(|n| (0, Value::number(n.into())));
        assert_eq!(self.seen.all, all.collect::<Vec<_>>());
    }

    /// Waits until the driver says that its session is lost.
    async fn until_lost(&mut self) {
        let mut into = Readings::new();
        let lost = async { while self.driver.event(&mut into).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), lost).await.unwrap();
        self.seen.take(&mut into);
        self.driver.close().await;
    }

    /// Opens again, as the framework does after its delay.
    async fn reopen(&mut self) {
        let mut into = Readings::new();
        let open = async {
            while self.driver.open(&mut into).await.is_err() {
                self.driver.close().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), open).await.unwrap();
        self.driver.watch(&[key(0)], &mut into).await.unwrap();
        self.seen.take(&mut into);
    }
}

#[tokio::test]
async fn what_comes_late_or_a_byte_at_a_time_comes_all_the_same() {
    for version in VERSIONS {
        for weather in [Weather::Trickle, Weather::Delay(Duration::from_millis(20))] {
            let mut rig = Rig::start(version, |_| {}).await;
            rig.proxy.set(weather);
            rig.publish(20);
            rig.until_all().await;
            rig.check();
        }
    }
}

#[tokio::test]
async fn after_a_cut_or_a_reset_nothing_is_lost_or_doubled() {
    for version in VERSIONS {
        for weather in [Weather::Cut, Weather::Reset] {
            let mut rig = Rig::start(version, |_| {}).await;
            for _ in 0..3 {
                rig.publish(10);
                rig.until_all().await;
                rig.proxy.set(weather);
                rig.publish(10);
                rig.until_lost().await;
                rig.proxy.set(Weather::Fair);
                rig.reopen().await;
            }
            rig.until_all().await;
            rig.check();
            assert_eq!(rig.broker.subscribes(), ["n"], "the session was resumed each time");
        }
    }
}

/// The line stands and nothing comes by it: the keep-alive finds out.
#[tokio::test]
async fn a_line_that_is_dead_but_open_is_noticed() {
    let mut tasks = tokio::task::JoinSet::new();
    for version in VERSIONS {
        for weather in [Weather::Swallow, Weather::HalfOpen] {
            tasks.spawn(async move {
                let brief = |config: &mut Config| config.keep_alive = Duration::from_secs(1);
                let mut rig = Rig::start(version, brief).await;
                rig.publish(5);
                rig.until_all().await;
                rig.proxy.set(weather);
                rig.publish(5);
                rig.until_lost().await;
                rig.proxy.set(Weather::Fair);
                rig.reopen().await;
                rig.until_all().await;
                rig.check();
            });
        }
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}

/// A broker that answers with noise: MQTT has no checksum, so that a flipped bit may also be a value.
/// What is held is that the next good line brings good values.
#[tokio::test]
async fn noise_ends_the_session_and_not_the_driver() {
    let every = NonZeroU32::new(7).unwrap();
    for version in VERSIONS {
        for weather in [Weather::Garbage, Weather::Corrupt(every)] {
            let mut rig = Rig::start(version, |_| {}).await;
            rig.publish(5);
            rig.until_all().await;
            rig.proxy.set(weather);
            rig.publish(20);
            // The garbage comes in answer to something.
            rig.broker.publish("n", r#"{"n":-1}"#, ONE, false);
            let mut into = Readings::new();
            let lost = async { while rig.driver.event(&mut into).await.is_ok() {} };
            // A flipped bit in what nobody looks at harms nothing.
            let _ = tokio::time::timeout(Duration::from_secs(1), lost).await;
            rig.proxy.set(Weather::Cut);
            rig.until_lost().await;
            rig.proxy.set(Weather::Fair);
            rig.reopen().await;
            rig.broker.publish("n", r#"{"n":1234567}"#, ONE, false);
            rig.seen.until(&mut rig.driver, |seen| seen.is(0, &Value::number(1_234_567.0))).await;
        }
    }
}
