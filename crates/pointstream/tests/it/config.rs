use core::time::Duration;
use std::path::Path;

use pointstream::point::{Kind, Schedule, Tag, Tuning, Unit, Value};
use pointstream::{Config, ConfigFile, WatchMode};

use crate::bench::id;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "gateway.toml", Path::new("")).map_err(|problems| problems.to_string())
}

const SAMPLE: &str = r#"
listen = "127.0.0.1:9000"

[tuning.fast]
poll_time = "500ms"

[[connector]]
id = "ahu"
kind = "modbus"
uri = "modbus-tcp://127.0.0.1:502"
unit = 1
tuning = "fast"
open_retry = "5s"

[[connector.point]]
id = "ahu.temp"
dis = "Supply air temperature"
kind = "Number"
unit = "°C"
cur = "input:30001:s2:/10"
tags = ["temp", "air", "floor:2", "note:north side"]

[[topic]]
id = "plant"
filter = "temp"
watch = "on-demand"
"#;

#[test]
fn a_file_becomes_a_configuration() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.listen(), "127.0.0.1:9000");
    assert_eq!(config.tunings[&id("fast")].poll_time, Duration::from_millis(500));
    let ahu = &config.connectors[0];
    assert_eq!((ahu.kind.as_str(), ahu.open_retry), ("modbus", Duration::from_secs(5)));
    assert_eq!(ahu.driver["uri"], "modbus-tcp://127.0.0.1:502");
    assert_eq!(ahu.driver["unit"], 1);
    assert_eq!(ahu.driver.len(), 2, "the framework keeps its own keys to itself");
    let temp = &ahu.points[0];
    assert_eq!((temp.kind, temp.dis()), (Kind::Number, "Supply air temperature"));
    assert_eq!(temp.more.tags.get("floor"), Some(&Tag::Value(Value::number(2.0))));
    assert_eq!(temp.more.tags.get("note"), Some(&Tag::Value(Value::str("north side"))));
    assert_eq!(config.topics[0].watch, WatchMode::OnDemand);
}

const LEVELS: &str = r#"
store = "pointstream.redb"
steady_time = "3s"

[enums]
mode = "off, auto"
fan = ["low", "high"]
alarm = { ok = 0, high = 7 }

[tuning.slow]
poll_schedule = "delay"
write_min_time = "2s"
write_max_time = "1hr"
write_on_open = true
write_on_start = true

[[point]]
id = "mode"
kind = "Str"
writable = true
cur_tracks_write = true

[[connector]]
id = "ahu"
kind = "modbus"
poll_freq = "5s"

[[connector.point]]
id = "ahu.temp"
kind = "Number"
unit = "°C"
cur = "input:30001"
write = "holding:40001"
cur_convert = "* 0.1"
write_convert = "* 10"
cur_calibration = "0.5 Δ°C"
write_limit = "10s"
"#;

#[test]
fn converts_levels_and_tunings_are_configured() {
    let config = parse(LEVELS).unwrap();
    assert_eq!(config.store.as_deref(), Some(Path::new("pointstream.redb")));
    assert_eq!(config.steady_time(), Duration::from_secs(3));
    assert_eq!(config.enums.get("mode").unwrap().code("auto"), Some(1));
    assert_eq!(config.enums.get("fan").unwrap().code("high"), Some(1));
    assert_eq!(config.enums.get("alarm").unwrap().code("high"), Some(7));
    let slow = Tuning::default()
        .with_poll_schedule(Schedule::Delay)
        .with_write_min_time(Duration::from_secs(2))
        .with_write_max_time(Duration::from_secs(3600))
        .with_write_on_open(true)
        .with_write_on_start(true);
    assert_eq!(config.tunings[&id("slow")], slow);
    assert!(config.points[0].is_writable() && config.points[0].more.cur_tracks_write);
    let ahu = &config.connectors[0];
    assert_eq!(ahu.poll_freq, Some(Duration::from_secs(5)));
    let more = &ahu.points[0].more;
    assert_eq!(more.cur_convert.as_deref(), Some("* 0.1"));
    assert_eq!(more.write_convert.as_deref(), Some("* 10"));
    assert_eq!(more.cur_calibration, Some(Value::Number(0.5, Unit::parse("Δ°C").ok())));
    assert_eq!(more.write_limit, Some(Duration::from_secs(10)));
}

