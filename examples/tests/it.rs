//! The examples as processes: the gateway's command line, its signals, its configuration while it runs,
//! what `json_patch` and `iotmp_inspect` answer, and the Modbus client.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "it/iotmp.rs"]
mod iotmp;
#[path = "it/json_patch.rs"]
mod json_patch;
mod modbus;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The example, which `cargo test` builds before it runs this.
fn gateway() -> Command {
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().unwrap().parent().unwrap();
    let mut command = Command::new(target.join("examples/gateway"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn output(arguments: &[&str]) -> Output {
    gateway().args(arguments).output().unwrap()
}

/// What a run that must fail says on its last line.
fn failure(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pointstream-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        // Replaced in one step, as editors do.
        let fresh = self.0.join(format!("{name}.new"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gateway that runs, on a port of its own.
struct Running {
    child: Child,
    addr: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = gateway();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut addr = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(found) = line.strip_prefix("Console  http://") {
                addr = found.trim_end_matches('/').parse().ok();
                break;
            }
        }
        Self { child, addr: addr.unwrap(), log }
    }

    /// Reads the log up to a line that has this text.
    fn until(&mut self, text: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ended before {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn get(&self, path: &str) -> String {
        self.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.addr
        ))
    }

    fn request(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Ends it and gives how it ended.
    fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ONE: &str = r#"
[[connector]]
id = "plc"
kind = "modbus"
uri = "modbus-tcp://127.0.0.1:9"
unit = 1

[[connector.point]]
id = "plc.a"
kind = "Number"
cur = "holding:40001"
"#;

#[test]
fn help_version_and_the_sample_are_printed() {
    for (argument, expected) in
        [("--help", "--no-simulator"), ("-V", "gateway 0."), ("--print-config", "[[connector]]")]
    {
        let output = output(&[argument]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{argument}");
    }
}

#[test]
fn what_cannot_be_started_says_why_in_one_line() {
    let folder = Folder::new("bad");
    let missing = folder.0.join("none.toml").display().to_string();
    let expected = format!("gateway: {missing}: No such file or directory (os error 2)");
    assert_eq!(failure(&["--config", &missing]), expected);
    let unknown = folder.write("unknown.toml", &ONE.replace("unit = 1", "unit = 1\ncolour = 1"));
    let line = failure(&["--config", &unknown]);
    assert!(
        line.starts_with(&format!("gateway: {unknown}:7:1: connector plc: unknown field `colour`")),
        "{line}"
    );
    let unknown = folder.write("top.toml", &format!("colour = 1\n{ONE}"));
    let line = failure(&["--config", &unknown]);
    assert!(line.starts_with(&format!("gateway: {unknown}:1:1: unknown field `colour`")), "{line}");
    let line = failure(&["--colour"]);
    assert_eq!(line, "gateway: invalid option '--colour'; --help lists the options");
    let line = failure(&["--no-simulator"]);
    assert_eq!(line, "gateway: without the simulator there is nothing to read: name a --config");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let line = failure(&["--listen", &addr]);
    assert!(line.contains(&addr) && line.contains("another program uses this address"), "{line}");
}

#[test]
fn check_tells_good_from_bad_with_the_place() {
    let folder = Folder::new("check");
    let good = folder.write("good.toml", ONE);
    let output = output(&["--check", "--config", &good]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "The configuration is good: 1 connectors, 1 points.\n");
    let bad = folder.write("bad.toml", &ONE.replace("holding:40001", "holding:30001"));
    let line = failure(&["--check", "--config", &bad]);
    assert!(line.starts_with(&format!("gateway: {bad}:8:1: point plc.a: ")), "{line}");
    let embedded = gateway().arg("--check").output().unwrap();
    assert!(embedded.status.success(), "{embedded:?}");
}

#[test]
fn the_plant_is_served_and_an_interrupt_ends_it_cleanly() {
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&[]);
        assert!(running.get("/healthz").starts_with("HTTP/1.1 200"));
        assert!(running.get("/").contains("<!doctype html"));
        let points = running.get("/v1/points?limit=3");
        assert!(points.to_lowercase().contains("\r\nlink: <"), "{points}");
        // A subscriber that stays does not hold up the end.
        let mut subscriber = TcpStream::connect(running.addr).unwrap();
        let request = format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n\r\n", running.addr);
        subscriber.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 15];
        subscriber.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        assert_eq!(running.end(signal).code(), Some(0));
    }
}

#[test]
fn a_saved_file_is_applied_by_difference_and_a_bad_one_refused_whole() {
    let folder = Folder::new("reload");
    let path = folder.write("gateway.toml", ONE);
    let mut running = Running::start(&["--config", &path]);
    let second = ONE.replace("plc", "two");
    // A signal has it read at once, for whoever does not want to wait for the next look.
    folder.write("gateway.toml", &format!("{ONE}{second}"));
    running.signal("-HUP");
    let line = running.until("The configuration was applied.");
    assert!(line.contains("added=[@two]") && line.contains("replaced=[]"), "{line}");
    assert!(running.get("/v1/connectors").contains("\"id\":\"two\""));
    folder.write("gateway.toml", &format!("{ONE}{second}colour = 1\n"));
    let line = running.until("The configuration stays as it was");
    assert!(line.contains("gateway.toml:23:1: unknown field `colour`"), "{line}");
    assert!(running.get("/v1/connectors").contains("\"id\":\"two\""));
    folder.write("gateway.toml", ONE);
    let line = running.until("The configuration was applied.");
    assert!(line.contains("removed=[@two]"), "{line}");
    assert_eq!(running.end("-INT").code(), Some(0));
}

#[test]
fn a_listener_that_is_not_loopback_demands_the_token_in_its_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("token");
    let path = folder.write("gateway.toml", ONE);
    let mut child = gateway()
        .args(["--config", &path, "--listen", "0.0.0.0:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let console =
        lines.find_map(|line| line.unwrap().strip_prefix("Console  http://").map(str::to_owned));
    let port = console.unwrap().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let running = Running { child, addr, log: BufReader::new(never()) };
    assert!(running.get("/v1/points").starts_with("HTTP/1.1 401"));
    assert!(running.get("/healthz").starts_with("HTTP/1.1 200"));
    let file = Path::new(&path).with_file_name("pointstream.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let request = format!(
        "GET /v1/points HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        token.trim()
    );
    assert!(running.request(&request).starts_with("HTTP/1.1 200"));
}

/// The end of a pipe into which nothing comes.
fn never() -> std::process::ChildStderr {
    let mut child = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stderr.take().unwrap()
}
