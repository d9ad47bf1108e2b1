use core::time::Duration;

use pointstream_time::Instant;

use super::{BROADCAST, Length, Line, Received, decode, encode, request_len};

/// A server's side of a line: told the time and given bytes, asked for requests and bytes.
///
/// It hears everything on the line, other units' requests and answers included, and looks for
/// frames of the units that it is asked to listen for. A request of a function that it cannot
/// measure ends with silence. An answer goes out once the line has been silent for the gap between
/// frames.
#[derive(Debug)]
pub struct Responder {
    line: Line,
    pub(super) received: Received,
    request: Option<(u8, Vec<u8>)>,
    transmit: Vec<u8>,
    /// From when on the line is free.
    free_at: Instant,
    damaged: u64,
}

impl Responder {
    /// A responder on a line that is silent.
    pub fn new(line: Line) -> Self {
        Self {
            line,
            received: Received::new(),
            request: None,
            transmit: Vec::new(),
            free_at: Instant::from_origin(Duration::ZERO),
            damaged: 0,
        }
    }

    /// Takes what the line delivered. `listens` says for which units; all listen to 0. A request
    /// takes the place of an earlier one that was not fetched: its client has given up on it.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8], listens: impl Fn(u8) -> bool) {
        self.handle_timeout(now, &listens);
        self.free_at = now + self.line.gap;
        self.received.push(now, &self.line, bytes);
        while let Some((end, request)) = self.received.find(request_len, |_, unit, pdu| {
            (unit == BROADCAST || listens(unit)).then(|| (unit, pdu.to_vec()))
        }) {
            self.received.bytes.drain(..end);
            self.request = Some(request);
        }
    }

    /// Ends a frame with the silence behind it.
    pub fn handle_timeout(&mut self, now: Instant, listens: impl Fn(u8) -> bool) {
        if self.received.bytes.is_empty() || now < self.received.at + self.line.silence {
            return;
        }
        match decode(&self.received.bytes) {
            Some((unit, pdu)) if !self.received.torn => {
                let unmeasured = request_len(&self.received.bytes) == Length::Silence;
                if unmeasured && (unit == BROADCAST || listens(unit)) {
                    self.request = Some((unit, pdu.to_vec()));
                }
            }
            _ => self.damaged += 1,
        }
        self.received.clear();
    }

    /// The request that came in: the unit and the protocol data unit.
    pub fn poll_request(&mut self) -> Option<(u8, Vec<u8>)> {
        self.request.take()
    }

    /// Answers as `unit`. Nothing is sent for unit 0.
    pub fn answer(&mut self, unit: u8, pdu: &[u8]) {
        if unit == BROADCAST {
            return;
        }
        self.transmit.clear();
        let framed = encode(unit, &mut self.transmit, |out| {
            out.extend(pdu);
            Ok::<_, core::convert::Infallible>(())
        });
        let Ok(()) = framed;
    }

    /// Appends to `out` what is to be sent at `now`; whether there was anything.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.transmit.is_empty() || now < self.free_at {
            return false;
        }
        self.free_at = now + self.line.duration_of(self.transmit.len()) + self.line.gap;
        out.append(&mut self.transmit);
        true
    }

    /// When there is something to send, or [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let send = (!self.transmit.is_empty()).then_some(self.free_at);
        let silent =
            (!self.received.bytes.is_empty()).then(|| self.received.at + self.line.silence);
        send.into_iter().chain(silent).min()
    }

    /// How many frames ended with a wrong check sum or without their rest.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }
}
