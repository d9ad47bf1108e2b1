use core::time::Duration;
use std::collections::VecDeque;

use pointstream_time::Instant;

use super::{ADU_LEN_MAX, BROADCAST, Length, Line, Received, encode, response_len};
use crate::error::AnswerError;
use crate::pdu::{Request, Response, Shape};
use crate::session::{Answer, Event, RequestError, Ticket};

/// A client's side of a line: told the time and given bytes, asked for bytes and events.
///
/// One transaction at a time. A request goes out once the line has been silent for the gap between
/// frames; the time for its answer begins when its last character has left. Noise before an answer
/// is skipped. An answer whose check sum is wrong, or which stays incomplete, fails its request
/// once the line is silent. What comes while nothing is asked is discarded and counted.
///
/// A late answer has no number to be known by. It is discarded if it comes before the next request;
/// behind that, only if its unit, function or length are others than asked.
///
/// A request to unit 0 goes to all: nobody answers, and after the turnaround time its event is the
/// answer that one unit would have given. Only writes are taken.
#[derive(Debug)]
pub struct Session {
    line: Line,
    response_timeout: Duration,
    next_ticket: u16,
    pending: Option<Pending>,
    pub(super) received: Received,
    /// From when on the line is free.
    free_at: Instant,
    events: VecDeque<Event>,
    discarded: u64,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    unit: u8,
    shape: Shape,
    frame: Vec<u8>,
    /// Once it was sent.
    deadline: Option<Instant>,
    /// How many bytes of its echo are still to come.
    echo: usize,
}

impl Session {
    /// A session on a line that is silent. A request that has no answer for `response_timeout` after
    /// its last character fails.
    pub fn new(response_timeout: Duration, line: Line) -> Self {
        Self {
            line,
            response_timeout,
            next_ticket: 0,
            pending: None,
            received: Received::new(),
            free_at: Instant::from_origin(Duration::ZERO),
            events: VecDeque::new(),
            discarded: 0,
        }
    }

    /// How long an answer may take.
    pub const fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Gives another time to the answers of requests from now on: units of one line may differ.
    pub const fn set_response_timeout(&mut self, response_timeout: Duration) {
        self.response_timeout = response_timeout;
    }

    /// Asks `unit`.
    ///
    /// # Errors
    ///
    /// [`RequestError::Busy`] while one is outstanding, [`RequestError::Broadcast`] for a read of
    /// all units, or the request's own.
    pub fn request(&mut self, unit: u8, request: &Request<'_>) -> Result<Ticket, RequestError> {
        if self.pending.is_some() || !self.events.is_empty() {
            return Err(RequestError::Busy);
        }
        if unit == BROADCAST && !request.is_write() {
            return Err(RequestError::Broadcast);
        }
        let mut frame = Vec::with_capacity(ADU_LEN_MAX);
        encode(unit, &mut frame, |out| request.encode(out))?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket = self.next_ticket.wrapping_add(1);
        let (shape, echo) = (request.shape(), if self.line.echo { frame.len() } else { 0 });
        self.pending = Some(Pending { ticket, unit, shape, frame, deadline: None, echo });
        Ok(ticket)
    }

    /// Gives up the request, whose answer nobody wants any more. One that was sent keeps the line
    /// until its answer came or its time is over.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.pending.as_ref().is_some_and(|of| of.ticket == ticket && of.deadline.is_none()) {
            self.pending = None;
        }
    }

    /// Takes what the line delivered.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.handle_timeout(now);
        self.free_at = self.free_at.max(now + self.line.gap);
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.deadline.is_some())
        else {
            self.discarded += 1;
            return;
        };
        let echo = pending.echo.min(bytes.len());
        pending.echo -= echo;
        self.received.push(now, &self.line, bytes.get(echo..).unwrap_or(&[]));
        self.look();
    }

    /// Fails the request whose time is over, or whose answer has ended damaged.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(pending) = &self.pending else { return };
        let Some(deadline) = pending.deadline else { return };
        if pending.unit == BROADCAST {
            if deadline <= now {
                let answer = Answer::of(&Response::Wrote(pending.shape));
                self.end(Event::Answer(pending.ticket, answer));
            }
            return;
        }
        let begun = self.begins_as_asked(pending);
        let silent = !self.received.bytes.is_empty() && self.received.at + self.line.silence <= now;
        if deadline <= now || (silent && begun) {
            let error = if begun { AnswerError::Damaged } else { AnswerError::TimedOut };
            let event = Event::Failed(pending.ticket, error);
            self.free_at = self.free_at.max(now + self.line.gap);
            self.end(event);
        } else if silent {
            // Noise: the answer may still come.
            self.received.clear();
        }
    }

    /// Appends to `out` what is to be sent at `now`; whether there was anything.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(pending) = self.pending.as_mut() else { return false };
        if pending.deadline.is_some() || now < self.free_at {
            return false;
        }
        out.extend(&pending.frame);
        let sent = now + self.line.duration_of(pending.frame.len());
        let wait =
            if pending.unit == BROADCAST { self.line.turnaround } else { self.response_timeout };
        pending.deadline = Some(sent + wait);
        self.free_at = sent + self.line.gap;
        self.received.clear();
        true
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When there is something to send, or [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pending = self.pending.as_ref()?;
        let Some(deadline) = pending.deadline else { return Some(self.free_at) };
        if self.received.bytes.is_empty() || pending.unit == BROADCAST {
            return Some(deadline);
        }
        Some(deadline.min(self.received.at + self.line.silence))
    }

    /// How often something came that nobody had asked for.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Looks for the answer among what came in.
    fn look(&mut self) {
        let Some(pending) = &self.pending else { return };
        let (asked, code) = (pending.unit, pending.shape.function.code());
        let found = self.received.find(response_len, |from, unit, pdu| {
            let answers = pdu.first().is_some_and(|function| function & 0x7f == code);
            // What begins the transmission is somebody's answer even if it is not the one asked.
            (from == 0 || (unit == asked && answers)).then(|| (unit, Answer::new(pdu)))
        });
        let Some((_, (unit, answer))) = found else { return };
        let error = if unit != asked {
            Some(AnswerError::Unit { asked, answered: unit })
        } else {
            let checked = answer.response().and_then(|response| response.check(pending.shape));
            checked.err().map(AnswerError::Pdu)
        };
        let ticket = pending.ticket;
        self.end(match error {
            Some(error) => Event::Failed(ticket, error),
            None => Event::Answer(ticket, answer),
        });
    }

    /// Whether what came in begins as the answer does, though it is not whole or not right.
    fn begins_as_asked(&self, pending: &Pending) -> bool {
        let code = pending.shape.function.code();
        let bytes = &self.received.bytes;
        bytes.windows(2).any(|pair| {
            matches!(pair, &[unit, function] if unit == pending.unit && function & 0x7f == code)
        }) || (bytes.first() == Some(&pending.unit) && response_len(bytes) == Length::Unknown)
    }

    fn end(&mut self, event: Event) {
        self.pending = None;
        self.received.clear();
        self.events.push_back(event);
    }
}
