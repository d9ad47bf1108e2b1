//! A client's session on one Modbus TCP stream, or with one peer by UDP, without the socket.

use std::collections::VecDeque;

use core::time::Duration;

use pointstream_time::Instant;

use crate::error::{AnswerError, FrameError, PduError};
use crate::mbap::{self, Decoder, Frame, Header};
use crate::pdu::{PDU_LEN_MAX, Request, Response, Shape};

/// The client's side of one stream: told the time and given bytes, asked for bytes and events.
///
/// As many transactions are outstanding at a time as its window allows, one unless it was told
/// otherwise; what is asked beyond is refused until an [`Event`] was taken. Answers may come in any
/// order. An answer that comes after its time-out, or whose transaction was never asked, is
/// discarded and counted, and the session goes on. What is not Modbus TCP breaks the session:
/// [`Event::Broken`] comes once and nothing after it. A session on datagrams takes each for itself:
/// what is not one whole frame is discarded and counted.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    datagrams: bool,
    window: usize,
    response_timeout: Duration,
    next_transaction: u16,
    pending: Vec<Pending>,
    transmit: Vec<u8>,
    events: VecDeque<Event>,
    broken: bool,
    discarded: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    header: Header,
    shape: Shape,
    deadline: Instant,
}

/// Names one request of one session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ticket(pub(crate) u16);

/// What a session has to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one at a time; an allocation each costs more")]
pub enum Event {
    /// The answer to a request: a [`Response`] that was checked against it, possibly an exception.
    Answer(Ticket, Answer),
    /// The request has no answer. The session stands.
    Failed(Ticket, AnswerError),
    /// The stream is not Modbus TCP. Its outstanding request gets no event of its own.
    Broken(FrameError),
}

/// An answer's protocol data unit.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Answer {
    bytes: [u8; PDU_LEN_MAX],
    len: u8,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// As many requests as allowed are outstanding.
    #[error("a request is outstanding")]
    Busy,
    /// A read of unit 0 on a serial line, where all units listen and none answers.
    #[error("unit 0 is all units of a serial line: it is written to, not read")]
    Broadcast,
    /// The stream is not Modbus TCP.
    #[error("the session is broken")]
    Broken,
    /// The request is beyond the protocol's limits.
    #[error("{0}")]
    Pdu(#[from] PduError),
}

impl Session {
    /// A session at the start of a stream. A request that has no answer for `response_timeout`
    /// fails.
    pub fn new(response_timeout: Duration) -> Self {
        Self {
            decoder: Decoder::new(),
            datagrams: false,
            window: 1,
            response_timeout,
            next_transaction: 0,
            pending: Vec::with_capacity(1),
            transmit: Vec::with_capacity(mbap::ADU_LEN_MAX),
            events: VecDeque::with_capacity(2),
            broken: false,
            discarded: 0,
        }
    }

    /// A session with one peer by datagrams: what [`Self::handle_input`] is given is one of them,
    /// and so is what one [`Self::poll_transmit`] appends.
    pub fn datagrams(response_timeout: Duration) -> Self {
        Self { datagrams: true, ..Self::new(response_timeout) }
    }