#[test]
fn what_is_wrong_with_converts_and_levels_is_told_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(LEVELS.contains(from), "{from} is in the sample");
        let error = parse(&LEVELS.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error, format!("gateway.toml:{expected}"), "{from} -> {to}");
    };
    check(
        "0.5 Δ°C",
        "0.5 Q",
        "36:19: unknown unit: expected a name or symbol of the Project Haystack unit database, not \"Q\"",
    );
    check("0.5 Δ°C", "x", "36:19: not a number: \"x\"");
    check("\"delay\"", "\"later\"", "11:17: unknown variant `later`, expected `grid` or `delay`");
    check(
        "writable = true",
        "write = \"coil:1\"\nwritable = true",
        "17:1: the point mode has an address: put it under its connector",
    );
    check(
        "[\"low\", \"high\"]",
        "7",
        "7:7: expected \"off, on\", [\"off\", \"on\"] or { off = 0, on = 1 }",
    );
}

#[test]
fn a_point_may_stand_under_two_connectors_if_it_prefers_one() {
    let second = "[[connector]]\nid = \"b\"\nkind = \"bacnet\"\n\
                  [[connector.point]]\nid = \"ahu.temp\"\nkind = \"Number\"\n";
    assert!(parse(&format!("{LEVELS}{second}")).is_err());
    let prefer = "tags = [\"connDupPref:modbus\"]\n";
    let text = format!("{LEVELS}{prefer}{second}{prefer}");
    assert_eq!(parse(&text).unwrap().connectors.len(), 2);
}

#[test]
fn every_problem_is_told_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(SAMPLE.contains(from), "{from} is in the sample");
        let error = parse(&SAMPLE.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error, format!("gateway.toml:{expected}"), "{from} -> {to}");
    };
    check(
        "listen =",
        "listne =",
        "2:1: unknown field `listne`, expected one of `listen`, `allowed_hosts`, `allowed_origins`, `token_file`, `tuning`, `store`, `history`, `steady_time`, `enums`, `point`, `connector`, `topic`, `publish`, `source`, `sparkplug`",
    );
    check(
        "\"500ms\"",
        "\"500\"",
        "5:13: expected a duration with its unit, such as \"500ms\", \"10s\", \"5min\" or \"1hr\", not \"500\"",
    );
    check(
        "tuning = \"fast\"",
        "tuning = \"slow\"",
        "12:10: unknown tuning slow: add a table [tuning.slow]",
    );
    check(
        "id = \"ahu\"",
        "id = \"a h u\"",
        "8:6: an id has only the characters A-Z a-z 0-9 _ . : ~ -, not ' ' (in \"a h u\")",
    );
    check(
        "kind = \"Number\"",
        "kind = \"Float\"",
        "18:8: unknown variant `Float`, expected one of `Bool`, `DateTime`, `Number`, `Str`",
    );
    check(
        "unit = \"°C\"",
        "unit = \"°X\"",
        "19:8: unknown unit: expected a name or symbol of the Project Haystack unit database, not \"°X\"",
    );
    check(
        "cur =",
        "curr =",
        "20:1: unknown field `curr`, expected one of `id`, `dis`, `kind`, `unit`, `cur`, `write`, `his`, `his_convert`, `cur_convert`, `write_convert`, `cur_calibration`, `writable`, `cur_tracks_write`, `write_limit`, `min`, `max`, `step`, `disabled`, `tuning`, `tags`",
    );
    check(
        "\"temp\", ",
        "\"Temp\", ",
        "21:9: \"Temp\" is not a tag: a tag's name begins with a-z and goes on with A-Z a-z 0-9 _",
    );
    check(
        "filter = \"temp\"",
        "filter = \"temp and\"",
        "25:10: expected the name of a tag at character 9 of the filter",
    );
    check(
        "\"on-demand\"",
        "\"sometimes\"",
        "26:9: unknown variant `sometimes`, expected `always` or `on-demand`",
    );
    check("cur = \"input", "min = 5\nmax = 1\ncur = \"input", "15:1: min 5 is above max 1");
}

