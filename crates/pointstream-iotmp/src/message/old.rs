//! The old dialect: one kind of message with a signal in it.

use alloc::vec::Vec;

use super::{Draft, Message, MessageType, Resource, put_field, read_fields, stream_id};
use crate::dialect::Dialect;
use crate::encode::{Encode, Encoder};
use crate::error::{DecodeError, EncodeError, Malformed};
use crate::frame::Frame;
use crate::pson::Rules;
use crate::value::{Text, Value};
use crate::varint;

const MESSAGE: u8 = 0x01;
const KEEP_ALIVE: u8 = 0x02;

const STREAM_ID: u8 = 1;
const SIGNAL: u8 = 2;
const IDENTIFIER: u8 = 3;
const RESOURCE: u8 = 4;
const PAYLOAD: u8 = 6;

const RUN: u64 = 0;
const OK: u64 = 1;
const ERROR: u64 = 2;
const START_STREAM: u64 = 3;
const STOP_STREAM: u64 = 4;
const AUTH: u64 = 5;
const STREAM_EVENT: u64 = 6;
const STREAM_SAMPLE: u64 = 7;

/// The signals that are runs of a numbered resource in IOTMP, with its number there: call endpoint,
/// call device, bucket data, get property, set property.
const SERVER_CALLS: [(u64, u64); 5] = [(8, 4), (9, 3), (10, 5), (11, 1), (12, 2)];

pub(super) fn decode<'a>(frame: &Frame<'a>, rules: &Rules) -> Result<Message<'a>, DecodeError> {
    match frame.code {
        MESSAGE => {}
        KEEP_ALIVE => return Ok(Message::new(MessageType::KeepAlive)),
        code => return Err(DecodeError::new(0, Malformed::Type(u64::from(code)))),
    }
    let (mut id, mut signal, mut signal_at) = (None, RUN, 0);
    let (mut identifier, mut resource, mut payload) = (None, None, None);
    read_fields(Dialect::Old, frame, rules, |at, field, value| {
        match u8::try_from(field) {
            Ok(STREAM_ID) => id = Some(stream_id(at, value)?),
            Ok(SIGNAL) => {
                signal_at = at;
                let unknown = DecodeError::new(at, Malformed::Signal(u64::MAX));
                signal = value.as_u64().ok_or(unknown)?;
            }
            Ok(IDENTIFIER) => identifier = Some(value),
            Ok(RESOURCE) => resource = Some(value),
            Ok(PAYLOAD) => payload = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let kind = match signal {
        RUN => MessageType::Run,
        OK => MessageType::Ok,
        ERROR => MessageType::Error,
        START_STREAM => MessageType::StartStream,
        STOP_STREAM => MessageType::StopStream,
        AUTH => MessageType::Connect,
        STREAM_EVENT | STREAM_SAMPLE => MessageType::StreamData,
        _ => {
            let call = SERVER_CALLS.iter().find(|(of, _)| *of == signal);
            let unknown = DecodeError::new(signal_at, Malformed::Signal(signal));
            let (_, number) = call.ok_or_else(|| unknown.behind(frame.header_len()))?;
            // The target stands in the identifier; a resource takes its place where there is none.
            identifier = identifier.or(resource);
            resource = Some(Value::Unsigned(*number));
            MessageType::Run
        }
    };
    let mut message =
        Message { stream_id: id, raised: signal == STREAM_EVENT, ..Message::new(kind) };
    (message.parameters, message.payload, message.resource) = match kind {
        MessageType::Connect => (identifier, resource, None),
        MessageType::StartStream => (payload, None, resource),
        _ => (identifier, payload, resource),
    };
    Ok(message)
}

pub(super) fn encode(draft: &Draft<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if draft.kind == MessageType::KeepAlive {
        out.extend_from_slice(&[KEEP_ALIVE, 0]);
        return Ok(());
    }
    out.extend_from_slice(&[MESSAGE, 0]);
    if let Some(id) = draft.stream_id {
        out.push(STREAM_ID << 3);
        varint::encode(u64::from(id), out);
    }
    let signal = signal(draft)?;
    if signal != RUN {
        out.push(SIGNAL << 3);
        varint::encode(signal, out);
    }
    let mut put = |id: u8, value: Option<&dyn Encode>| match value {
        Some(value) => put_field(Dialect::Old, id, false, value, out),
        None => Ok(()),
    };
    let parts = draft.resource.map(Parts);
    let resource = parts.as_ref().map(|parts| parts as &dyn Encode);
    match draft.kind {
        MessageType::Connect => {
            put(IDENTIFIER, draft.parameters)?;
            put(RESOURCE, draft.payload)
        }
        MessageType::StartStream => {
            put(RESOURCE, resource)?;
            put(PAYLOAD, draft.parameters)
        }
        _ => {
            put(IDENTIFIER, draft.parameters)?;
            put(RESOURCE, resource.filter(|_| signal < SERVER_CALLS[0].0))?;
            put(PAYLOAD, draft.payload)
        }
    }
}

fn signal(draft: &Draft<'_>) -> Result<u64, EncodeError> {
    let none = EncodeError::NotInDialect { dialect: Dialect::Old, kind: draft.kind };
    Ok(match draft.kind {
        MessageType::Ok => OK,
        MessageType::Error => ERROR,
        MessageType::Connect => AUTH,
        MessageType::Run => match draft.resource {
            Some(Resource::Number(number) | Resource::Value(Value::Unsigned(number))) => {
                let call = SERVER_CALLS.iter().find(|(_, of)| *of == number);
                call.map(|(signal, _)| *signal).ok_or(none)?
            }
            _ => RUN,
        },
        MessageType::StartStream => START_STREAM,
        MessageType::StopStream => STOP_STREAM,
        MessageType::StreamData if draft.raised => STREAM_EVENT,
        MessageType::StreamData => STREAM_SAMPLE,
        MessageType::Disconnect | MessageType::Describe | MessageType::KeepAlive => {
            return Err(none);
        }
    })
}

/// A resource as the parts of its path.
struct Parts<'a>(Resource<'a>);

impl Encode for Parts<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        let path = match self.0 {
            Resource::Path(path) => path.as_bytes(),
            Resource::Value(Value::Text(path)) => path.as_bytes(),
            other => return other.encode(to),
        };
        to.array(|to| {
            for part in path.split(|byte| *byte == b'/') {
                to.item(&Text::new(part));
            }
        });
    }
}
