//! The Modbus client as a process, against the server as another.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// An example, which `cargo test` builds before it runs this.
fn example(name: &str) -> Command {
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().unwrap().parent().unwrap();
    let mut command = Command::new(target.join("examples").join(name));
    command.stdin(Stdio::null());
    command
}

/// A device that runs, on a port of its own.
struct Device {
    child: Child,
    url: String,
}

impl Device {
    fn start(scheme: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("{scheme}://{free}");
        let mut command = example("modbus_server");
        let mut child = command.arg(&url).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening"), "{line}");
        Self { child, url }
    }

    /// Runs the client on this device and gives its exit code, output and errors.
    fn run(&self, command: &str, arguments: &[&str]) -> (i32, String, String) {
        parts(example("modbus").args([command, &self.url]).args(arguments).output().unwrap())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let errors = text(output.stderr);
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code().unwrap(), text(output.stdout), errors)
}

fn ok(out: &str) -> (i32, String, String) {
    (0, out.to_owned(), String::new())
}

#[test]
fn points_are_read_and_written_line_by_line() {
    for scheme in ["tcp", "rtutcp"] {
        let device = Device::start(scheme);
        let read = |arguments: &[&str]| device.run("read", arguments);
        assert_eq!(
            read(&["holding:40008", "input:#12:u2:/10", "coil:00002", "discrete:#4"]),
            ok("holding:40008 7\ninput:#12:u2:/10 1.2\ncoil:00002 true\ndiscrete:#4 false\n")
        );
        let values = [
            "holding:#10:f4le=-2.5",
            "coil:#4=on",
            "holding:#20:str:8=pump",
            "holding:#30:bit:4=true",
        ];
        assert_eq!(
            device.run("write", &values),
            ok(
                "holding:#10:f4le -2.5\ncoil:#4 true\nholding:#20:str:8 pump\nholding:#30:bit:4 true\n"
            )
        );
        assert_eq!(
            read(&[
                "--unit",
                "1",
                "holding:#10:f4le",
                "coil:#4",
                "holding:#20:str:8",
                "holding:#30"
            ]),
            ok("holding:#10:f4le -2.5\ncoil:#4 true\nholding:#20:str:8 pump\nholding:#30 30\n")
        );
        assert_eq!(read(&["--unit", "2", "holding:#10"]), ok("holding:#10 10\n"));
    }
}