#[test]
fn what_is_not_toml_says_where() {
    let error = parse("listen = \"127.0.0.1:80\n").unwrap_err();
    assert!(error.starts_with("gateway.toml:1:"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn ids_are_given_once() {
    let twice = format!("{SAMPLE}\n[[topic]]\nid = \"plant\"\n");
    let expected = "gateway.toml:29:6: the topic plant exists already, at gateway.toml:24";
    assert_eq!(parse(&twice).unwrap_err(), expected);
}

#[test]
fn points_come_from_csv_files_too() {
    let dir = std::env::temp_dir().join(format!("pointstream-csv-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let toml = "[[connector]]\nid = \"m\"\nkind = \"modbus\"\npoints = \"m.csv\"\n";
    std::fs::write(dir.join("m.csv"), "id,kind,cur\nm.a,Number,input:30001\nm.b,Bool,coil:1\n")
        .unwrap();
    let config = Config::parse(toml, "gateway.toml", &dir).unwrap();
    assert_eq!(config.connectors[0].points.len(), 2);
    std::fs::write(dir.join("m.csv"), "id,kind\nm.a,Number\nm.a,Number\nm.c,Float\n").unwrap();
    let error = Config::parse(toml, "gateway.toml", &dir).unwrap_err();
    let messages: Vec<_> =
        error.iter().map(|problem| (problem.place, problem.message.clone())).collect();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].0, Some((3, 1)));
    assert!(messages[0].1.starts_with("the point m.a exists already, at "), "{messages:?}");
    assert_eq!(messages[1].0, Some((4, 1)));
    let missing = Config::parse(
        "[[connector]]\nid = \"m\"\nkind = \"x\"\npoints = \"no.csv\"\n",
        "g.toml",
        &dir,
    );
    let error = missing.unwrap_err().to_string();
    assert!(error.starts_with("g.toml:4:10: cannot read "), "{error}");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The text of the code block that a page's sample is in.
fn sample(page: &str) -> String {
    let after = page.split("```toml\n").nth(1).unwrap();
    after.split("```").next().unwrap().to_owned()
}

#[cfg(all(feature = "modbus", feature = "http", feature = "iotmp"))]
#[tokio::test]
async fn every_sample_in_the_documents_is_a_good_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let mut registry = pointstream::conn::Registry::new();
    pointstream::modbus::register(&mut registry);
    pointstream::iotmp::register(&mut registry);
    let gateway = pointstream::Gateway::new(registry);
    for path in ["docs/drivers/iotmp.md", "docs/drivers/modbus.md", "examples/gateway.toml"] {
        let text = if path.ends_with(".md") { sample(&read(path)) } else { read(path) };
        // A page shows connectors; the tunings that they name are the reader's own.
        let tunings = if path.ends_with(".md") { "[tuning.fast]\n[tuning.slow]\n" } else { "" };
        let config = Config::parse(&format!("{tunings}{text}"), path, Path::new("")).unwrap();
        assert!(!config.connectors.is_empty(), "{path}");
        assert_eq!(gateway.check(&config).unwrap(), [], "{path}");
    }
}

#[test]
fn the_readmes_program_is_the_minimal_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown = readme.split("```rust,no_run\n").nth(1).unwrap().split("```").next().unwrap();
    let example = std::fs::read_to_string(root.join("examples/minimal.rs")).unwrap();
    assert!(example.ends_with(shown), "README.md shows another program than examples/minimal.rs");
}

#[tokio::test(start_paused = true)]
async fn a_problem_that_is_mended_in_a_new_file_of_points_is_noticed() {
    let dir = std::env::temp_dir().join(format!("pointstream-mended-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("gateway.toml", "");
    let mut file = ConfigFile::new(dir.join("gateway.toml"));
    file.read().unwrap();
    write("points.csv", "id,kind\na,Float\n");
    write("gateway.toml", "[[connector]]\nid = \"a\"\nkind = \"fake\"\npoints = \"points.csv\"\n");
    file.read().unwrap_err();
    let mend = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        write("points.csv", "id,kind\na,Number\n");
    };
    let changed = tokio::time::timeout(Duration::from_secs(60), file.changed());
    let (changed, ()) = tokio::join!(changed, mend);
    changed.expect("the change was noticed");
    assert_eq!(file.read().unwrap().connectors[0].points.len(), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}
