//! The driver and the server over real sockets; tests wait for events and never for the clock.

use std::net::SocketAddr;
use std::time::Duration;

use pointstream_conn::{Binding, Context, Driver, Reading, Readings, Registry, Write};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::{Config, Limits, Modbus, Registers, Server, Table, Target, register};
use pointstream_net::{Stream, dial};
use pointstream_point::{Kind, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::script::{hex, key};

const LONG: Duration = Duration::from_secs(20);

fn plant() -> Registers {
    let registers = Registers::new();
    for table in Table::ALL {
        registers.define(1, table, 0, 200).unwrap();
    }
    registers.define(7, Table::Input, 0, 4).unwrap();
    registers
}

/// Serves `registers` while `test` runs, then shuts down and waits for the server's end.
async fn serving<T>(
    registers: &Registers,
    limits: Limits,
    test: impl AsyncFnOnce(SocketAddr) -> T,
) -> T {
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let run = server.run(registers.clone(), async {
        let _ = stopped.await;
    });
    let test = async {
        let result = test(address).await;
        let _ = stop.send(());
        result
    };
    tokio::join!(test, run).0
}

async fn connect(address: SocketAddr) -> Stream {
    dial(&address.to_string().parse().unwrap(), LONG).await.unwrap()
}

async fn exchange(stream: &mut Stream, bytes: &str, answer_len: usize) -> Vec<u8> {
    stream.write_all(&hex(bytes)).await.unwrap();
    let mut answer = vec![0; answer_len];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// Reads until the server closes; what came before.
async fn rest(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is as good an end as an orderly one.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn every_type_goes_through_driver_and_server_and_back() {
    const POINTS: [(Kind, &str, f64); 14] = [
        (Kind::Bool, "coil:00005", 1.0),
        (Kind::Bool, "holding:40001:bit:15", 1.0),
        (Kind::Number, "holding:40002:u1", 255.0),
        (Kind::Number, "holding:40003:u2le", 65_534.0),
        (Kind::Number, "holding:40004:u4lew", 4_294_967_295.0),
        (Kind::Number, "holding:40006:s1", -128.0),
        (Kind::Number, "holding:40007", 12.0),
        (Kind::Number, "holding:40008:s4leb", -2_147_483_648.0),
        (Kind::Number, "holding:40010:s8le", -9_007_199_254_740_991.0),
        (Kind::Number, "holding:40014:f4le", 21.5),
        (Kind::Number, "holding:40016:f8lew", -0.1),
        (Kind::Number, "holding:40020:s2:/10", -12.3),
        (Kind::Number, "holding:40021:u2:/10 + 5", 26.5),
        (Kind::Number, "holding:40100:f4", 1e30f32 as f64),
    ];
    let registers = plant();
    serving(&registers, Limits::default(), async |address| {
        let target: Target = format!("tcp://{address}").parse().unwrap();
        let mut driver = Modbus::new(Config::new(target, 1)).unwrap();
        let mut into = Readings::new();
        let mut writes = Vec::new();
        let mut bindings = Vec::new();
        for (slot, (kind, text, number)) in (0..).zip(POINTS) {
            let mut binding = Binding::new(key(slot), kind);
            binding.cur = Some(text.into());
            binding.write = Some(text.into());
            bindings.push(binding);
            let value = if kind == Kind::Bool { Value::Bool(true) } else { Value::number(number) };
            writes.push(Write::new(key(slot), value));
        }
        driver.bind(&bindings, &mut into);
        driver.open(&mut into).await.unwrap();
        driver.write(&writes, &mut into).await.unwrap();
        assert!(into.is_empty(), "{into:?}");
        let keys: Vec<_> = bindings.iter().map(|binding| binding.key).collect();
        let plan = driver.plan(&keys);
        assert_eq!(plan.len(), 3);
        driver.read(&plan, &mut into).await.unwrap();
        let mut read: Vec<_> = into.drain().collect();
        read.sort_by_key(|reading| match reading {
            Reading::Cur(key, _) => key.slot,
            other => panic!("{other:?}"),
        });
        let expected: Vec<_> =
            writes.iter().map(|write| Reading::Cur(write.key, Ok(write.value.clone()))).collect();
        assert_eq!(read, expected);
        driver.close().await;
    })
    .await;
    let bit = registers.get(1, &"holding:40001:bit:15".parse().unwrap());
    assert_eq!(bit, Ok(Scalar::Bool(true)));
}

#[tokio::test]
async fn the_registered_kind_reads_what_the_configuration_names() {
    let registers = plant();
    registers.set(7, &"input:30001:f4".parse().unwrap(), Scalar::Float(3.5)).unwrap();
    serving(&registers, Limits::default(), async |address| {
        let mut registry = Registry::new();
        register(&mut registry);
        let config = serde_json::json!({ "uri": format!("modbus-tcp://{address}"), "unit": 7 });
        let context = Context::new("ahu".parse().unwrap(), 0);
        let driver = registry.make("modbus", config, &context).unwrap();
        assert!(driver.features().poll && driver.features().write && !driver.features().watch);
        let refused = registry.make("modbus", serde_json::json!({ "unit": 7 }), &context);
        assert_eq!(refused.unwrap_err().to_string(), "missing field `uri`");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_read_again_with_its_changed_values() {
    let registers = plant();
    let address = serving(&registers, Limits::default(), async |address| address).await;
    let target: Target = format!("tcp://{address}").parse().unwrap();
    let mut driver = Modbus::new(Config::new(target, 1)).unwrap();
    let mut into = Readings::new();
    let mut binding = Binding::new(key(0), Kind::Number);
    binding.cur = Some("holding:40001".into());
    driver.bind(&[binding], &mut into);
    assert!(driver.open(&mut into).await.is_err(), "nobody listens");
    let holding = "holding:40001".parse().unwrap();
    for round in 1..=3 {
        let server = Server::bind(address, Limits::default()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = server.run(registers.clone(), async {
            let _ = stopped.await;
        });
        registers.set(1, &holding, Scalar::Int(round)).unwrap();
        let test = async {
            if round == 1 {
                driver.open(&mut into).await.unwrap();
            }
            // From the second round on the driver finds its connection closed meanwhile.
            let plan = driver.plan(&[key(0)]);
            driver.read(&plan, &mut into).await.unwrap();
            let _ = stop.send(());
        };
        tokio::join!(test, run);
        let read: Vec<_> = into.drain().collect();
        assert_eq!(read, [Reading::Cur(key(0), Ok(Value::number(round as f64)))]);
    }
}

#[tokio::test]
async fn the_server_answers_exceptions_in_their_places() {
    serving(&plant(), Limits::default(), async |address| {
        let mut stream = connect(address).await;
        for (request, answer) in [
            // Behind the end, too many, none, an unknown function, an unknown unit, input 4 of 7.
            ("0001 0000 0006 01 03 00C7 0002", "0001 0000 0003 01 83 02"),
            ("0002 0000 0006 01 03 0000 007E", "0002 0000 0003 01 83 03"),
            ("0003 0000 0006 01 01 0000 0000", "0003 0000 0003 01 81 03"),
            ("0004 0000 0002 01 11", "0004 0000 0003 01 91 01"),
            ("0005 0000 0006 02 04 0000 0001", "0005 0000 0003 02 84 0B"),
            ("0006 0000 0006 07 04 0003 0002", "0006 0000 0003 07 84 02"),
            ("0007 0000 0006 07 03 0000 0001", "0007 0000 0003 07 83 02"),
            ("0008 0000 0006 01 03 FFFF 0002", "0008 0000 0003 01 83 02"),
            ("0009 0000 0006 01 05 0000 1234", "0009 0000 0003 01 85 03"),
            ("000A 0000 0006 01 06 00C8 0001", "000A 0000 0003 01 86 02"),
        ] {
            assert_eq!(exchange(&mut stream, request, 9).await, hex(answer), "{request}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_that_does_not_fit_whole_writes_nothing() {
    let registers = plant();
    serving(&registers, Limits::default(), async |address| {
        let mut stream = connect(address).await;
        let write = "0001 0000 000B 01 10 00C7 0002 04 0005 0006";
        assert_eq!(exchange(&mut stream, write, 9).await, hex("0001 0000 0003 01 90 02"));
    })
    .await;
    assert_eq!(registers.get(1, &"holding:40200".parse().unwrap()), Ok(Scalar::Int(0)));
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_order_and_in_single_bytes_too() {
    let registers = plant();
    registers.set(1, &"coil:00002".parse().unwrap(), Scalar::Bool(true)).unwrap();
    serving(&registers, Limits::default(), async |address| {
        let mut stream = connect(address).await;
        let two = "0001 0000 0006 01 01 0000 0002 0002 0000 0006 01 06 0000 0009";
        let answers = hex("0001 0000 0004 01 01 01 02 0002 0000 0006 01 06 0000 0009");
        assert_eq!(exchange(&mut stream, two, answers.len()).await, answers);
        for byte in hex(two) {
            stream.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(exchange(&mut stream, "", answers.len()).await, answers);
    })
    .await;
}

#[tokio::test]
async fn garbage_closes_its_connection_and_no_other() {
    serving(&plant(), Limits::default(), async |address| {
        let mut good = connect(address).await;
        let mut bad = connect(address).await;
        bad.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(rest(&mut bad).await, b"");
        let read = "0001 0000 0006 01 03 0000 0001";
        assert_eq!(exchange(&mut good, read, 11).await, hex("0001 0000 0005 01 03 02 0000"));
    })
    .await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_a_free_place_is_given_again() {
    let limits = Limits::default().with_connections_max(1);
    serving(&plant(), limits, async |address| {
        let read = "0001 0000 0006 01 03 0000 0001";
        let mut first = connect(address).await;
        exchange(&mut first, read, 11).await;
        assert_eq!(rest(&mut connect(address).await).await, b"");
        drop(first);
        // The place is free when the server has seen the end of the first.
        loop {
            let mut next = connect(address).await;
            let mut answer = [0; 11];
            let _ = next.write_all(&hex(read)).await;
            if next.read_exact(&mut answer).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_even_if_it_trickles() {
    let limits = Limits::default().with_idle_timeout(Duration::from_millis(50));
    serving(&plant(), limits, async |address| {
        let mut stream = connect(address).await;
        assert_eq!(rest(&mut stream).await, b"");
        let mut stream = connect(address).await;
        stream.write_all(&[0]).await.unwrap();
        assert_eq!(rest(&mut stream).await, b"");
    })
    .await;
}

#[tokio::test]
async fn shutting_down_closes_every_connection() {
    let mut stream = serving(&plant(), Limits::default(), async |address| {
        let mut stream = connect(address).await;
        exchange(&mut stream, "0001 0000 0006 01 03 0000 0001", 11).await;
        stream
    })
    .await;
    assert_eq!(rest(&mut stream).await, b"");
}