    /// This session with so many transactions outstanding at a time, 1 to [`Self::WINDOW_MAX`].
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window.clamp(1, Self::WINDOW_MAX);
        self
    }

    /// The largest window. Devices that take several requests at a time rarely take more than 16.
    pub const WINDOW_MAX: usize = 64;

    /// Gives another time to the answers of requests from now on: units of one stream may differ.
    pub const fn set_response_timeout(&mut self, response_timeout: Duration) {
        self.response_timeout = response_timeout;
    }

    /// How long an answer may take.
    pub const fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Asks `unit`. The time for the answer runs from `now`.
    pub fn request(
        &mut self,
        now: Instant,
        unit: u8,
        request: &Request<'_>,
    ) -> Result<Ticket, RequestError> {
        if self.broken {
            return Err(RequestError::Broken);
        }
        if self.pending.len() + self.events.len() >= self.window {
            return Err(RequestError::Busy);
        }
        let header = Header { transaction: self.next_transaction, unit };
        mbap::encode(header, &mut self.transmit, |out| request.encode(out))?;
        self.next_transaction = self.next_transaction.wrapping_add(1);
        let deadline = now + self.response_timeout;
        self.pending.push(Pending { header, shape: request.shape(), deadline });
        Ok(Ticket(header.transaction))
    }

    /// Forgets a request, whose answer will be discarded.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.pending.retain(|pending| pending.header.transaction != ticket.0);
    }

    /// Takes what the stream delivered.
    pub fn handle_input(&mut self, now: Instant, mut bytes: &[u8]) {
        self.handle_timeout(now);
        if self.datagrams {
            self.decoder = Decoder::new();
        }
        while !self.broken {
            match self.decoder.decode(&mut bytes) {
                Ok(None) => break,
                Ok(Some(frame)) => match outcome(&mut self.pending, &frame) {
                    Some(event) => self.events.push_back(event),
                    None => self.discarded += 1,
                },
                Err(_) if self.datagrams => {
                    self.discarded += 1;
                    return;
                }
                Err(error) => {
                    self.broken = true;
                    self.pending.clear();
                    self.events.push_back(Event::Broken(error));
                }
            }
        }
        if self.datagrams && self.decoder.is_partial() {
            self.discarded += 1;
        }
    }

    /// Fails the requests whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.pending.retain(|pending| {
            let over = pending.deadline <= now;
            if over {
                let ticket = Ticket(pending.header.transaction);
                self.events.push_back(Event::Failed(ticket, AnswerError::TimedOut));
            }
            !over
        });
    }

    /// Appends to `out` what is to be sent; whether there was anything.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let any = !self.transmit.is_empty();
        out.append(&mut self.transmit);
        any
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.deadline).min()
    }

    /// How many answers were discarded because nothing was waiting for them.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }
}

impl Answer {
    /// The first bytes of `pdu`, as many as there may be.
    pub(crate) fn new(pdu: &[u8]) -> Self {
        let mut answer = Self { bytes: [0; PDU_LEN_MAX], len: 0 };
        for (place, byte) in answer.bytes.iter_mut().zip(pdu) {
            *place = *byte;
            answer.len += 1;
        }
        answer
    }

    /// The bytes of a response; none where it has no bytes.
    pub(crate) fn of(response: &Response<'_>) -> Self {
        let mut out = Vec::new();
        let _ = response.encode(&mut out);
        Self::new(&out)
    }

    /// What was answered.
    pub fn response(&self) -> Result<Response<'_>, PduError> {
        Response::decode(self.pdu())
    }

    /// The bytes.
    pub fn pdu(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Answer({:02x?})", self.pdu())
    }
}

