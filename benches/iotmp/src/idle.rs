//! What a device costs that is connected and says nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use pointstream_iotmp::server::{Accounts, Options, Server};

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0
}

pub(crate) fn table(count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("io");
    let few = count / 10;
    let (some, all, served, strangers) = runtime.block_on(async {
        let mut server = Server::new(Options::default());
        let addr = server.listen("127.0.0.1:0").await.expect("a port");
        let devices = server.devices();
        let accounts = Accounts::new().with("user", "*", "secret");
        let run = server.run(accounts, (), std::future::pending());
        let mut other = other_of(addr.port(), "devices");
        let mut ask = other.stdin.take().expect("a pipe");
        let measure = async {
            let mut marks = Vec::new();
            for wanted in [few, count] {
                writeln!(ask, "{wanted}").expect("the devices");
                let (mut connected, mut quiet) = (0, 0);
                // As many as the limit of descriptors lets in.
                while connected < wanted && quiet < 30 {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    let present = devices.list().len();
                    quiet = if present == connected { quiet + 1 } else { 0 };
                    connected = present;
                }
                marks.push((connected, resident()));
            }
            // As many again that never say who they are, while the others stay.
            let strangers = STRANGERS.min(count);
            let mut strange = other_of(addr.port(), "strangers");
            let mut tell = strange.stdin.take().expect("a pipe");
            let before = resident();
            writeln!(tell, "{strangers}").expect("the strangers");
            while devices.evicted() + 1024 < strangers as u64 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            let grown = resident() - before;
            drop(tell);
            drop(strange.wait());
            (marks, (strangers, devices.evicted(), grown))
        };
        let (marks, strangers) = tokio::select! {
            () = run => unreachable!("it runs for ever"),
            measured = measure => measured,
        };
        drop(ask);
        drop(other.wait());
        (marks[0], marks[1], marks[1].0, strangers)
    });
    let each = (all.1 - some.1) / (all.0 - some.0) as f64;
    println!("| idle devices over plain TCP | |\n|---|---|");
    println!("| connected in one process | {served} |");
    println!("| resident each, by the slope from {} | {each:.0} bytes |", some.0);
    let (count, evicted, grown) = strangers;
    println!("| {count} more that never say who they are | {evicted} gave way, {:.0} kB |", grown / 1e3);
}

/// How many connect that never say who they are.
const STRANGERS: usize = 10_000;

/// The other end, as a process of its own, for its descriptors and its memory.
fn other_of(port: u16, role: &str) -> std::process::Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([role, &port.to_string()]).stdin(Stdio::piped());
    command.spawn().expect("this program")
}

/// Connects as often as each line of standard input says, and says nothing until that ends.
pub(crate) fn strangers(port: u16) {
    let mut streams = Vec::new();
    for line in BufReader::new(std::io::stdin()).lines() {
        let wanted = line.ok().and_then(|line| line.parse().ok()).unwrap_or(0);
        streams.extend((0..wanted).map_while(|_| TcpStream::connect(("127.0.0.1", port)).ok()));
    }
}

/// Connects as many devices as each line of standard input says, and keeps them until it ends.
pub(crate) fn devices(port: u16) {
    let mut streams = Vec::new();
    for line in BufReader::new(std::io::stdin()).lines() {
        let wanted = line.ok().and_then(|line| line.parse().ok()).unwrap_or(0);
        while streams.len() < wanted {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { break };
            let device = format!("{:06}", streams.len());
            let mut connect = vec![3, 0, 8, 1, 0x1a, 0xe3];
            for text in ["user", &device, "secret"] {
                connect.push(0x80 | u8::try_from(text.len()).unwrap_or(0));
                connect.extend(text.as_bytes());
            }
            connect[1] = u8::try_from(connect.len() - 2).unwrap_or(0);
            let mut verdict = [0; 4];
            if stream.write_all(&connect).and_then(|()| stream.read_exact(&mut verdict)).is_err() {
                break;
            }
            streams.push(stream);
        }
    }
}
