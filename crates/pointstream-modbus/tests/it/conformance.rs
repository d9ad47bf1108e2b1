use core::time::Duration;

use pointstream_conn::{Binding, Driver, Write};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::rtu::Line;
use pointstream_modbus::{Config, Limits, Modbus, Registers, Server, Table};
use pointstream_point::{Kind, LearnRow, PointKey, Tag, Unit, Value};
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
    let map = format!("pointstream-modbus-{scheme}-{}.csv", std::process::id());
    let map = std::env::temp_dir().join(map);
    std::fs::write(&map, MAP).unwrap();
    let uri = format!("{scheme}://{addr}");
    let config = serde_json::json!({"uri": uri, "unit": 1, "register_map": map});
    let config: Config = serde_json::from_value(config).unwrap();
    let make = || Modbus::new(config.clone()).unwrap();
    let run = conformance::driver(make, &points);
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
    let rows = make().learn(None).await.unwrap();
    std::fs::remove_file(&map).unwrap();
    let mut supply = LearnRow::new("Supply air").with_cur(Kind::Number, "supply");
    supply = supply.with_unit(Unit::parse("°C").ok());
    supply.tags.set("air", Tag::Marker);
    supply.tags.set("temp", Tag::Marker);
    let mut run = LearnRow::new("run").with_cur(Kind::Bool, "run").with_write("run");
    run.tags.set("cmd", Tag::Marker);
    assert_eq!(rows, [supply, run]);
}

/// A register map whose registers are learned.
const MAP: &str = "name,addr,data,rw,scale,dis,unit,tags\n\
    supply,30001,s2,r,/10,Supply air,°C,air temp\n\
    run,00003,bit,rw,,,,cmd\n";
