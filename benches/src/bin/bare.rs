//! The least that a server of events can do: `bare ADDR` sends what is posted to everybody who has
//! asked, by one `send` each, and keeps nothing.
//!
//! No server that writes to its subscribers one by one takes less of the processor than this, so it
//! says how much of what `benches/hub.sh` measures is the system's.

#![expect(clippy::print_stderr, reason = "a program for the terminal")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Subscribers = Arc<Mutex<Vec<TcpStream>>>;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(addr)?;
    eprintln!("bare: listens on {}", listener.local_addr()?);
    let subscribers = Subscribers::default();
    for stream in listener.incoming() {
        let (stream, subscribers) = (stream?, Arc::clone(&subscribers));
        stream.set_nodelay(true)?;
        // Whoever is cut off here has gone.
        if let Err(error) = serve(stream, subscribers) {
            eprintln!("bare: {error}");
        }
    }
    Ok(())
}

/// Takes a subscriber, or begins to serve a publisher.
fn serve(mut stream: TcpStream, subscribers: Subscribers) -> io::Result<()> {
    let mut bytes = Vec::new();
    let body_at = read_head(&mut stream, &mut bytes)?;
    if bytes.starts_with(b"GET") {
        stream.write_all(HEAD)?;
        stream.set_nonblocking(true)?;
        subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        return Ok(());
    }
    thread::spawn(move || publish(stream, bytes, body_at, &subscribers));
    Ok(())
}

/// Serves a publisher until it goes.
fn publish(mut stream: TcpStream, mut bytes: Vec<u8>, mut body_at: usize, to: &Subscribers) {
    while let Ok(chunk) = read_body(&mut stream, &mut bytes, body_at) {
        for mut subscriber in to.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Who does not take it at once misses it.
            let _ = subscriber.write(&chunk);
        }
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
        match read_head(&mut stream, &mut bytes) {
            Ok(at) => body_at = at,
            Err(_) => return,
        }
    }
}

fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(at + 4);
        }
        read_more(stream, bytes)?;
    }
}

/// The body of a request as the chunk of an event, as long as the hub's.
fn read_body(stream: &mut TcpStream, bytes: &mut Vec<u8>, at: usize) -> io::Result<Vec<u8>> {
    let head = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < at + length {
        read_more(stream, bytes)?;
    }
    let mut event = EVENT.to_vec();
    event.extend(bytes.get(at..at + length).unwrap_or_default());
    event.extend(b"}]\n\n");
    bytes.drain(..at + length);
    let mut chunk = format!("{:X}\r\n", event.len()).into_bytes();
    chunk.extend(event);
    chunk.extend(b"\r\n");
    Ok(chunk)
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut some = [0; 4_096];
    match stream.read(&mut some)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend(some.get(..read).unwrap_or_default());
            Ok(())
        }
    }
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

const EVENT: &[u8] = b"id: 00000000-0000-0000-0000-000000000000#1234\nevent: patch\n\
                       data: [{\"op\":\"replace\",\"path\":\"\",\"value\":";
