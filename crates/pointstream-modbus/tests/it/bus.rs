//! Several units on one line, and other framings than Modbus TCP.

use std::time::Duration;

use pointstream_conn::{Binding, Context, Driver, Reading, Readings, Registry, Write};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::rtu::{self, Line};
use pointstream_modbus::{
    Config, Limits, Modbus, Registers, Server, Table, Target, Trace, Traced, serve_line,
};
use pointstream_point::{Kind, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::time::{Instant, sleep};

use crate::script::{Network, Peer, hex, key};

/// A driver of `unit` with the point `holding:40001` as slot 0, to be read and written.
fn bound(mut driver: Modbus<Network>) -> Modbus<Network> {
    let mut binding = Binding::new(key(0), Kind::Number);
    binding.cur = Some("holding:40001".into());
    binding.write = Some("holding:40001".into());
    let mut into = Readings::new();
    driver.bind(&[binding], &mut into);
    assert!(into.is_empty());
    driver
}

fn config(unit: u8) -> Config {
    Config::new("tcp://line".parse::<Target>().unwrap(), unit)
}

/// Drivers of the units 1 to `count` on one line.
fn line(network: &Network, count: u8) -> Vec<Modbus<Network>> {
    let first = bound(Modbus::with_dial(config(1), network.clone()).unwrap());
    let mut drivers = vec![first];
    for unit in 2..=count {
        drivers.push(bound(Modbus::with_bus_of(config(unit), &drivers[0]).unwrap()));
    }
    drivers
}

async fn value(driver: &mut Modbus<Network>) -> Result<f64, String> {
    let mut into = Readings::new();
    let plan = driver.plan(&[key(0)]);
    driver.read(&plan, &mut into).await.map_err(|error| error.to_string())?;
    match into.drain().next() {
        Some(Reading::Cur(_, Ok(Value::Number(number, _)))) => Ok(number),
        Some(Reading::Cur(_, Err(fault))) => Err(fault.to_string()),
        other => panic!("{other:?}"),
    }
}

async fn open(driver: &mut Modbus<Network>) -> Result<(), String> {
    driver.open(&mut Readings::new()).await.map_err(|error| error.to_string())
}

/// The next request: its transaction, unit and function.
async fn next(peer: &mut Peer) -> Option<(u16, u8, u8)> {
    let mut frame = [0; 12];
    peer.0.read_exact(&mut frame).await.ok()?;
    Some((u16::from_be_bytes([frame[0], frame[1]]), frame[6], frame[7]))
}

/// Answers 7 to reads and echoes writes of one register, after a time, for units that `alive` says;
/// gives what was asked, each with its time from the start.
async fn device(
    peer: &mut Peer,
    delay: Duration,
    alive: impl Fn(u8) -> bool,
) -> Vec<(Duration, u8, u8)> {
    let start = Instant::now();
    let mut asked = Vec::new();
    while let Some((transaction, unit, function)) = next(peer).await {
        asked.push((start.elapsed(), unit, function));
        if !alive(unit) {
            continue;
        }
        sleep(delay).await;
        // Nothing may have been asked meanwhile.
        let early = tokio::time::timeout(Duration::ZERO, peer.0.read(&mut [0])).await;
        assert!(!matches!(early, Ok(Ok(1..))), "two requests at a time");
        let pdu = if function == 3 { "03 02 0007" } else { "06 0000 0007" };
        let mut out = crate::script::frame(transaction, unit, pdu);
        peer.0.write_all(&std::mem::take(&mut out)).await.unwrap();
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn units_share_one_connection_and_take_turns() {
    let network = Network::default();
    let mut peer = network.accept();
    let mut drivers = line(&network, 3);
    let script = async {
        let [a, b, c] = drivers.get_disjoint_mut([0, 1, 2]).unwrap();
        let opened = join!(open(a), open(b), open(c));
        assert_eq!(opened, (Ok(()), Ok(()), Ok(())));
        for _ in 0..3 {
            assert_eq!(join!(value(a), value(b), value(c)), (Ok(7.0), Ok(7.0), Ok(7.0)));
        }
        // The connection stays while one of them needs it.
        a.close().await;
        b.close().await;
        assert_eq!(value(c).await, Ok(7.0));
        assert!(value(a).await.unwrap_err().contains("not connected"));
        c.close().await;
    };
    let ((), asked) = join!(script, device(&mut peer, Duration::from_millis(5), |_| true));
    let units: Vec<u8> = asked.iter().map(|(_, unit, _)| *unit).collect();
    assert_eq!(units, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 3]);
    assert_eq!(network.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_before_reads_that_wait_and_writes_do_not_starve_them() {
    let network = Network::default();
    let mut peer = network.accept();
    let mut drivers = line(&network, 5);
    let script = async {
        let [a, b, c, d, e] = drivers.get_disjoint_mut([0, 1, 2, 3, 4]).unwrap();
        for driver in [&mut *a, &mut *b, &mut *c, &mut *d, &mut *e] {
            open(driver).await.unwrap();
        }
        let write = async |driver: &mut Modbus<Network>| {
            let write = [Write::new(key(0), Value::number(7.0))];
            driver.write(&write, &mut Readings::new()).await.unwrap();
        };
        let _ = join!(value(a), value(b), value(c), write(d), write(e));
        for driver in [a, b, c, d, e] {
            driver.close().await;
        }
    };
    let ((), asked) = join!(script, device(&mut peer, Duration::from_millis(5), |_| true));
    let order: Vec<(u8, u8)> = asked.iter().skip(5).map(|&(_, unit, f)| (unit, f)).collect();
    // Unit 1 has the line; then writes and reads by turns.
    assert_eq!(order, [(1, 3), (4, 6), (2, 3), (5, 6), (3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_unit_costs_its_neighbours_one_time_out_in_each_demotion() {
    let network = Network::default();
    let mut peer = network.accept();
    let mut drivers = line(&network, 2);
    let alive = std::sync::atomic::AtomicBool::new(false);
    let until = |secs| Instant::now() + Duration::from_secs(secs);
    let script = async {
        let [good, dead] = drivers.get_disjoint_mut([0, 1]).unwrap();
        open(good).await.unwrap();
        let end = until(100);
        let poll = async {
            let mut polls = 0;
            while Instant::now() < end {
                assert_eq!(value(good).await, Ok(7.0));
                polls += 1;
                sleep(Duration::from_millis(100)).await;
            }
            polls
        };
        let retry = async {
            let mut said = Vec::new();
            while Instant::now() < end {
                said.push(open(dead).await.unwrap_err());
                dead.close().await;
                sleep(Duration::from_secs(1)).await;
            }
            said
        };
        let (polls, said) = join!(poll, retry);
        // 10 of 100 seconds are lost to the dead unit, and no more.
        assert!(polls > 850, "{polls} polls");
        assert_eq!(said[0], "no answer within 1s");
        let left = "unit 2 does not answer: left alone for 9 s more, for the others on its line";
        assert_eq!(said[1], left);
        alive.store(true, std::sync::atomic::Ordering::Relaxed);
        sleep(Duration::from_secs(10)).await;
        open(dead).await.unwrap();
        assert_eq!(value(dead).await, Ok(7.0));
        good.close().await;
        dead.close().await;
    };
    let is_alive = |unit| unit == 1 || alive.load(std::sync::atomic::Ordering::Relaxed);
    let ((), asked) = join!(script, device(&mut peer, Duration::from_millis(5), is_alive));
    let dead: Vec<Duration> =
        asked.iter().filter(|(_, unit, _)| *unit == 2).map(|(at, ..)| *at).collect();
    let within = dead.iter().filter(|at| **at < Duration::from_secs(100)).count();
    assert!(within <= 10, "asked {within} times in 100 s");
    assert!(
        dead.windows(2).take(within - 1).all(|pair| pair[1] - pair[0] >= Duration::from_secs(10))
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_to_somebody_who_is_gone_goes_to_the_next() {
    let network = Network::default();
    let mut peer = network.accept();
    let mut drivers = line(&network, 3);
    let script = async {
        let [a, b, c] = drivers.get_disjoint_mut([0, 1, 2]).unwrap();
        for driver in [&mut *a, &mut *b, &mut *c] {
            open(driver).await.unwrap();
        }
        let given_up = tokio::time::timeout(Duration::from_millis(2), value(b));
        let (first, second, third) = join!(value(a), given_up, value(c));
        assert_eq!((first, second.is_err(), third), (Ok(7.0), true, Ok(7.0)));
        // A transaction that was dropped half-way leaves the line to the next, too.
        assert!(tokio::time::timeout(Duration::from_millis(2), value(a)).await.is_err());
        assert_eq!(value(b).await, Ok(7.0));
        for driver in [a, b, c] {
            driver.close().await;
        }
    };
    let late = async {
        let mut asked = 0;
        while let Some((transaction, unit, _)) = next(&mut peer).await {
            asked += 1;
            sleep(Duration::from_millis(5)).await;
            let out = crate::script::frame(transaction, unit, "03 02 0007");
            peer.0.write_all(&out).await.unwrap();
        }
        asked
    };
    let ((), asked) = join!(script, late);
    assert_eq!(asked, 3 + 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_nobody_answers_on_is_opened_anew() {
    let network = Network::default();
    let mut first = network.accept();
    let mut drivers = line(&network, 3);
    let script = async {
        let [a, b, c] = drivers.get_disjoint_mut([0, 1, 2]).unwrap();
        for driver in [&mut *a, &mut *b, &mut *c] {
            open(driver).await.unwrap();
        }
        let _second = network.accept();
        for driver in [&mut *a, &mut *b, &mut *c] {
            assert!(value(driver).await.is_err());
        }
        assert!(value(a).await.is_err());
        let _ = value(b).await;
        assert_eq!(network.left(), 0, "the line was dialled again");
    };
    let opened = async {
        for _ in 0..3 {
            let (transaction, unit, _) = next(&mut first).await.unwrap();
            let out = crate::script::frame(transaction, unit, "03 02 0007");
            first.0.write_all(&out).await.unwrap();
        }
        while next(&mut first).await.is_some() {}
    };
    join!(script, opened);
}

fn rtu_frame(unit: u8, pdu: &str) -> Vec<u8> {
    let mut out = Vec::new();
    rtu::encode(unit, &mut out, |out| {
        out.extend(hex(pdu));
        Ok::<_, ()>(())
    })
    .unwrap();
    out
}

#[tokio::test(start_paused = true)]
async fn a_serial_line_has_its_gaps_whatever_stands_on_it() {
    let network = Network::default();
    let mut peer = network.accept();
    let target: Target = "rtu:///dev/ttyS0?baud=9600".parse().unwrap();
    let line = Line::serial(9_600, 11);
    let mut driver = bound(Modbus::with_dial(Config::new(target, 1), network.clone()).unwrap());
    let script = async {
        open(&mut driver).await.unwrap();
        for expected in [Ok(7.0), Err("the answer is damaged"), Ok(7.0), Ok(7.0)] {
            match (value(&mut driver).await, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected),
                (Err(got), Err(expected)) => assert!(got.starts_with(expected), "{got}"),
                other => panic!("{other:?}"),
            }
        }
        driver.close().await;
    };
    let device = async {
        let good = rtu_frame(1, "03 02 0007");
        let mut damaged = good.clone();
        damaged[4] ^= 0x10;
        let noisy = [&[0xff, 0x00][..], &good].concat();
        let glued = [&good[..], &good].concat();
        let mut quiet_since = None;
        for answer in [good, noisy, damaged, glued, rtu_frame(1, "03 02 0007")] {
            let mut request = [0; 8];
            peer.0.read_exact(&mut request).await.unwrap();
            assert_eq!(request.to_vec(), rtu_frame(1, "03 0000 0001"));
            let gap = quiet_since.map(|since: Instant| since.elapsed());
            assert!(gap.is_none_or(|gap| gap >= line.gap), "{gap:?}");
            // As it comes from a real port: in pieces.
            for piece in answer.chunks(3) {
                peer.0.write_all(piece).await.unwrap();
                sleep(line.char_time).await;
            }
            quiet_since = Some(Instant::now() - line.char_time);
        }
    };
    join!(script, device);
}

#[tokio::test]
async fn rtu_over_tcp_and_a_line_serve_what_modbus_tcp_does() {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, 20).unwrap();
    registers.set(1, &"holding:40001".parse().unwrap(), Scalar::Int(7)).unwrap();
    registers.identify(1, 0, "pointstream");
    registers.identify(1, 1, "plant");
    registers.identify(1, 2, "1");
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let target = format!("rtutcp://{}", server.local_addr().unwrap()).parse::<Target>().unwrap();
    let server = server.with_line(Line::tunnel());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(registers.clone(), std::future::pending()));
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    let trace = Trace::new(move |bytes| {
        let mut log = log.lock().unwrap();
        match bytes {
            Traced::Sent(bytes) => log.push(('>', bytes.to_vec())),
            Traced::Received(bytes) => log.push(('<', bytes.to_vec())),
        }
    });
    let mut driver = Modbus::new(Config::new(target, 1)).unwrap().with_trace(trace);
    let mut into = Readings::new();
    driver.open(&mut into).await.unwrap();
    let id = driver.device_id(pointstream_modbus::pdu::IdAccess::Basic).await.unwrap();
    let id: Vec<_> = id.iter().map(|(object, text)| (*object, text.as_str())).collect();
    assert_eq!(id, [(0, "pointstream"), (1, "plant"), (2, "1")]);
    let found = driver.scan(Table::Holding, 0..100).await.unwrap();
    let found: Vec<_> = found.iter().map(|found| (found.start, found.value)).collect();
    assert_eq!(found.len(), 20);
    assert_eq!(found[..2], [(0, 7), (1, 0)]);
    let error = driver.scan(Table::Coil, 0..2).await.unwrap();
    assert_eq!(error, []);
    let log = seen.lock().unwrap();
    assert_eq!(log[0], ('>', rtu_frame(1, "2B 0E 01 00")));
    assert!(log.iter().any(|(side, _)| *side == '<'));
}

#[tokio::test]
async fn the_registry_gives_connectors_of_one_target_one_connection() {
    let registers = Registers::new();
    for unit in [1, 2] {
        registers.define(unit, Table::Holding, 0, 1).unwrap();
    }
    // The second connection would be closed at once.
    let limits = Limits::default().with_connections_max(1);
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let uri = format!("modbus-tcp://{}", server.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(registers, std::future::pending()));
    let mut registry = Registry::new();
    pointstream_modbus::register(&mut registry);
    let mut opened = 0;
    let mut shells = tokio::task::JoinSet::new();
    let mut handles = Vec::new();
    for unit in [1, 2] {
        let options = serde_json::json!({"uri": uri, "unit": unit, "ping": "holding:40001"});
        let context = Context::new(format!("plc{unit}").parse().unwrap(), 1);
        let driver = registry.make("modbus", options, &context).unwrap();
        let config = pointstream_conn::ConnConfig::new(context.id.clone(), unit);
        let (told, mut views) = tokio::sync::mpsc::channel(16);
        let follower = std::sync::Arc::new(Views(told));
        let clock = pointstream_conn::Clock::start();
        let (shell, handle) = pointstream_conn::Shell::new(config, driver, follower, clock);
        shells.spawn(shell.run());
        handle.ping().await;
        handles.push(handle);
        let is_ok = async {
            while let Some(status) = views.recv().await {
                if status == pointstream_point::Status::Ok {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_ok).await.unwrap();
        opened += 1;
    }
    assert_eq!(opened, 2);
}

/// Hears the statuses of a connector.
struct Views(tokio::sync::mpsc::Sender<pointstream_point::Status>);

impl pointstream_conn::Follower for Views {
    fn on_changes(&self, _: &std::sync::Arc<pointstream_conn::Changes>) {}

    fn on_conn(&self, view: &pointstream_conn::ConnView) {
        let _ = self.0.try_send(view.status);
    }
}

#[tokio::test]
async fn a_window_reads_as_much_as_one_after_the_other_does() {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, 300).unwrap();
    for start in 0..300 {
        let address = format!("holding:#{start}").parse().unwrap();
        registers.set(1, &address, Scalar::Int(start)).unwrap();
    }
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let target = format!("tcp://{}", server.local_addr().unwrap()).parse::<Target>().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(registers, std::future::pending()));
    let mut config = Config::new(target, 1);
    (config.window, config.block_max) = (16, 3);
    let mut driver = Modbus::new(config).unwrap();
    let mut into = Readings::new();
    // The last ten do not exist, and one of the existing ones shares a block with two of them.
    let addresses: Vec<u32> = (0..290).chain([298, 299, 300, 301]).collect();
    for (slot, start) in (0..).zip(&addresses) {
        let mut binding = Binding::new(key(slot), Kind::Number);
        binding.cur = Some(format!("holding:#{start}").into());
        driver.bind(&[binding], &mut into);
    }
    driver.open(&mut into).await.unwrap();
    let keys: Vec<_> = (0..addresses.len() as u32).map(key).collect();
    for _ in 0..3 {
        let plan = driver.plan(&keys);
        assert!(plan.len() > 90);
        driver.read(&plan, &mut into).await.unwrap();
        let mut values: Vec<_> = into
            .drain()
            .map(|reading| match reading {
                Reading::Cur(key, outcome) => (key.slot, outcome.ok()),
                other => panic!("{other:?}"),
            })
            .collect();
        values.sort_by_key(|(slot, _)| *slot);
        let expected: Vec<_> = (0..)
            .zip(&addresses)
            .map(|(slot, &start)| (slot, (start < 300).then(|| Value::number(start.into()))))
            .collect();
        assert_eq!(values, expected);
    }
    driver.close().await;
}

#[tokio::test(start_paused = true)]
async fn driver_and_server_speak_rtu_on_a_pair_of_streams() {
    let network = Network::default();
    let peer = network.accept();
    let target: Target = "rtu:///dev/ttyS0?baud=19200&parity=none".parse().unwrap();
    let line = Line::serial(19_200, 10);
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, 20).unwrap();
    let mut driver = bound(Modbus::with_dial(Config::new(target, 1), network.clone()).unwrap());
    let script = async {
        open(&mut driver).await.unwrap();
        for number in 0..100 {
            let write = [Write::new(key(0), Value::number(f64::from(number)))];
            let mut into = Readings::new();
            driver.write(&write, &mut into).await.unwrap();
            assert!(into.is_empty());
            assert_eq!(value(&mut driver).await, Ok(f64::from(number)));
        }
        driver.close().await;
    };
    let serving = serve_line(peer.0, line, &registers, std::future::pending());
    let ((), served) = join!(script, serving);
    assert_eq!(served.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}
