//! What a driver can say of points that nobody has configured.

use pointstream_conn::{Driver, Readings};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::{Config, Limits, Modbus, Registers, Server, Table, Target};
use pointstream_point::{Kind, LearnPath, LearnRow, Tag, Value};

use crate::script::Network;

const MAP: &str = "name,addr,data,rw,scale,dis,unit,tags\n\
                   supplyTemp,30001,s2,r,/10,Supply air temperature,°C,\n\
                   setpoint,40010,s2,rw,/10,,°C,sp\n\
                   reset,00001,bit,w,,Reset,,\n\
                   model,40101,str:16,r,,Model,,\n";

/// What a row says, in one line.
fn line(row: &LearnRow) -> String {
    let kind = row.kind.map_or("-", Kind::as_str);
    let value = row.val.as_ref().map(Value::to_string);
    let unit = row.unit.map(|unit| unit.to_string());
    let learn = row.learn.as_ref().map(LearnPath::as_str);
    let texts =
        [learn, row.cur.as_deref(), row.write.as_deref(), unit.as_deref(), value.as_deref()];
    let texts = texts.map(|text| text.unwrap_or("-"));
    format!("{}|{kind}|{}", row.dis, texts.join("|"))
}

#[tokio::test]
async fn a_map_is_learned_without_asking_the_device() {
    let path = std::env::temp_dir().join(format!("learned-{}.csv", std::process::id()));
    std::fs::write(&path, MAP).unwrap();
    let mut config = Config::new("tcp://plc".parse::<Target>().unwrap(), 1);
    config.register_map = Some(path.clone());
    // A network on which every dial is refused.
    let mut driver = Modbus::with_dial(config, Network::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let rows = driver.learn(None).await.unwrap();
    let lines: Vec<_> = rows.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "Supply air temperature|Number|-|supplyTemp|-|°C|-",
            "setpoint|Number|-|setpoint|setpoint|°C|-",
            "Reset|Bool|-|-|reset|-|-",
            "Model|Str|-|model|-|-|-",
        ]
    );
    assert_eq!(rows[1].tags.get("sp"), Some(&Tag::Marker));
}

#[tokio::test]
async fn without_a_map_ranges_are_scanned_one_after_the_other() {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 998, 4).unwrap();
    registers.define(1, Table::Coil, 3, 1).unwrap();
    registers.set(1, &"holding:#999".parse().unwrap(), Scalar::Int(7)).unwrap();
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let target = format!("tcp://{}", server.local_addr().unwrap()).parse::<Target>().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(registers, std::future::pending()));
    let mut driver = Modbus::new(Config::new(target, 1)).unwrap();
    let roots: Vec<_> = driver.learn(None).await.unwrap().iter().map(line).collect();
    assert_eq!(roots[0], "coil #0 to #999|-|coil:#0-999|-|-|-|-");
    assert_eq!((roots.len(), &*roots[3]), (4, "holding #0 to #999|-|holding:#0-999|-|-|-|-"));
    driver.open(&mut Readings::new()).await.unwrap();
    let mut learned = async |argument: &str| {
        let at = LearnPath::new(argument).unwrap();
        let rows = driver.learn(Some(&at)).await.map_err(|fault| fault.to_string())?;
        Ok::<Vec<String>, String>(rows.iter().map(line).collect())
    };
    let coils = learned("coil:#0-999").await.unwrap();
    assert_eq!(coils[0], "coil 00004|Bool|-|coil:#3|coil:#3|-|false");
    assert_eq!(
        learned("holding:#0-999").await.unwrap(),
        [
            "holding 40999|Number|-|holding:#998|holding:#998|-|0",
            "holding 41000|Number|-|holding:#999|holding:#999|-|7",
            "holding #1000 to #1999|-|holding:#1000-1999|-|-|-|-",
        ]
    );
    assert_eq!(learned("holding:#65000-65535").await.unwrap(), [""; 0], "the last range");
    for argument in ["holding", "holding:40001", "holding:#5-4", "holding:#0-1000", "x:#0-9"] {
        let error = learned(argument).await.unwrap_err();
        assert!(error.starts_with("no range to learn"), "{argument}: {error}");
    }
}
