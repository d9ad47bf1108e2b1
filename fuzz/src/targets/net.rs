//! WebSocket.

use pointstream_net::ws::{Event, Frames, Kind, Message, Side, WsError};

/// A stream of frames cut anywhere gives the same messages as in one piece, and what is sent of
/// them comes out of the other side again.
///
/// The first byte's high bit says which side reads, its low bits how many bytes follow that are
/// lengths of pieces; the rest is the stream.
pub fn net_ws_frames(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let (lens, stream) = rest.split_at(usize::from(first & 0x0f).min(rest.len()));
    let (side, other) = match first & 0x80 {
        0 => (Side::Server, Side::Client),
        _ => (Side::Client, Side::Server),
    };
    let whole = read_all(side, [stream].into_iter());
    assert_eq!(read_all(side, stream.chunks(1)), whole, "cut into bytes");
    let mut rest = stream;
    let mut pieces: Vec<&[u8]> = Vec::new();
    for &len in lens {
        let (piece, after) = rest.split_at(usize::from(len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(read_all(side, pieces.into_iter()), whole, "cut into pieces");
    again(other, side, &whole.0);
}

type Read = (Vec<Event>, Option<WsError>);

fn read_all<'a>(side: Side, pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut frames = Frames::new(side, MESSAGE_LEN_MAX);
    let mut events = Vec::new();
    for piece in pieces {
        frames.handle_input(piece);
        loop {
            match frames.poll_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    assert!(frames.has_ended());
                    return (events, Some(error));
                }
            }
        }
    }
    (events, None)
}

/// The messages, sent by one side and read by the other.
fn again(from: Side, to: Side, events: &[Event]) {
    let mut sender = Frames::new(from, MESSAGE_LEN_MAX);
    let mut sent = Vec::new();
    for event in events {
        if let Event::Message(Message { kind, data }) = event {
            assert!(data.len() <= MESSAGE_LEN_MAX);
            assert_eq!(sender.send(*kind, data), Ok(()));
            sent.push(event.clone());
        }
    }
    sender.close(1000);
    sent.push(Event::Closed(1000));
    assert_eq!(sender.send(Kind::Text, b""), Err(WsError::Closing));
    let wire = sender.transmit().to_vec();
    assert_eq!(read_all(to, [&wire[..]].into_iter()), (sent, None));
}

/// Small, so that the limit is met.
const MESSAGE_LEN_MAX: usize = 1000;
