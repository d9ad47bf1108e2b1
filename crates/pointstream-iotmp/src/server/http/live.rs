//! Resources over a WebSocket.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::string::{String, ToString};

use pointstream_net::Stream;
use pointstream_net::ws::{Event, Kind, Message, Side, WebSocket};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use super::{FOLLOWED_MAX, Followed, seconds};
use crate::server::Update;

/// How long a client may take to read what is sent.
const SEND_TIME: Duration = Duration::from_secs(10);
/// How often a quiet client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// The longest message that a client may send, in bytes.
const MESSAGE_LEN_MAX: usize = 4096;
const CODE_INVALID: u16 = 1007;

/// What a client asks on the WebSocket of all resources.
#[derive(Deserialize)]
struct Wish {
    resource: String,
    #[serde(default)]
    interval: f64,
    #[serde(default = "enabled")]
    enabled: bool,
}

const fn enabled() -> bool {
    true
}

enum Happened {
    Update(usize, Update),
    Heard(Option<Event>),
    Quiet,
}

/// Serves a WebSocket until either side ends it.
pub(super) async fn run(stream: Stream, read: &[u8], mut followed: Followed) {
    let mut socket = WebSocket::new(stream, Side::Server, MESSAGE_LEN_MAX, read);
    let mut heard = Instant::now();
    let mut asked = false;
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(event) = socket.poll_event(cx) {
                return Poll::Ready(event.map(Happened::Heard));
            }
            followed.poll_update(cx).map(|(at, update)| Ok(Happened::Update(at, update)))
        });
        let happened = tokio::select! {
            biased;
            next = next => next,
            () = sleep_until(heard + PING) => Ok(Happened::Quiet),
        };
        let text = match happened {
            Ok(Happened::Update(at, update)) => {
                let name = followed.values.get(at).map(|(name, _)| name.clone());
                let name = name.unwrap_or_default();
                match update {
                    Update::Value(sample) => followed.text(&name, &sample.value),
                    Update::Ended => json!({ "resource": name, "ended": true }).to_string(),
                }
            }
            Ok(Happened::Heard(Some(event))) => {
                (heard, asked) = (Instant::now(), false);
                let Event::Message(message) = event else { continue };
                match wish(&mut followed, &message) {
                    Ok(()) => continue,
                    Err(Some(text)) => text,
                    Err(None) => return drop(socket.close(CODE_INVALID).await),
                }
            }
            Ok(Happened::Heard(None)) | Err(_) => return,
            Ok(Happened::Quiet) => {
                // Not even the pong came.
                if core::mem::replace(&mut asked, true) {
                    return;
                }
                heard = Instant::now();
                socket.ping();
                match timeout(SEND_TIME, socket.flush()).await {
                    Ok(Ok(())) => continue,
                    _ => return,
                }
            }
        };
        let sent = timeout(SEND_TIME, socket.send(Kind::Text, text.as_bytes())).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Does what a client asks. An error is said, or ends the connection where there is nothing to say.
fn wish(followed: &mut Followed, message: &Message) -> Result<(), Option<String>> {
    // On the WebSocket of one resource nothing is asked.
    if !followed.named {
        return Ok(());
    }
    let wish: Wish = serde_json::from_slice(&message.data).map_err(|_| None)?;
    let refused =
        |text: &str| Err(Some(json!({ "resource": wish.resource, "error": text }).to_string()));
    let Some(interval) = seconds(wish.interval) else {
        return refused("an interval is a number of seconds");
    };
    let place = followed.values.iter().position(|(name, _)| *name == wish.resource);
    if let Some(at) = place {
        followed.values.swap_remove(at);
    }
    if !wish.enabled {
        return Ok(());
    }
    if followed.values.len() >= FOLLOWED_MAX {
        return refused("too many resources");
    }
    match followed.device.stream(&wish.resource, interval) {
        Ok(values) => {
            followed.values.push((wish.resource, values));
            Ok(())
        }
        Err(error) => refused(&error.to_string()),
    }
}
