use core::time::Duration;

use pointstream_time::Instant;
use proptest::prelude::*;

use super::*;
use crate::error::{AnswerError, Exception, PduError};
use crate::pdu::{Request, Response, Words};
use crate::session::{Event, RequestError, Ticket};
use crate::table::Table;

const READ: Request<'static> = Request::Read { table: Table::Holding, start: 10, count: 3 };
/// As they stood on a line between mbpoll and pymodbus.
const ASKED: [u8; 8] = [0x01, 0x03, 0x00, 0x0a, 0x00, 0x03, 0x25, 0xc9];
const ANSWER: [u8; 11] = [0x01, 0x03, 0x06, 0, 0x0a, 0, 0x0b, 0, 0x0c, 0xc8, 0xb3];

fn at(micros: u64) -> Instant {
    Instant::from_origin(Duration::from_micros(micros))
}

/// 9600 baud, 11 bits: a character takes 1145.826 µs, the gap 4010.391 µs.
fn line() -> Line {
    Line::serial(9_600, 11)
}

fn session(line: Line) -> Session {
    Session::new(Duration::from_secs(1), line)
}

fn framed(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(unit, &mut out, |out| {
        out.extend(pdu);
        Ok::<_, ()>(())
    })
    .unwrap();
    out
}

/// A session that has sent READ to unit 1 at 0, and its ticket.
fn asked(line: Line) -> (Session, Ticket) {
    let mut session = session(line);
    let ticket = session.request(1, &READ).unwrap();
    let mut out = Vec::new();
    assert!(session.poll_transmit(at(0), &mut out));
    assert_eq!(out, ASKED);
    (session, ticket)
}

fn words(event: Option<Event>) -> Vec<u16> {
    let Some(Event::Answer(_, answer)) = event else { panic!("no answer: {event:?}") };
    let Ok(Response::Words { words, .. }) = answer.response() else { panic!("no words") };
    words.iter().collect()
}

#[test]
fn the_check_sum_is_that_of_the_standard() {
    assert_eq!(crc(b"123456789"), 0x4b37);
    assert_eq!(framed(1, &ASKED[1..6]), ASKED);
    assert_eq!(decode(&ANSWER), Some((1, &ANSWER[1..9])));
    for len in 0..ANSWER.len() {
        assert_eq!(decode(&ANSWER[..len]), None);
    }
    let mut longest = framed(1, &[7; 253]);
    assert!(decode(&longest).is_some());
    longest = framed(1, &[7; 254]);
    assert_eq!(decode(&longest), None, "longer than a frame may be");
}

#[test]
fn times_are_those_of_the_standard() {
    let slow = line();
    assert_eq!(slow.char_time, Duration::from_nanos(104_166 * 11));
    assert_eq!(slow.gap, slow.char_time * 7 / 2);
    assert_eq!(slow.standard_pause_max(), slow.char_time * 3 / 2);
    let fast = Line::serial(115_200, 11);
    assert_eq!(fast.gap, Duration::from_micros(1_750));
    assert_eq!(fast.standard_pause_max(), Duration::from_micros(750));
    assert_eq!(Line::serial(19_200, 11).gap, Duration::from_nanos(52_083 * 11) * 7 / 2);
    assert_eq!(Line::tunnel().gap, Duration::ZERO);
}

#[test]
fn the_time_for_an_answer_begins_when_the_last_character_has_left() {
    let (mut session, ticket) = asked(line());
    let sent = line().char_time * 8;
    let deadline = at(0) + sent + Duration::from_secs(1);
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline);
    assert_eq!(session.poll_event(), Some(Event::Failed(ticket, AnswerError::TimedOut)));
}

#[test]
fn a_request_waits_until_the_line_was_silent_for_three_and_a_half_characters() {
    let (mut session, _) = asked(line());
    session.handle_input(at(20_000), &ANSWER);
    assert_eq!(words(session.poll_event()), [10, 11, 12]);
    session.request(2, &READ).unwrap();
    let free = at(20_000) + line().gap;
    assert_eq!(session.poll_timeout(), Some(free));
    let mut out = Vec::new();
    assert!(!session.poll_transmit(at(20_000) + line().gap - Duration::from_nanos(1), &mut out));
    // A character out of turn begins the silence anew.
    session.handle_input(at(22_000), &[0xff]);
    assert!(!session.poll_transmit(free, &mut out));
    assert!(session.poll_transmit(at(22_000) + line().gap, &mut out));
    assert_eq!((out.first(), session.discarded()), (Some(&2), 1));
}

