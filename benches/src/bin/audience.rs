//! Subscribers of a gateway that read everything and keep nothing.
//!
//! `audience HOST:PORT COUNT TOPIC…` opens COUNT streams of each topic and reads until it is
//! interrupted; each five seconds it says how much came. `benches/gateway.sh` runs it.

#![expect(clippy::print_stderr, reason = "a program says what it saw and why it ends")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, topics @ ..] = words.as_slice() else {
        eprintln!("usage: audience HOST:PORT COUNT TOPIC…");
        return ExitCode::FAILURE;
    };
    let Ok(count) = count.parse::<usize>() else {
        eprintln!("not a number: {count}");
        return ExitCode::FAILURE;
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for topic in topics.iter().flat_map(|topic| std::iter::repeat_n(topic, count)) {
        streams.spawn(read(address.clone(), topic.clone(), Arc::clone(&bytes)));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            Some(ended) = streams.join_next() => {
                eprintln!("a stream ended: {ended:?}");
                return ExitCode::FAILURE;
            }
            _ = ticks.tick() => {
                let mb = bytes.swap(0, Ordering::Relaxed) as f64 / 1e6;
                eprintln!("audience: {} streams, {mb:.1} MB", streams.len());
            }
        }
    }
}

async fn read(address: String, topic: String, bytes: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!("GET /v1/topics/{topic} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            len => drop(bytes.fetch_add(len as u64, Ordering::Relaxed)),
        };
    }
}
