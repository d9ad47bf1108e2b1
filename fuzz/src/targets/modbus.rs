use core::iter::once;
use core::time::Duration;

use pointstream_modbus::data::Scalar;
use pointstream_modbus::mbap::{ADU_LEN_MAX, Decoder, HEADER_LEN, Header, encode};
use pointstream_modbus::pdu::{PDU_LEN_MAX, READ_BITS_MAX, READ_REGISTERS_MAX, Request, Response};
use pointstream_modbus::rtu::{self, Line, Responder, Session};
use pointstream_modbus::session::Event;
use pointstream_modbus::{Address, DataError, FrameError};
use pointstream_time::Instant;

use crate::split;

type Frames = (Vec<(Header, Vec<u8>)>, Option<FrameError>);

/// A stream of frames, cut anywhere: as found whole, as a plain reading of the guide finds it.
///
/// The first byte says how many bytes follow that are lengths of pieces; the rest is the stream.
pub fn modbus_mbap(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else { return };
    let (lens, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = decode_all(once(stream));
    assert_eq!(whole, reference(stream));
    assert_eq!(decode_all(stream.chunks(1)), whole, "cut into bytes");
    let mut rest = stream;
    let mut pieces: Vec<&[u8]> = Vec::new();
    for &len in lens {
        let (piece, after) = rest.split_at(usize::from(len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(decode_all(pieces.into_iter().chain(once(rest))), whole, "cut into pieces");
    let mut again = Vec::new();
    for (header, pdu) in &whole.0 {
        let encoded = encode(*header, &mut again, |out| {
            out.extend(pdu);
            Ok::<_, ()>(())
        });
        assert_eq!(encoded, Ok(()));
    }
    assert!(stream.starts_with(&again), "encoded, the frames are the stream");
}

fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Frames {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => {
                    assert!((1..=PDU_LEN_MAX).contains(&frame.pdu.len()));
                    frames.push((frame.header, frame.pdu.to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut &[0; ADU_LEN_MAX][..]), Err(error));
                    return (frames, Some(error));
                }
            }
        }
        assert!(piece.is_empty(), "bytes were left without need");
    }
    (frames, None)
}

/// What section 3.1.3 of the guide says, over a whole stream.
fn reference(mut stream: &[u8]) -> Frames {
    let mut frames = Vec::new();
    loop {
        let word = |at: usize| Some(u16::from_be_bytes([*stream.get(at)?, *stream.get(at + 1)?]));
        match word(2) {
            None | Some(0) => {}
            Some(protocol) => return (frames, Some(FrameError::Protocol(protocol))),
        }
        let len = match word(4) {
            None => return (frames, None),
            Some(len @ 2..=254) => usize::from(len) + 6,
            Some(len) => return (frames, Some(FrameError::Length(len))),
        };
        let (Some(transaction), Some(frame)) = (word(0), stream.get(..len)) else {
            return (frames, None);
        };
        frames.push((Header { transaction, unit: frame[6] }, frame[HEADER_LEN..].to_vec()));
        stream = &stream[len..];
    }
}

/// Requests and responses: what decodes encodes to the same bytes, and a response is judged
/// against a request without a panic.
///
/// The first byte is the length of the request, the rest is the response; all of it is taken as
/// either as well.
pub fn modbus_pdu(data: &[u8]) {
    request(data);
    response(data);
    let Some((&len, rest)) = data.split_first() else { return };
    let (asked, answered) = rest.split_at(usize::from(len).min(rest.len()));
    request(asked);
    response(answered);
    if let (Ok(asked), Ok(answered)) = (Request::decode(asked), Response::decode(answered)) {
        let _ = answered.check(asked.shape());
    }
}

fn request(pdu: &[u8]) {
    let request = match Request::decode(pdu) {
        Ok(request) => request,
        Err(error) => {
            assert!((1..=3).contains(&error.exception().0), "{error}");
            return;
        }
    };
    assert!(pdu.len() <= PDU_LEN_MAX);
    assert_eq!(request.function().code(), pdu[0]);
    let mut again = vec![7];
    assert_eq!(request.encode(&mut again), Ok(()));
    assert_eq!(&again[1..], pdu);
    match request {
        Request::Read { count, start, .. } => {
            assert!(u32::from(start) + u32::from(count) <= 0x1_0000);
            assert!((1..=request.function().count_max()).contains(&count));
        }
        Request::WriteCoils { values, .. } => {
            assert_eq!(values.iter().count(), usize::from(values.len()))
        }
        Request::WriteRegisters { values, .. } => assert_eq!(values.iter().count(), values.len()),
        _ => {}
    }
    // What is echoed answers a write: all of a mask, the head of what writes several.
    if request.is_write() {
        let len = if matches!(request, Request::MaskWrite { .. }) { 7 } else { 5 };
        let echo = Response::decode(&pdu[..len]).expect("an echo is a response");
        assert_eq!(echo.check(request.shape()), Ok(()));
    }
}

fn response(pdu: &[u8]) {
    let Ok(response) = Response::decode(pdu) else { return };
    assert!(pdu.len() <= PDU_LEN_MAX);
    let mut again = vec![7];
    assert_eq!(response.encode(&mut again), Ok(()));
    assert_eq!(&again[1..], pdu);
    match response {
        Response::Bits { bits, .. } => {
            assert!((8..=READ_BITS_MAX).contains(&bits.len()));
            assert_eq!(bits.iter().count(), usize::from(bits.len()));
        }
        Response::Words { words, .. } => {
            assert!((1..=usize::from(READ_REGISTERS_MAX)).contains(&words.len()));
            assert_eq!(words.iter().count(), words.len());
        }
        Response::DeviceId(id) => {
            assert!(id.objects().map(|(_, text)| text.len() + 2).sum::<usize>() <= PDU_LEN_MAX);
        }
        _ => {}
    }
}

/// A line with a client and a server on it, in virtual time: whatever comes, each request has at most
/// one end, a damaged frame is nobody's, and what is kept is bounded.
///
/// Each step is a byte for what happens, one for the milliseconds before it, one for a length, and so
/// many bytes. Frames with the right check sum are made of such bytes, too, since blind luck rarely
/// makes one.
pub fn modbus_rtu(data: &[u8]) {
    let line = Line::serial(9_600, 11);
    let mut session = Session::new(Duration::from_secs(1), line);
    let mut responder = Responder::new(line);
    let mut now = Duration::ZERO;
    let (mut asked, mut told, mut rest) = (0u32, 0u32, data);
    while let [what, later, len, after @ ..] = rest {
        now += Duration::from_millis((*later).into());
        let at = Instant::from_origin(now);
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        match what % 6 {
            0 => {
                if let Ok(request) = Request::decode(bytes) {
                    asked += u32::from(session.request(what >> 4, &request).is_ok());
                }
            }
            1 => session.handle_timeout(at),
            2 => responder.handle_timeout(at, |unit| unit < 8),
            3 => {
                let mut frame = Vec::new();
                let _ = rtu::encode(what >> 4, &mut frame, |out| {
                    out.extend(bytes);
                    Ok::<_, ()>(())
                });
                let sound = rtu::decode(&frame);
                let len_ok = (rtu::ADU_LEN_MIN..=rtu::ADU_LEN_MAX).contains(&frame.len());
                assert_eq!(sound, len_ok.then_some((what >> 4, bytes)));
                session.handle_input(at, &frame);
                responder.handle_input(at, &frame, |unit| unit < 8);
            }
            _ => {
                session.handle_input(at, bytes);
                responder.handle_input(at, bytes, |unit| unit < 8);
            }
        }
        let mut out = Vec::new();
        if session.poll_transmit(at, &mut out) {
            let (_, pdu) = rtu::decode(&out).expect("what is sent is a frame");
            assert!(Request::decode(pdu).is_ok());
        }
        if let Some((unit, pdu)) = responder.poll_request() {
            assert!(unit < 8 && !pdu.is_empty() && pdu.len() <= PDU_LEN_MAX);
            responder.answer(unit, &pdu);
        }
        responder.poll_transmit(at, &mut out);
        while let Some(event) = session.poll_event() {
            told += 1;
            if let Event::Answer(_, answer) = event {
                assert!(answer.response().is_ok(), "an answer is a response");
            }
        }
        assert!(told <= asked, "{told} ends of {asked} requests");
    }
}

/// The text of an address before the first 0 byte, registers behind it: what is shown of an address
/// is the same address, and what it reads from registers is written back as it was read.
pub fn modbus_address(data: &[u8]) {
    let (text, registers) = split(data);
    let Ok(text) = core::str::from_utf8(text) else { return };
    let address = match text.parse::<Address>() {
        Ok(address) => address,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(address.to_string().parse(), Ok(address.clone()), "{address}");
    assert!(u32::from(address.start) + u32::from(address.count()) <= 0x1_0000);
    assert_eq!(address.is_bool(), address.data.is_bit());

    let words: Vec<u16> = registers
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[pair.len() - 1]]))
        .collect();
    if address.is_text() {
        let Ok(text) = address.data.decode_text(&words) else {
            return assert!(words.len() < usize::from(address.count()));
        };
        let mut encoded = Vec::new();
        // Latin-1 may be longer in UTF-8.
        if address.data.encode_text(&text, &mut encoded).is_ok() {
            assert_eq!(encoded.len(), usize::from(address.count()));
            assert_eq!(address.data.decode_text(&encoded), Ok(text));
        }
        return;
    }
    let raw = match address.data.decode(&words) {
        Ok(raw) => raw,
        Err(DataError::Bcd(_)) => return,
        Err(_) => return assert!(words.len() < usize::from(address.count())),
    };
    let encoded = address.data.encode(raw).expect("what was read can be written");
    assert_eq!(encoded.as_slice().len(), usize::from(address.count()));
    let again = address.data.decode(encoded.as_slice()).expect("as many registers");
    assert!(alike(raw, again), "{raw:?} comes back as {again:?}");
    // A scale may lead beyond the type: that is an error, not a panic.
    let _ = address.data.encode(address.unscaled(address.scaled(raw)));
    let _ = address.data.encode(address.unscaled(raw));
}

fn alike(a: Scalar, b: Scalar) -> bool {
    match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) if a.is_nan() => b.is_nan(),
        _ => a == b,
    }
}