#[test]
fn an_answer_in_single_characters_is_as_good_as_in_one_piece() {
    let (mut session, _) = asked(line());
    for (index, byte) in (0..).zip(ANSWER) {
        assert_eq!(session.poll_event(), None);
        session.handle_input(at(20_000 + index * 1_146), &[byte]);
    }
    assert_eq!(words(session.poll_event()), [10, 11, 12]);
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_pause_within_a_frame_damages_it_only_where_that_is_enforced() {
    let mut strict = line();
    strict.pause_max = Some(strict.standard_pause_max());
    let pause = 2_500;
    for (line, fails) in [(line(), false), (strict, true)] {
        let (mut session, ticket) = asked(line);
        session.handle_input(at(20_000), &ANSWER[..4]);
        // The second bunch takes seven characters to come, and a pause before it.
        let later = at(20_000) + line.char_time * 7 + Duration::from_micros(pause);
        session.handle_input(later, &ANSWER[4..]);
        if !fails {
            assert_eq!(words(session.poll_event()), [10, 11, 12]);
            continue;
        }
        assert_eq!(session.poll_event(), None);
        assert_eq!(session.poll_timeout(), Some(later + line.silence));
        session.handle_timeout(later + line.silence);
        assert_eq!(session.poll_event(), Some(Event::Failed(ticket, AnswerError::Damaged)));
    }
    // The longest pause that is none.
    let (mut session, _) = asked(strict);
    session.handle_input(at(20_000), &ANSWER[..4]);
    session
        .handle_input(at(20_000) + strict.char_time * 7 + strict.pause_max.unwrap(), &ANSWER[4..]);
    assert_eq!(words(session.poll_event()), [10, 11, 12]);
}

#[test]
fn noise_before_an_answer_is_skipped() {
    for noise in [&[0x00][..], &[0xff, 0x01], &[0x01, 0x03], &[0x01, 0x83, 0x02, 0, 0]] {
        let (mut session, _) = asked(line());
        session.handle_input(at(20_000), &[noise, &ANSWER].concat());
        assert_eq!(words(session.poll_event()), [10, 11, 12], "{noise:02x?}");
    }
    // A longer while before it, too.
    let (mut session, _) = asked(line());
    session.handle_input(at(10_000), &[0xf7, 0x00]);
    let silent = at(10_000) + line().silence;
    assert_eq!(session.poll_timeout(), Some(silent));
    session.handle_timeout(silent);
    assert_eq!(session.poll_event(), None);
    session.handle_input(at(60_000), &ANSWER);
    assert_eq!(words(session.poll_event()), [10, 11, 12]);
}

#[test]
fn a_damaged_answer_fails_once_the_line_is_silent() {
    let mut wrong_sum = ANSWER;
    wrong_sum[10] ^= 1;
    for bytes in [&wrong_sum[..], &ANSWER[..10], &ANSWER[..2]] {
        let (mut session, ticket) = asked(line());
        session.handle_input(at(20_000), bytes);
        assert_eq!(session.poll_event(), None);
        let silent = at(20_000) + line().silence;
        assert_eq!(session.poll_timeout(), Some(silent));
        session.handle_timeout(silent);
        assert_eq!(session.poll_event(), Some(Event::Failed(ticket, AnswerError::Damaged)));
        // The next request is not disturbed by it.
        session.request(1, &READ).unwrap();
        assert!(session.poll_transmit(silent + line().gap, &mut Vec::new()));
        session.handle_input(silent + Duration::from_millis(20), &ANSWER);
        assert_eq!(words(session.poll_event()), [10, 11, 12]);
    }
}

#[test]
fn answers_that_were_not_asked_for_fail_their_request() {
    for (unit, pdu, error) in [
        (2, &[3, 6, 0, 1, 0, 2, 0, 3][..], AnswerError::Unit { asked: 1, answered: 2 }),
        (1, &[3, 2, 0, 1], AnswerError::Pdu(PduError::Count)),
        (1, &[4, 2, 0, 1], AnswerError::Pdu(PduError::Mismatch { asked: 3, answered: 4 })),
        (1, &[0x84, 1], AnswerError::Pdu(PduError::Mismatch { asked: 3, answered: 4 })),
    ] {
        let (mut session, ticket) = asked(line());
        session.handle_input(at(20_000), &framed(unit, pdu));
        assert_eq!(session.poll_event(), Some(Event::Failed(ticket, error)));
    }
    let (mut session, _) = asked(line());
    session.handle_input(at(20_000), &framed(1, &[0x83, 2]));
    let Some(Event::Answer(_, answer)) = session.poll_event() else { panic!("no answer") };
    let exception = Exception::ILLEGAL_DATA_ADDRESS;
    assert_eq!(answer.response(), Ok(Response::Exception { function: 3, exception }));
}

#[test]
fn what_comes_glued_behind_an_answer_is_dropped() {
    let (mut session, _) = asked(line());
    session.handle_input(at(20_000), &[&ANSWER[..], &ANSWER[..]].concat());
    assert_eq!(words(session.poll_event()), [10, 11, 12]);
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_late_answer_is_discarded_while_nothing_is_asked() {
    let (mut session, ticket) = asked(line());
    let deadline = session.poll_timeout().unwrap();
    session.handle_timeout(deadline);
    assert_eq!(session.poll_event(), Some(Event::Failed(ticket, AnswerError::TimedOut)));
    session.handle_input(deadline + Duration::from_millis(5), &ANSWER);
    assert_eq!((session.poll_event(), session.discarded()), (None, 1));
}

#[test]
fn an_echo_is_taken_out_where_there_is_one() {
    let write = Request::WriteRegister { address: 1, value: 7 };
    let echo = Line { echo: true, ..line() };
    let mut session = session(echo);
    session.request(1, &write).unwrap();
    let mut out = Vec::new();
    session.poll_transmit(at(0), &mut out);
    // The echo of a write looks like its answer.
    session.handle_input(at(5_000), &out[..3]);
    session.handle_input(at(9_000), &out[3..]);
    assert_eq!(session.poll_event(), None);
    session.handle_input(at(20_000), &out);
    assert!(matches!(session.poll_event(), Some(Event::Answer(..))));
}

#[test]
fn a_broadcast_is_over_after_the_turnaround_and_is_never_a_read() {
    let mut session = session(line());
    assert_eq!(session.request(0, &READ), Err(RequestError::Broadcast));
    let words = Words::new(&[0, 7]).unwrap();
    let ticket = session.request(0, &Request::WriteRegisters { start: 1, values: words }).unwrap();
    let mut out = Vec::new();
    session.poll_transmit(at(0), &mut out);
    let over = at(0) + line().char_time * out.len() as u32 + line().turnaround;
    assert_eq!(session.poll_timeout(), Some(over));
    session.handle_timeout(over - Duration::from_nanos(1));
    assert_eq!(session.poll_event(), None);
    session.handle_timeout(over);
    assert!(matches!(session.poll_event(), Some(Event::Answer(of, _)) if of == ticket));
}

#[test]
fn a_cancelled_request_keeps_the_line_only_if_it_was_sent() {
    let mut unsent = session(line());
    let ticket = unsent.request(1, &READ).unwrap();
    unsent.cancel(ticket);
    assert!(unsent.request(1, &READ).is_ok());
    let (mut sent, ticket) = asked(line());
    sent.cancel(ticket);
    assert_eq!(sent.request(1, &READ), Err(RequestError::Busy));
    sent.handle_input(at(20_000), &ANSWER);
    assert!(sent.poll_event().is_some());
    assert!(sent.request(1, &READ).is_ok());
}

#[test]
fn a_responder_answers_after_the_gap_and_hears_only_its_units() {
    let mut responder = Responder::new(line());
    let ours = |unit: u8| unit == 1;
    // Another unit's request and answer, a piece of noise, then a request for us.
    responder.handle_input(at(0), &framed(2, &ASKED[1..6]), ours);
    responder.handle_input(at(9_000), &framed(2, &ANSWER[1..9]), ours);
    responder.handle_input(at(15_000), &[0xff], ours);
    assert_eq!(responder.poll_request(), None);
    responder.handle_input(at(40_000), &ASKED, ours);
    assert_eq!(responder.poll_request(), Some((1, ASKED[1..6].to_vec())));
    responder.answer(1, &ANSWER[1..9]);
    let free = at(40_000) + line().gap;
    assert_eq!(responder.poll_timeout(), Some(free));
    let mut out = Vec::new();
    assert!(!responder.poll_transmit(free - Duration::from_nanos(1), &mut out));
    assert!(responder.poll_transmit(free, &mut out));
    assert_eq!(out, ANSWER);
}

#[test]
fn a_responder_hears_broadcasts_answers_none_and_measures_the_unknown_by_silence() {
    let mut responder = Responder::new(line());
    responder.handle_input(at(0), &framed(0, &[6, 0, 1, 0, 7]), |_| false);
    assert_eq!(responder.poll_request(), Some((0, vec![6, 0, 1, 0, 7])));
    responder.answer(0, &[6, 0, 1, 0, 7]);
    assert_eq!(responder.poll_timeout(), None);
    responder.handle_input(at(100_000), &framed(1, &[0x41, 1, 2, 3]), |_| true);
    assert_eq!(responder.poll_request(), None);
    let silent = responder.poll_timeout().unwrap();
    assert_eq!(silent, at(100_000) + line().silence);
    responder.handle_timeout(silent, |_| true);
    assert_eq!(responder.poll_request(), Some((1, vec![0x41, 1, 2, 3])));
    let mut damaged = ASKED;
    damaged[3] ^= 1;
    responder.handle_input(at(200_000), &damaged, |_| true);
    responder.handle_timeout(at(300_000), |_| true);
    assert_eq!((responder.poll_request(), responder.damaged()), (None, 1));
    responder.handle_input(at(400_000), &ASKED, |_| true);
    assert!(responder.poll_request().is_some());
}

#[test]
fn what_is_kept_of_a_babbling_line_is_bounded() {
    let mut responder = Responder::new(line());
    let (mut session, _) = asked(line());
    for index in 0..100 {
        responder.handle_input(at(index * 1_000), &[0x55; 300], |_| true);
        session.handle_input(at(index * 1_000), &[0x55; 300]);
        assert!(responder.received.bytes.len() <= Received::LEN_MAX);
        assert!(session.received.bytes.len() <= Received::LEN_MAX);
    }
}

proptest! {
    #[test]
    fn any_bytes_at_any_time_give_at_most_one_event_per_request(
        steps in prop::collection::vec(
            (0u8..4, 0u64..50_000, prop::collection::vec(any::<u8>(), 0..20)), 1..60),
    ) {
        let mut session = session(line());
        let mut responder = Responder::new(line());
        let (mut now, mut asked, mut told) = (0, 0, 0);
        for (what, later, bytes) in steps {
            now += later;
            match what {
                0 => asked += usize::from(session.request(1, &READ).is_ok()),
                1 => session.handle_timeout(at(now)),
                2 => session.handle_input(at(now), &ANSWER),
                _ => session.handle_input(at(now), &bytes),
            }
            session.poll_transmit(at(now), &mut Vec::new());
            responder.handle_input(at(now), &bytes, |unit| unit < 100);
            if let Some((unit, _)) = responder.poll_request() {
                responder.answer(unit, &[3, 2, 0, 1]);
            }
            while session.poll_event().is_some() {
                told += 1;
            }
            prop_assert!(told <= asked);
        }
    }

    #[test]
    fn a_request_is_found_behind_any_noise_and_in_any_pieces(
        noise in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = [&noise[..], &ASKED[..]].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut responder = Responder::new(line());
        let mut last = None;
        for pair in cuts.windows(2) {
            responder.handle_input(at(0), &bytes[pair[0]..pair[1]], |unit| unit == 1);
            last = responder.poll_request().or(last);
        }
        prop_assert_eq!(last, Some((1, ASKED[1..6].to_vec())));
    }
}
