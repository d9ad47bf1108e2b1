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
    let (some, all, served) = runtime.block_on(async {
        let mut server = Server::new(Options::default());
        let addr = server.listen("127.0.0.1:0").await.expect("a port");
        let devices = server.devices();
        let accounts = Accounts::new().with("user", "*", "secret");
        let run = server.run(accounts, (), std::future::pending());
        // A process of its own, for its descriptors and its memory.
        let program = std::env::current_exe().expect("this program");
        let mut other = Command::new(program)
            .args(["devices", &addr.port().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("this program");
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
            marks
        };
        let marks = tokio::select! {
            () = run => unreachable!("it runs for ever"),
            marks = measure => marks,
        };
        drop(ask);
        drop(other.wait());
        (marks[0], marks[1], marks[1].0)
    });
    let each = (all.1 - some.1) / (all.0 - some.0) as f64;
    println!("| idle devices over plain TCP | |\n|---|---|");
    println!("| connected in one process | {served} |");
    println!("| resident each, by the slope from {} | {each:.0} bytes |", some.0);
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
