//! What goes over the wire, for the trace of a connector.

use core::fmt;

use pointstream_conn::{Context, TraceKind};

use crate::driver::link::{Trace, Traced};
use crate::error::PduError;
use crate::framing::Framing;
use crate::mbap::HEADER_LEN;
use crate::pdu::{Request, Response};
use crate::rtu;

/// What shows bytes in the connector's trace, decoded where a chunk is one whole frame.
pub(super) fn of(context: &Context, framing: Framing) -> Trace {
    let trace = context.trace.clone();
    Trace::new(move |traced| {
        let (kind, bytes, sent) = match traced {
            Traced::Sent(bytes) => (TraceKind::Req, bytes, true),
            Traced::Received(bytes) => (TraceKind::Res, bytes, false),
        };
        trace.bytes(kind, Shown { framing, bytes, sent }, bytes);
    })
}

/// A chunk of bytes as a text, made only when a trace is on.
struct Shown<'a> {
    framing: Framing,
    bytes: &'a [u8],
    sent: bool,
}

impl Shown<'_> {
    /// The unit and the protocol data unit, if this is one whole frame.
    fn pdu(&self) -> Option<(u8, &[u8])> {
        if let Framing::Rtu(_) = self.framing {
            return rtu::decode(self.bytes);
        }
        let (header, pdu) = self.bytes.split_at_checked(HEADER_LEN)?;
        let &[_, _, _, _, high, low, unit] = header else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        (len == pdu.len() + 1).then_some((unit, pdu))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, pdu)) = self.pdu() else {
            return write!(f, "{} bytes", self.bytes.len());
        };
        write!(f, "unit {unit} ")?;
        let bad = |f: &mut fmt::Formatter<'_>, error: PduError| write!(f, "not decoded: {error}");
        if self.sent {
            return match Request::decode(pdu) {
                Ok(request) => write!(f, "{request:?}"),
                Err(error) => bad(f, error),
            };
        }
        match Response::decode(pdu) {
            Ok(Response::Exception { function, exception }) => {
                write!(f, "function {function} refused: {exception}")
            }
            Ok(Response::Words { words, .. }) => f.debug_list().entries(words.iter()).finish(),
            Ok(Response::Bits { bits, .. }) => {
                f.debug_list().entries(bits.iter().map(u8::from)).finish()
            }
            Ok(response) => write!(f, "{response:?}"),
            Err(error) => bad(f, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_decoded_and_what_is_none_is_counted() {
        let show = |sent, bytes: &[u8]| Shown { framing: Framing::Tcp, bytes, sent }.to_string();
        let request = [0, 1, 0, 0, 0, 6, 17, 3, 0, 107, 0, 2];
        let text = show(true, &request);
        assert!(text.starts_with("unit 17 Read {") && text.contains("start: 107"), "{text}");
        let answer = [0, 1, 0, 0, 0, 7, 17, 3, 4, 2, 43, 0, 100];
        assert_eq!(show(false, &answer), "unit 17 [555, 100]");
        let refusal = [0, 1, 0, 0, 0, 3, 17, 0x83, 2];
        assert!(show(false, &refusal).contains("function 3 refused: "));
        assert_eq!(show(false, &answer[..5]), "5 bytes");
    }
}