#[test]
fn what_fails_is_told_with_its_reason_and_ends_with_1() {
    let device = Device::start("tcp");
    let absent = "Exception code 2: Illegal Data Address [40901 count=1]";
    let prefix = "a number of table holding begins with 4, as 40001 does (in \"holding:30001\")";
    let (code, out, errors) = device.run("read", &["holding:#900", "holding:#1", "holding:30001"]);
    assert_eq!((code, out.as_str()), (1, "holding:#1 1\n"));
    assert_eq!(errors, format!("holding:#900: {absent}\nholding:30001: {prefix}\n"));
    let (code, out, errors) = device.run("read", &["--json", "holding:#900", "holding:#1"]);
    assert_eq!((code, errors.as_str()), (1, ""));
    assert_eq!(
        out,
        format!(
            "{{\"address\":\"holding:#900\",\"error\":\"{absent}\"}}\n\
             {{\"address\":\"holding:#1\",\"value\":1}}\n"
        )
    );
    let (code, out, errors) =
        device.run("write", &["input:30001=1", "holding:#1=70000", "holding:#2=x", "coil:#1=7"]);
    assert_eq!((code, out.as_str()), (1, ""));
    for reason in [
        "input:30001: table input cannot be written",
        "holding:#1: cannot write 70000: the value does not fit u2",
        "holding:#2: expected a number, not \"x\"",
        "coil:#1: expected true or false, not \"7\"",
    ] {
        assert!(errors.contains(reason), "{errors}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("tcp://{closed}");
    let output = example("modbus").args(["read", &url, "coil:#0", "coil:#1"]).output();
    let (code, _, errors) = parts(output.unwrap());
    assert_eq!((code, errors.matches("Connection refused").count()), (1, 2), "{errors}");
}

#[test]
fn blocks_are_as_long_as_they_may_be_and_can_be_looked_at() {
    let device = Device::start("tcp");
    let sent = |arguments: &[&str]| {
        let (code, _, trace) = device.run("read", &[&["--trace"], arguments].concat());
        assert_eq!(code, 0, "{trace}");
        let of_unit_1 = |line: &&str| line.starts_with("> ") && line.contains(" 01 03 ");
        let frames: Vec<String> = trace.lines().filter(of_unit_1).map(str::to_owned).collect();
        // The first is the sign of life.
        frames.iter().skip(1).map(|line| line[line.len() - 11..].to_owned()).collect::<Vec<_>>()
    };
    let all = ["holding:#0", "holding:#1", "holding:#5"];
    assert_eq!(sent(&all), ["00 00 00 02", "00 05 00 01"]);
    assert_eq!(sent(&[&["--gap", "3"], &all[..]].concat()), ["00 00 00 06"]);
    let single = ["00 00 00 01", "00 01 00 01", "00 05 00 01"];
    assert_eq!(sent(&[&["--max", "1"], &all[..]].concat()), single);
    // With a window the three go out together.
    assert_eq!(sent(&[&["--max", "1", "--window", "8"], &all[..]].concat()), ["00 05 00 01"]);
}

#[test]
fn a_device_is_scanned_identified_and_watched() {
    let device = Device::start("tcp");
    assert_eq!(
        device.run("id", &[]),
        ok(concat!(
            "vendorName pointstream\nproductCode modbus_server\nrevision ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ))
    );
    let (code, out, _) = device.run("scan", &["holding:40199-40300", "coil:#198-#201"]);
    assert_eq!(code, 0);
    assert_eq!(out, "holding:40199 198\nholding:40200 199\ncoil:00199 false\ncoil:00200 true\n");
    let (_, out, _) = device.run("scan", &["--units", "1-4"]);
    assert_eq!(out, "unit 1\nunit 2\n");
    let (_, out, _) = device.run("scan", &[]);
    assert_eq!(out.lines().count(), 400);
    let (code, out, _) = device.run("watch", &["--count", "3", "--every", "10ms", "coil:#1"]);
    assert_eq!((code, out.as_str()), (0, "coil:#1 true\n"), "what does not change is shown once");
}

#[test]
fn a_register_map_gives_names() {
    let device = Device::start("tcp");
    let path = std::env::temp_dir().join(format!("pointstream-map-{}.csv", std::process::id()));
    std::fs::write(&path, "name,addr,data,rw,scale\ntemp,40008,u2,r,/10\nrun,00001,bit,rw,\n")
        .unwrap();
    let map = path.display().to_string();
    let read = device.run("read", &["--map", &map, "temp", "run", "holding:#7"]);
    let written = device.run("write", &["--map", &map, "run=on"]);
    let refused = device.run("write", &["--map", &map, "temp=1"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read, ok("temp 0.7\nrun false\nholding:#7 7\n"));
    assert_eq!(written, ok("run true\n"));
    assert_eq!(refused.2, "temp: the register map says that temp is not written\n");
    let (code, _, errors) = device.run("read", &["--map", &map, "temp"]);
    assert_eq!(code, 1);
    assert!(errors.contains("the register map could not be read"), "{errors}");
}

#[test]
fn a_wrong_command_line_says_what_is_wrong_and_ends_with_2() {
    for (arguments, reason) in [
        (&[][..], "a command is missing"),
        (&["poll"], "unknown command \"poll\""),
        (&["read"], "the URL is missing"),
        (&["read", "plc"], "plc: expected modbus-tcp://host:port"),
        (&["read", "tcp://plc"], "there is no address"),
        (&["write", "tcp://plc", "coil:#1"], "expected ADDRESS=VALUE, not \"coil:#1\""),
        (&["read", "tcp://plc", "--max", "0", "coil:#1"], "expected a number from 1 to 2000"),
        (&["read", "tcp://plc", "--unit", "256", "coil:#1"], "256"),
        (&["scan", "tcp://plc", "--units", "9-1"], "expected units such as 1-247"),
        (&["read", "tcp://plc", "--timeout", "1", "coil:#1"], "expected a duration with its unit"),
        (&["read", "tcp://plc", "--frobnicate"], "invalid option '--frobnicate'"),
    ] {
        let (code, out, errors) = parts(example("modbus").args(arguments).output().unwrap());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains(reason) && errors.contains("--help"), "{errors}");
    }
    let (code, out, _) = parts(example("modbus").arg("--help").output().unwrap());
    assert!(code == 0 && out.contains("Usage: modbus read URL"));
}