/// What `frame` means for the request it answers; `None` when nothing waits for it.
fn outcome(pending: &mut Vec<Pending>, frame: &Frame<'_>) -> Option<Event> {
    let transaction = frame.header.transaction;
    let at = pending.iter().position(|pending| pending.header.transaction == transaction)?;
    let Pending { header, shape, .. } = pending.remove(at);
    let ticket = Ticket(header.transaction);
    if header.unit != frame.header.unit {
        let (asked, answered) = (header.unit, frame.header.unit);
        return Some(Event::Failed(ticket, AnswerError::Unit { asked, answered }));
    }
    let checked = Response::decode(frame.pdu).and_then(|response| response.check(shape));
    Some(match checked {
        Ok(()) => Event::Answer(ticket, Answer::new(frame.pdu)),
        Err(error) => Event::Failed(ticket, AnswerError::Pdu(error)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Exception;
    use crate::table::Table;

    const READ: Request<'static> = Request::Read { table: Table::Holding, start: 0, count: 1 };

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn session() -> Session {
        Session::new(Duration::from_secs(1))
    }

    fn answer(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        mbap::encode(Header { transaction, unit }, &mut out, |out| {
            out.extend(pdu);
            Ok::<_, ()>(())
        })
        .unwrap();
        out
    }

    fn value(event: Option<Event>) -> u16 {
        let Some(Event::Answer(_, answer)) = event else { panic!("no answer: {event:?}") };
        let Ok(Response::Words { words, .. }) = answer.response() else { panic!("no words") };
        words.get(0).unwrap()
    }

    #[test]
    fn a_request_goes_out_once_and_its_answer_comes_back() {
        let mut session = session();
        let ticket = session.request(at(0), 7, &READ).unwrap();
        let mut out = Vec::new();
        assert!(session.poll_transmit(&mut out));
        assert_eq!(out, [0, 0, 0, 0, 0, 6, 7, 3, 0, 0, 0, 1]);
        assert!(!session.poll_transmit(&mut out));
        assert_eq!(session.poll_timeout(), Some(at(1000)));
        assert_eq!(session.request(at(1), 7, &READ), Err(RequestError::Busy));
        session.handle_input(at(20), &answer(0, 7, &[3, 2, 0, 42]));
        assert_eq!(session.poll_timeout(), None);
        let event = session.poll_event();
        assert!(matches!(&event, Some(Event::Answer(of, _)) if *of == ticket));
        assert_eq!(value(event), 42);
        assert_eq!(session.poll_event(), None);
    }

    #[test]
    fn a_time_out_drops_only_its_own_request_and_the_late_answer_is_discarded() {
        let mut session = session();
        let first = session.request(at(0), 1, &READ).unwrap();
        session.handle_timeout(at(999));
        assert_eq!(session.poll_event(), None);
        session.handle_timeout(at(1000));
        assert_eq!(session.poll_event(), Some(Event::Failed(first, AnswerError::TimedOut)));
        session.request(at(1000), 1, &READ).unwrap();
        session.handle_input(at(1200), &answer(0, 1, &[3, 2, 0, 1]));
        assert_eq!((session.poll_event(), session.discarded()), (None, 1));
        session.handle_input(at(1300), &answer(1, 1, &[3, 2, 0, 2]));
        assert_eq!(value(session.poll_event()), 2);
    }

    #[test]
    fn an_answer_that_comes_at_the_deadline_is_late() {
        let mut session = session();
        let ticket = session.request(at(0), 1, &READ).unwrap();
        session.handle_input(at(1000), &answer(0, 1, &[3, 2, 0, 1]));
        assert_eq!(session.poll_event(), Some(Event::Failed(ticket, AnswerError::TimedOut)));
        assert_eq!((session.poll_event(), session.discarded()), (None, 1));
    }

    #[test]
    fn what_is_not_the_answer_fails_the_request_and_not_the_session() {
        for (unit, pdu, error) in [
            (2, &[3, 2, 0, 1][..], AnswerError::Unit { asked: 1, answered: 2 }),
            (1, &[3, 4, 0, 1, 0, 2], AnswerError::Pdu(PduError::Count)),
            (1, &[3, 9, 0], AnswerError::Pdu(PduError::Length)),
            (1, &[4, 2, 0, 1], AnswerError::Pdu(PduError::Mismatch { asked: 3, answered: 4 })),
            (1, &[0x2b, 1], AnswerError::Pdu(PduError::Function(0x2b))),
        ] {
            let mut session = session();
            let ticket = session.request(at(0), 1, &READ).unwrap();
            session.handle_input(at(1), &answer(0, unit, pdu));
            assert_eq!(session.poll_event(), Some(Event::Failed(ticket, error)));
            session.request(at(2), 1, &READ).unwrap();
            session.handle_input(at(3), &answer(1, 1, &[0x83, 2]));
            let Some(Event::Answer(_, answer)) = session.poll_event() else { panic!("no answer") };
            let exception = Exception::ILLEGAL_DATA_ADDRESS;
            assert_eq!(answer.response(), Ok(Response::Exception { function: 3, exception }));
        }
    }

    #[test]
    fn garbage_breaks_the_session_once() {
        let mut session = session();
        session.request(at(0), 1, &READ).unwrap();
        session.handle_input(at(1), b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(session.poll_event(), Some(Event::Broken(FrameError::Protocol(0x5450))));
        session.handle_input(at(2), b"more");
        session.handle_timeout(at(9000));
        assert_eq!((session.poll_event(), session.poll_timeout()), (None, None));
        assert_eq!(session.request(at(3), 1, &READ), Err(RequestError::Broken));
    }

    #[test]
    fn a_window_of_requests_is_answered_in_any_order() {
        let mut session = session().with_window(3);
        let tickets: Vec<_> = (0..3).map(|_| session.request(at(0), 1, &READ).unwrap()).collect();
        assert_eq!(session.request(at(0), 1, &READ), Err(RequestError::Busy));
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        assert_eq!(out.len(), 3 * 12);
        session.handle_input(
            at(1),
            &[answer(2, 1, &[3, 2, 0, 9]), answer(0, 1, &[3, 2, 0, 7])].concat(),
        );
        assert_eq!(
            session.request(at(1), 1, &READ),
            Err(RequestError::Busy),
            "untaken events count"
        );
        assert!(matches!(session.poll_event(), Some(Event::Answer(of, _)) if of == tickets[2]));
        assert!(matches!(session.poll_event(), Some(Event::Answer(of, _)) if of == tickets[0]));
        assert!(session.request(at(500), 1, &READ).is_ok());
        assert_eq!(session.poll_timeout(), Some(at(1000)));
        session.handle_timeout(at(1000));
        assert_eq!(session.poll_event(), Some(Event::Failed(tickets[1], AnswerError::TimedOut)));
        assert_eq!(session.poll_timeout(), Some(at(1500)));
    }

    #[test]
    fn a_cancelled_request_has_no_event_and_its_answer_is_discarded() {
        let mut session = session();
        let ticket = session.request(at(0), 1, &READ).unwrap();
        session.cancel(ticket);
        assert_eq!(session.poll_timeout(), None);
        session.handle_input(at(1), &answer(0, 1, &[3, 2, 0, 9]));
        assert_eq!((session.poll_event(), session.discarded()), (None, 1));
    }

    #[test]
    fn a_datagram_that_is_not_a_frame_leaves_no_trace() {
        let mut session = Session::datagrams(Duration::from_secs(1));
        session.request(at(0), 1, &READ).unwrap();
        session.handle_input(at(1), b"HTTP/1.1 400 Bad Request");
        session.handle_input(at(2), &answer(0, 1, &[3, 2, 0, 1])[..9]);
        assert_eq!((session.poll_event(), session.discarded()), (None, 2));
        session.handle_input(at(3), &answer(0, 1, &[3, 2, 0, 2]));
        assert_eq!(value(session.poll_event()), 2);
    }

    #[test]
    fn transactions_wrap() {
        let mut session = session();
        for transaction in (0..=u16::MAX).chain(0..2) {
            session.request(at(0), 1, &READ).unwrap();
            session.handle_input(at(0), &answer(transaction, 1, &[3, 2, 0, 9]));
            assert_eq!(value(session.poll_event()), 9);
        }
    }

    #[test]
    fn a_request_beyond_the_limits_leaves_the_session_as_it_was() {
        let mut session = session();
        let long = Request::Read { table: Table::Holding, start: 0, count: 126 };
        assert_eq!(session.request(at(0), 1, &long), Err(RequestError::Pdu(PduError::Count)));
        assert!(!session.poll_transmit(&mut Vec::new()));
        assert_eq!(session.poll_timeout(), None);
    }

    proptest! {
        #[test]
        fn any_input_at_any_time_leaves_at_most_one_event_per_request(
            steps in prop::collection::vec(
                (0u8..4, 0u64..700, prop::collection::vec(any::<u8>(), 0..20), 0u16..6), 1..60),
        ) {
            let mut session = session();
            let (mut now, mut asked, mut told) = (0, 0, 0);
            for (what, later, bytes, transaction) in steps {
                now += later;
                match what {
                    0 => asked += usize::from(session.request(at(now), 1, &READ).is_ok()),
                    1 => session.handle_timeout(at(now)),
                    2 => session.handle_input(at(now), &answer(transaction, 1, &[3, 2, 0, 1])),
                    _ => session.handle_input(at(now), &bytes),
                }
                while let Some(event) = session.poll_event() {
                    told += usize::from(!matches!(event, Event::Broken(_)));
                }
                prop_assert!(told <= asked);
                prop_assert!(session.poll_timeout().is_none_or(|due| due <= at(now + 1000)));
            }
        }
    }
}
