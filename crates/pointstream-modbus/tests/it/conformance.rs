use core::time::Duration;

use pointstream_conn::{Binding, Write};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::rtu::Line;
use pointstream_modbus::{Config, Limits, Modbus, Registers, Server, Table};
use pointstream_point::{Kind, PointKey, Value};
use pointstream_test::conformance::{self, Points};

fn binding(slot: u32, kind: Kind, address: &str) -> Binding {
    let key = PointKey { shard: 1, slot, generation: 1 };
    let mut binding = Binding::new(key, kind);
    binding.cur = Some(address.into());
    binding.write = address.starts_with(['h', 'c']).then(|| address.into());
    binding
}

#[tokio::test]
async fn the_driver_conforms() {
    conforms("modbus-tcp", |server| server).await;
}

#[tokio::test]
async fn the_driver_conforms_with_rtu_frames() {
    conforms("modbus-rtutcp", |server| server.with_line(Line::tunnel())).await;
}

async fn conforms(scheme: &str, framed: impl FnOnce(Server) -> Server) {
    let registers = Registers::new();
    for table in [Table::Holding, Table::Input, Table::Coil] {
        registers.define(1, table, 0, 20).unwrap();
    }
    registers.set(1, &"input:30001:f4".parse().unwrap(), Scalar::Float(1.5)).unwrap();
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let addr = server.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(framed(server).run(registers, std::future::pending()));
    let readable = vec![
        binding(0, Kind::Number, "input:30001:f4"),
        binding(1, Kind::Number, "holding:40001:s2:/10"),
        binding(2, Kind::Number, "holding:40010:f8"),
        binding(3, Kind::Bool, "coil:00003"),
        binding(4, Kind::Bool, "holding:40005:bit:3"),
    ];
    let write = |at: usize, value| Write::new(readable[at].key, value);
    let writes = vec![
        write(1, Value::number(-21.5)),
        write(2, Value::number(0.125)),
        write(3, Value::Bool(true)),
        write(4, Value::Bool(true)),
    ];
    let bad = binding(9, Kind::Number, "holding:30001");
    let points = Points::new(readable).with_writes(writes).with_bad(bad);
    let config = serde_json::json!({"uri": format!("{scheme}://{addr}"), "unit": 1});
    let config: Config = serde_json::from_value(config).unwrap();
    let make = || Modbus::new(config.clone()).unwrap();
    let run = conformance::driver(make, &points);
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
}
