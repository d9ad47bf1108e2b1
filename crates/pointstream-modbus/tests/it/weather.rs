//! What a network can do to the bytes, one kind after the other, through a proxy on loopback.

use std::num::NonZeroU32;
use std::time::Duration;

use pointstream_conn::{Binding, Driver, OpError, Reading, Readings};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::rtu::Line;
use pointstream_modbus::{Config, Limits, Modbus, Registers, Server, Table, Target};
use pointstream_point::{Kind, Value};
use pointstream_test::{Proxy, Weather};
use tokio::task::JoinSet;

use crate::script::key;

const REGISTERS: u16 = 40;

/// Long enough for loopback on a busy machine, and what each silence costs.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A driver of a device behind a proxy, and what serves it.
async fn device(scheme: &str) -> (Modbus, Proxy, JoinSet<()>) {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, REGISTERS).unwrap();
    for start in 0..REGISTERS {
        let address = format!("holding:#{start}").parse().unwrap();
        registers.set(1, &address, Scalar::Int(start.into())).unwrap();
    }
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let server = if scheme == "tcp" { server } else { server.with_line(Line::tunnel()) };
    let proxy = Proxy::start(server.local_addr().unwrap()).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(registers, std::future::pending()));
    let target: Target = format!("{scheme}://{}", proxy.addr()).parse().unwrap();
    let mut config = Config::new(target, 1);
    (config.response_timeout, config.block_max) = (RESPONSE_TIMEOUT, 10);
    let mut driver = Modbus::new(config).unwrap();
    let mut into = Readings::new();
    for start in 0..REGISTERS {
        let mut binding = Binding::new(key(start.into()), Kind::Number);
        binding.cur = Some(format!("holding:#{start}").into());
        driver.bind(&[binding], &mut into);
    }
    (driver, proxy, tasks)
}

/// One scan: how many values were right, wrong, and without a value; or how the session ended.
async fn scan(driver: &mut Modbus) -> Result<[usize; 3], OpError> {
    let keys: Vec<_> = (0..REGISTERS).map(|start| key(start.into())).collect();
    let (plan, mut into) = (driver.plan(&keys), Readings::new());
    let result = driver.read(&plan, &mut into).await;
    let mut counts = [0; 3];
    for reading in into.drain() {
        let Reading::Cur(key, outcome) = reading else { panic!("{reading:?}") };
        match outcome {
            Ok(value) if value == Value::number(key.slot.into()) => counts[0] += 1,
            Ok(_) => counts[1] += 1,
            Err(_) => counts[2] += 1,
        }
    }
    result.map(|()| counts)
}

/// Opens the session, as often as it takes, in weather that is fair.
async fn open(driver: &mut Modbus) {
    driver.close().await;
    while driver.open(&mut Readings::new()).await.is_err() {
        driver.close().await;
    }
}

#[tokio::test]
async fn every_weather_passes_and_leaves_right_values_behind() {
    let each = |bytes| Weather::Corrupt(NonZeroU32::new(bytes).unwrap());
    let kinds = [
        Weather::Delay(2 * RESPONSE_TIMEOUT),
        Weather::Cut,
        Weather::Reset,
        Weather::HalfOpen,
        Weather::Swallow,
        Weather::Garbage,
        Weather::Trickle,
        each(1),
        each(7),
        each(101),
    ];
    for scheme in ["tcp", "rtutcp"] {
        let (mut driver, proxy, _tasks) = device(scheme).await;
        for weather in kinds {
            open(&mut driver).await;
            assert_eq!(scan(&mut driver).await, Ok([40, 0, 0]), "before {weather:?} by {scheme}");
            proxy.set(weather);
            let outcome = scan(&mut driver).await;
            match weather {
                Weather::Trickle => assert_eq!(outcome, Ok([40, 0, 0]), "{scheme}"),
                Weather::Corrupt(each) if each.get() > 100 => {
                    let wrong = outcome.is_ok_and(|counts| counts == [40, 0, 0]);
                    assert!(!wrong, "nothing was corrupted by {scheme}");
                }
                _ => {
                    let right = outcome.as_ref().map_or(0, |counts| counts[0]);
                    assert!(right < 40, "{weather:?} by {scheme} changed nothing: {outcome:?}");
                }
            }
            proxy.set(Weather::Fair);
        }
        open(&mut driver).await;
        assert_eq!(scan(&mut driver).await, Ok([40, 0, 0]), "in the end by {scheme}");
    }
}

#[tokio::test]
async fn a_check_sum_lets_no_corrupted_value_through() {
    let (mut driver, proxy, _tasks) = device("rtutcp").await;
    let (mut right, mut without) = (0, 0);
    for each in (40..70).step_by(4) {
        proxy.set(Weather::Fair);
        open(&mut driver).await;
        proxy.set(Weather::Corrupt(NonZeroU32::new(each).unwrap()));
        if let Ok([good, wrong, none]) = scan(&mut driver).await {
            assert_eq!(wrong, 0, "with one byte in {each}");
            (right, without) = (right + good, without + none);
        }
    }
    assert!(right > 0 && without > 0, "{right} right, {without} without a value");
}
