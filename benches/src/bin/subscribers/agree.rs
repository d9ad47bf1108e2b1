//! Whether a server's own numbers are those of its clients.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Quotes, per};
use crate::wire::{Publisher, ask};
use crate::{Error, Target};

/// Publishes so many times to so many subscribers, every third time what is there already, counts what
/// each receives, and compares with what the server's metrics have grown by.
pub(crate) async fn agree(target: &Target, count: usize, times: u64) -> Result<Value, Error> {
    let topic = target.subscribe.rsplit('/').next().unwrap_or_default().to_owned();
    let mut publisher = Publisher::connect(target).await?;
    let mut quotes = Quotes::new();
    publisher.publish(&quotes.text("0")).await?;
    let before = metrics(target, &topic).await?;
    let mut subscribers = Vec::new();
    for _ in 0..count {
        let stream = ask(target).await?;
        subscribers.push(Subscriber { stream, chunks: Vec::new(), seen: Seen::default() });
    }
    for subscriber in &mut subscribers {
        subscriber.read(1).await?;
    }
    let (mut documents, mut changes) = (0, 0);
    for n in 1..=times {
        if n % 3 != 0 {
            quotes.change();
            changes += 1;
            documents += quotes.text("0").len() as u64;
        }
        publisher.publish(&quotes.text("0")).await?;
        for subscriber in &mut subscribers {
            subscriber.read(1 + changes).await?;
        }
    }
    let after = metrics(target, &topic).await?;
    let events: u64 = subscribers.iter().map(|it| it.seen.events).sum();
    let bytes: u64 = subscribers.iter().map(|it| it.seen.bytes).sum();
    let one = subscribers.first().map(|it| it.seen.body_bytes - it.seen.first_bytes);
    let counted = [
        ("publications_total", times),
        ("unchanged_total", times - changes),
        ("patches_total", changes),
        ("replacements_total", 0),
        ("document_bytes_total", documents),
        ("event_bytes_total", one.unwrap_or(0)),
        ("delivered_total", events),
        ("delivered_bytes_total", bytes),
        ("conflations_total", 0),
        ("subscribers", count as u64),
    ];
    let mut wrong = Vec::new();
    for (name, own) in counted {
        let of = |found: &BTreeMap<String, u64>| found.get(name).copied().unwrap_or(u64::MAX);
        let told = of(&after).wrapping_sub(of(&before));
        if told != own {
            wrong.push(format!("{name}: the server tells {told}, the clients count {own}"));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    let share = per(one.unwrap_or(0), documents);
    Ok(json!({"agree": counted.len(), "events": events, "bytes": bytes, "share": share}))
}

/// The numbers of one topic.
async fn metrics(target: &Target, topic: &str) -> Result<BTreeMap<String, u64>, Error> {
    let mut stream = TcpStream::connect(&target.server).await?;
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.server);
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let label = format!("{{topic=\"{topic}\"}} ");
    let of = |line: &str| {
        let (name, value) = line.strip_prefix("pointstream_hub_")?.split_once(&label)?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter_map(of).collect())
}

struct Subscriber {
    stream: TcpStream,
    /// What was received and not taken apart so far.
    chunks: Vec<u8>,
    seen: Seen,
}

/// What one subscriber has received.
#[derive(Default)]
struct Seen {
    body: Vec<u8>,
    events: u64,
    /// Of whole events, as they are framed.
    bytes: u64,
    /// Of their data alone.
    body_bytes: u64,
    first_bytes: u64,
}

impl Subscriber {
    /// Reads until so many events have come in all.
    async fn read(&mut self, events: u64) -> Result<(), Error> {
        let mut buffer = vec![0; 64 << 10];
        while self.seen.events < events {
            let read = self.stream.read(&mut buffer).await?;
            if read == 0 {
                return Err("the server has ended a stream".into());
            }
            self.chunks.extend_from_slice(buffer.get(..read).unwrap_or_default());
            self.unchunk()?;
            self.seen.take();
        }
        Ok(())
    }

    /// Takes whole chunks out of their frames; the head comes before the first one.
    fn unchunk(&mut self) -> Result<(), Error> {
        if self.chunks.starts_with(b"HTTP") {
            let Some(at) = find(&self.chunks, b"\r\n\r\n") else { return Ok(()) };
            self.chunks.drain(..at + 4);
        }
        while let Some(at) = find(&self.chunks, b"\r\n") {
            let size = std::str::from_utf8(self.chunks.get(..at).unwrap_or_default())?;
            let size = usize::from_str_radix(size, 16)?;
            let Some(chunk) = self.chunks.get(at + 2..at + 2 + size) else { break };
            if self.chunks.len() < at + size + 4 {
                break;
            }
            self.seen.body.extend_from_slice(chunk);
            self.chunks.drain(..at + size + 4);
        }
        Ok(())
    }
}

impl Seen {
    fn take(&mut self) {
        while let Some(at) = find(&self.body, b"\n\n") {
            let block: Vec<u8> = self.body.drain(..at + 2).collect();
            // The opening and comments are no events.
            if !block.starts_with(b"id: ") {
                continue;
            }
            let data = find(&block, b"\ndata: ").map_or(0, |from| block.len() - from - 9);
            self.events += 1;
            self.bytes += block.len() as u64;
            self.body_bytes += data as u64;
            if self.events == 1 {
                self.first_bytes = data as u64;
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
