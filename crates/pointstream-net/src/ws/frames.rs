use core::fmt;
use std::io::Cursor;

use bytes::{Buf, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Which end of a connection this is: clients mask what they send, servers do not (RFC 6455
/// section 5.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two sides")]
pub enum Side {
    /// The one that dialled.
    Client,
    /// The one that accepted.
    Server,
}

/// What a message says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the data frames of RFC 6455")]
pub enum Kind {
    /// Text, not validated.
    Text,
    /// Bytes.
    Binary,
}

/// A whole message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a message is this")]
pub struct Message {
    /// Whether the other side sent it as text or as bytes.
    pub kind: Kind,
    /// What it says.
    pub data: bytes::Bytes,
}

/// What came out of the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message(Message),
    /// The answer to a [`Frames::ping`], or an unasked sign of life.
    Pong,
    /// The other side ends the connection, for this reason (RFC 6455 section 7.4), 1005 where it
    /// gave none. Our own close frame has been queued as the answer. Nothing comes after it.
    Closed(u16),
}

/// Why what came is not WebSocket, or is too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WsError {
    /// A frame breaks the protocol.
    #[error("not WebSocket: {0}")]
    Protocol(&'static str),
    /// A message is longer than the limit.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// Nothing can be sent once the connection is closing.
    #[error("the connection is closing")]
    Closing,
}

/// The frames of a connection, as a value: give it bytes by [`Self::handle_input`], take events from
/// [`Self::poll_event`], and send what [`Self::transmit`] has.
///
/// The input buffer holds one frame that is not whole yet, at most the longest message and what was
/// given last. Pings are answered with one pong for the newest, so that a flood of them takes no
/// memory.
pub struct Frames {
    side: Side,
    message_len_max: usize,
    input: BytesMut,
    /// The frame whose payload is being read.
    header: Option<(FrameHeader, usize)>,
    /// The fragments so far of a message that is not whole.
    partial: Option<(Kind, BytesMut)>,
    pong: Option<BytesMut>,
    output: BytesMut,
    closing: bool,
    ended: bool,
    masks: Masks,
}

impl Frames {
    /// A connection that has just been opened; messages are at most `message_len_max` bytes.
    pub fn new(side: Side, message_len_max: usize) -> Self {
        Self {
            side,
            message_len_max,
            input: BytesMut::new(),
            header: None,
            partial: None,
            pong: None,
            output: BytesMut::new(),
            closing: false,
            ended: false,
            masks: Masks::default(),
        }
    }

    /// Takes what came from the other side. [`Self::poll_event`] is to be asked until it has
    /// nothing more before the next bytes are given.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.input.extend_from_slice(bytes);
        }
    }

    /// What came, in order; `None` until there are more bytes.
    ///
    /// # Errors
    ///
    /// [`WsError::Protocol`] and [`WsError::TooLong`]: a close frame with the reason is queued, and
    /// nothing more is read.
    pub fn poll_event(&mut self) -> Result<Option<Event>, WsError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.next_frame() {
                Ok(Some((opcode, is_final, payload))) => {
                    match self.on_frame(opcode, is_final, payload) {
                        Ok(None) => {}
                        Ok(event) => return Ok(event),
                        Err(error) => return Err(self.fail(error)),
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Queues a message in one frame.
    ///
    /// # Errors
    ///
    /// [`WsError::Closing`] after [`Self::close`] or once the other side has closed.
    pub fn send(&mut self, kind: Kind, data: &[u8]) -> Result<(), WsError> {
        if self.closing {
            return Err(WsError::Closing);
        }
        let data_kind = match kind {
            Kind::Text => Data::Text,
            Kind::Binary => Data::Binary,
        };
        self.frame(OpCode::Data(data_kind), data);
        Ok(())
    }

    /// Queues a ping, which the other side must answer.
    pub fn ping(&mut self) {
        if !self.closing {
            self.frame(OpCode::Control(Control::Ping), &[]);
        }
    }

    /// Queues a close frame with `code`, once.
    pub fn close(&mut self, code: u16) {
        if !self.closing {
            self.frame(OpCode::Control(Control::Close), &code.to_be_bytes());
            self.closing = true;
        }
    }

    /// What is to be sent, in order. Whoever sends it takes away as many bytes as were sent.
    pub fn transmit(&mut self) -> &mut BytesMut {
        if let Some(payload) = self.pong.take()
            && !self.closing
        {
            self.frame(OpCode::Control(Control::Pong), &payload);
        }
        &mut self.output
    }

    /// How many bytes wait to be sent.
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Whether the other side has closed, or broke the protocol.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn fail(&mut self, error: WsError) -> WsError {
        self.close(if matches!(error, WsError::TooLong(_)) { CODE_TOO_BIG } else { CODE_PROTOCOL });
        self.end();
        error
    }

    fn end(&mut self) {
        self.ended = true;
        self.input = BytesMut::new();
        self.partial = None;
        self.header = None;
    }

    /// The next frame that is whole, unmasked.
    fn next_frame(&mut self) -> Result<Option<(OpCode, bool, BytesMut)>, WsError> {
        if self.header.is_none() {
            let mut cursor = Cursor::new(&self.input[..]);
            let parsed = FrameHeader::parse(&mut cursor)
                .map_err(|_| WsError::Protocol("a reserved opcode"))?;
            let Some((header, len)) = parsed else { return Ok(None) };
            let taken = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let len = self.check_header(&header, len)?;
            self.input.advance(taken);
            self.header = Some((header, len));
        }
        let Some((header, len)) = self.header.take_if(|(_, len)| self.input.len() >= *len) else {
            return Ok(None);
        };
        let mut payload = self.input.split_to(len);
        if let Some(mask) = header.mask {
            apply_mask(&mut payload, mask);
        }
        Ok(Some((header.opcode, header.is_final, payload)))
    }

    fn check_header(&self, header: &FrameHeader, len: u64) -> Result<usize, WsError> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(WsError::Protocol("an extension that was not agreed on"));
        }
        if header.mask.is_some() != (self.side == Side::Server) {
            return Err(WsError::Protocol("clients mask their frames and servers do not"));
        }
        if let OpCode::Control(_) = header.opcode {
            return match usize::try_from(len) {
                Ok(len) if header.is_final && len <= CONTROL_LEN_MAX => Ok(len),
                _ => Err(WsError::Protocol("a control frame in pieces or over 125 bytes")),
            };
        }
        let before = self.partial.as_ref().map_or(0, |(_, data)| data.len());
        usize::try_from(len)
            .ok()
            .filter(|len| *len <= self.message_len_max.saturating_sub(before))
            .ok_or(WsError::TooLong(self.message_len_max))
    }

    fn on_frame(
        &mut self,
        opcode: OpCode,
        is_final: bool,
        payload: BytesMut,
    ) -> Result<Option<Event>, WsError> {
        match opcode {
            OpCode::Control(Control::Ping) => {
                self.pong = Some(payload);
                Ok(None)
            }
            OpCode::Control(Control::Pong) => Ok(Some(Event::Pong)),
            OpCode::Control(_) => self.on_close(&payload),
            OpCode::Data(Data::Continue) => {
                let Some((kind, mut data)) = self.partial.take() else {
                    return Err(WsError::Protocol("a continuation of nothing"));
                };
                data.extend_from_slice(&payload);
                Ok(self.on_data(kind, is_final, data))
            }
            OpCode::Data(data) => {
                if self.partial.is_some() {
                    return Err(WsError::Protocol("a message within another"));
                }
                let kind = if data == Data::Text { Kind::Text } else { Kind::Binary };
                Ok(self.on_data(kind, is_final, payload))
            }
        }
    }

    fn on_data(&mut self, kind: Kind, is_final: bool, data: BytesMut) -> Option<Event> {
        if is_final {
            return Some(Event::Message(Message { kind, data: data.freeze() }));
        }
        self.partial = Some((kind, data));
        None
    }

    fn on_close(&mut self, payload: &[u8]) -> Result<Option<Event>, WsError> {
        let code = match *payload {
            [] => CODE_NONE,
            [_] => return Err(WsError::Protocol("a close frame of one byte")),
            [high, low, ..] => u16::from_be_bytes([high, low]),
        };
        if !matches!(code, 1000..=1003 | CODE_NONE | 1007..=1014 | 3000..=4999) {
            return Err(WsError::Protocol("a close code that means nothing"));
        }
        self.close(if code == CODE_NONE { CODE_NORMAL } else { code });
        self.end();
        Ok(Some(Event::Closed(code)))
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mask = (self.side == Side::Client).then(|| self.masks.next());
        let header = FrameHeader { mask, opcode, ..FrameHeader::default() };
        let mut head = Vec::with_capacity(HEADER_LEN_MAX);
        // Writing to a vector does not fail.
        let _ = header.format(payload.len() as u64, &mut head);
        self.output.reserve(head.len() + payload.len());
        self.output.extend_from_slice(&head);
        let start = self.output.len();
        self.output.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut self.output[start..], mask);
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("side", &self.side)
            .field("input", &self.input.len())
            .field("output", &self.output.len())
            .field("closing", &self.closing)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Masks must not be foreseeable by whoever chooses the data (RFC 6455 section 10.3), so they come
/// from the system, many at a time.
#[derive(Default)]
struct Masks {
    block: Vec<u8>,
}

impl Masks {
    fn next(&mut self) -> [u8; 4] {
        if self.block.is_empty() {
            let mut block = [0; 256];
            if getrandom::fill(&mut block).is_err() {
                // A system without randomness has no TLS either; the mask then protects nothing,
                // and the frames are still right.
                return [0; 4];
            }
            self.block = block.to_vec();
        }
        let mut mask = [0; 4];
        for byte in &mut mask {
            *byte = self.block.pop().unwrap_or_default();
        }
        mask
    }
}

fn apply_mask(data: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let wide = u64::from(word) << 32 | u64::from(word);
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_LEN_MAX: usize = 125;
const HEADER_LEN_MAX: usize = 14;
const CODE_NORMAL: u16 = 1000;
const CODE_PROTOCOL: u16 = 1002;
/// Stands for a close frame without a code; never on the wire.
const CODE_NONE: u16 = 1005;
const CODE_TOO_BIG: u16 = 1009;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn events(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<Event>, WsError> {
        frames.handle_input(bytes);
        let mut events = Vec::new();
        while let Some(event) = frames.poll_event()? {
            events.push(event);
        }
        Ok(events)
    }

    fn message(kind: Kind, data: &[u8]) -> Event {
        Event::Message(Message { kind, data: bytes::Bytes::copy_from_slice(data) })
    }

    /// The examples of RFC 6455 section 5.7.
    #[test]
    fn frames_of_the_rfc_are_read() {
        let hello = message(Kind::Text, b"Hello");
        let mut client = Frames::new(Side::Client, MAX);
        let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(events(&mut client, &unmasked), Ok(vec![hello.clone()]));
        let mut server = Frames::new(Side::Server, MAX);
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(events(&mut server, &masked), Ok(vec![hello.clone()]));
        let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
        assert_eq!(events(&mut client, &fragments), Ok(vec![hello]));
        let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(events(&mut client, &ping), Ok(vec![]));
        assert_eq!(client.transmit().split()[..2], [0x8a, 0x85], "a masked pong");
        let mut long = vec![0x82, 0x7e, 0x01, 0x00];
        long.extend_from_slice(&[7; 256]);
        assert_eq!(events(&mut client, &long), Ok(vec![message(Kind::Binary, &[7; 256])]));
        let mut longer = vec![0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
        longer.extend_from_slice(&[9; 65_536]);
        assert_eq!(events(&mut client, &longer), Ok(vec![message(Kind::Binary, &[9; 65_536])]));
    }

    #[test]
    fn what_one_side_sends_the_other_reads_however_it_is_cut() {
        for (from, to) in [(Side::Client, Side::Server), (Side::Server, Side::Client)] {
            let mut sender = Frames::new(from, MAX);
            let mut sent = Vec::new();
            for len in [0, 1, 7, 8, 9, 125, 126, 300] {
                let data: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                sender.send(Kind::Binary, &data).unwrap();
                sent.push(message(Kind::Binary, &data));
            }
            sender.close(1001);
            sent.push(Event::Closed(1001));
            let wire = sender.transmit().split();
            for step in [1, 2, 3, 5, 64, wire.len()] {
                let mut receiver = Frames::new(to, MAX);
                let mut got = Vec::new();
                for piece in wire.chunks(step) {
                    got.extend(events(&mut receiver, piece).unwrap());
                }
                assert_eq!(got, sent);
                assert!(receiver.has_ended());
                assert_eq!(events(&mut receiver, &wire), Ok(vec![]), "nothing comes after the end");
            }
        }
    }

    #[test]
    fn what_breaks_the_protocol_ends_it_with_a_reason() {
        let cases: [(&[u8], &str); 9] = [
            (&[0xc1, 0x00], "an extension that was not agreed on"),
            (&[0x83, 0x00], "a reserved opcode"),
            (&[0x81, 0x80, 0, 0, 0, 0], "clients mask their frames and servers do not"),
            (&[0x09, 0x00], "a control frame in pieces or over 125 bytes"),
            (&[0x89, 0x7e, 0x00, 0x7e], "a control frame in pieces or over 125 bytes"),
            (&[0x80, 0x00], "a continuation of nothing"),
            (&[0x01, 0x00, 0x01, 0x00], "a message within another"),
            (&[0x88, 0x01, 0x03], "a close frame of one byte"),
            (&[0x88, 0x02, 0x03, 0xec], "a close code that means nothing"),
        ];
        for (bytes, reason) in cases {
            let mut client = Frames::new(Side::Client, MAX);
            assert_eq!(events(&mut client, bytes), Err(WsError::Protocol(reason)), "{bytes:x?}");
            assert!(client.has_ended());
            assert_eq!(client.transmit()[0], 0x88, "a close frame says so");
            assert_eq!(client.send(Kind::Text, b""), Err(WsError::Closing));
        }
    }

    #[test]
    fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
        let mut server = Frames::new(Side::Server, 10);
        let mut client = Frames::new(Side::Client, 10);
        client.send(Kind::Binary, &[1; 10]).unwrap();
        let wire = client.transmit().split();
        assert_eq!(events(&mut server, &wire), Ok(vec![message(Kind::Binary, &[1; 10])]));
        // Refused by its head, before anything of it is kept.
        let head = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(events(&mut server, &head), Err(WsError::TooLong(10)));
        // Fragments count together.
        let mut client = Frames::new(Side::Client, 10);
        let pieces = [&[0x02, 6, 0, 0, 0, 0, 0, 0][..], &[0x80, 5, 0, 0, 0, 0, 0]].concat();
        assert_eq!(events(&mut client, &pieces), Err(WsError::TooLong(10)));
    }

    #[test]
    fn a_flood_of_pings_is_answered_once_with_the_newest() {
        let mut client = Frames::new(Side::Client, MAX);
        for n in 0..1000_u16 {
            let [high, low] = n.to_be_bytes();
            assert_eq!(events(&mut client, &[0x89, 2, high, low]), Ok(vec![]));
        }
        assert_eq!(client.transmit().len(), 2 + 4 + 2);
    }

    #[test]
    fn masks_differ_from_frame_to_frame() {
        let mut client = Frames::new(Side::Client, MAX);
        for _ in 0..200 {
            client.send(Kind::Binary, &[]).unwrap();
        }
        let masks: std::collections::HashSet<_> =
            client.transmit().chunks(6).map(|frame| frame[2..].to_vec()).collect();
        assert!(masks.len() > 190);
    }
}
