use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::dialect::Dialect;
use crate::encode::{Encode, Encoder, FieldKey, patch_varint};
use crate::error::{DecodeError, EncodeError, Malformed};
use crate::frame::{BODY_LEN_SAYABLE, Frame};
use crate::pson::{self, Reader, Rules};
use crate::value::Value;
use crate::varint;

mod old;

/// What a message asks or tells.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "these are the types of the protocol")]
#[repr(u8)]
pub enum MessageType {
    /// It was done.
    Ok = 0x01,
    /// It was refused or failed.
    Error = 0x02,
    /// A client says who it is.
    Connect = 0x03,
    /// The connection ends.
    Disconnect = 0x04,
    /// The client is there; the server says the same back.
    KeepAlive = 0x05,
    /// Carry out a resource.
    Run = 0x06,
    /// Say what there is, or what one resource takes and gives.
    Describe = 0x07,
    /// Open a stream on a resource, or change one.
    StartStream = 0x08,
    /// Close a stream.
    StopStream = 0x09,
    /// A value on a stream.
    StreamData = 0x0a,
}

impl MessageType {
    /// The type with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x01 => Self::Ok,
            0x02 => Self::Error,
            0x03 => Self::Connect,
            0x04 => Self::Disconnect,
            0x05 => Self::KeepAlive,
            0x06 => Self::Run,
            0x07 => Self::Describe,
            0x08 => Self::StartStream,
            0x09 => Self::StopStream,
            0x0a => Self::StreamData,
            _ => return None,
        })
    }

    /// Its number in both versions of IOTMP.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name that the protocol gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::Connect => "CONNECT",
            Self::Disconnect => "DISCONNECT",
            Self::KeepAlive => "KEEP_ALIVE",
            Self::Run => "RUN",
            Self::Describe => "DESCRIBE",
            Self::StartStream => "START_STREAM",
            Self::StopStream => "STOP_STREAM",
            Self::StreamData => "STREAM_DATA",
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message whose values borrow the frame that it was decoded from.
///
/// It means the same in every dialect: credentials are the payload of a [`MessageType::Connect`],
/// an interval stands in the parameters of a [`MessageType::StartStream`], and what the old dialect
/// has signals for (properties, endpoints, buckets) are runs of the numbered resources of IOTMP with
/// the target in the parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// What it asks or tells.
    pub kind: MessageType,
    /// What joins requests, answers and streams. Clients write 0 where they have none.
    pub stream_id: Option<u16>,
    /// How it is to be done, or the code of an answer.
    pub parameters: Option<Value<'a>>,
    /// What it is about.
    pub payload: Option<Value<'a>>,
    /// A path, a number, or the parts of a path.
    pub resource: Option<Value<'a>>,
    /// Whether the device's application raised this value of a stream, rather than its interval.
    /// Only the old dialect says so.
    pub raised: bool,
}

impl<'a> Message<'a> {
    const fn new(kind: MessageType) -> Self {
        Self {
            kind,
            stream_id: None,
            parameters: None,
            payload: None,
            resource: None,
            raised: false,
        }
    }

    /// Decodes a frame. The offset of an error counts from the start of the frame.
    ///
    /// Fields come in any order, the last of one counts, unknown ones are passed over. The body of
    /// a keep-alive is not looked at.
    pub fn decode(dialect: Dialect, frame: &Frame<'a>, rules: &Rules) -> Result<Self, DecodeError> {
        if dialect == Dialect::Old {
            return old::decode(frame, rules);
        }
        let unknown = DecodeError::new(0, Malformed::Type(u64::from(frame.code)));
        let kind = MessageType::from_code(frame.code).ok_or(unknown)?;
        let mut message = Self::new(kind);
        if kind == MessageType::KeepAlive {
            return Ok(message);
        }
        let mut alias = None;
        read_fields(dialect, frame, rules, |at, id, value| {
            match role(dialect, kind, id) {
                Some(Role::StreamId) => message.stream_id = Some(stream_id(at, value)?),
                Some(Role::Parameters) => message.parameters = Some(value),
                Some(Role::Payload) => message.payload = Some(value),
                Some(Role::Resource) => message.resource = Some(value),
                Some(Role::Alias) => alias = Some(value),
                None => {}
            }
            Ok(())
        })?;
        // The published pages give the resource field 0; no released client does.
        let alias = alias.filter(|value| matches!(value, Value::Text(_) | Value::Array(_)));
        message.resource = message.resource.or(alias);
        Ok(message)
    }

    /// The path that its resource is, the parts of one joined; `None` for a number and for none.
    pub fn path(&self) -> Option<String> {
        match self.resource? {
            Value::Text(text) => Some(text.to_str_lossy().into_owned()),
            Value::Array(parts) => {
                let mut path = String::new();
                for (at, part) in parts.iter().enumerate() {
                    let Value::Text(part) = part else { return None };
                    if at > 0 {
                        path.push('/');
                    }
                    path.push_str(&part.to_str_lossy());
                }
                Some(path)
            }
            _ => None,
        }
    }

    /// The same message, to be written.
    pub fn draft(&self) -> Draft<'_> {
        fn written<'v>(value: &'v Option<Value<'_>>) -> Option<&'v dyn Encode> {
            value.as_ref().map(|value| value as &dyn Encode)
        }
        Draft {
            kind: self.kind,
            stream_id: self.stream_id,
            parameters: written(&self.parameters),
            payload: written(&self.payload),
            resource: self.resource.map(Resource::Value),
            raised: self.raised,
        }
    }
}

/// A message to be written.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Draft<'a> {
    /// What it asks or tells.
    pub kind: MessageType,
    /// What joins requests, answers and streams.
    pub stream_id: Option<u16>,
    /// How it is to be done, or the code of an answer.
    pub parameters: Option<&'a dyn Encode>,
    /// What it is about.
    pub payload: Option<&'a dyn Encode>,
    /// Which resource.
    pub resource: Option<Resource<'a>>,
    /// Whether the application raised this value of a stream; written in the old dialect only.
    pub raised: bool,
}

/// Which resource a message is about.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Resource<'a> {
    /// By its number.
    Number(u64),
    /// By its path, the parts separated by `/`.
    Path(&'a str),
    /// As it was read.
    Value(Value<'a>),
}

impl<'a> Draft<'a> {
    /// A message with nothing but its type.
    pub const fn new(kind: MessageType) -> Self {
        Self {
            kind,
            stream_id: None,
            parameters: None,
            payload: None,
            resource: None,
            raised: false,
        }
    }

    /// This message with a stream id.
    #[must_use]
    pub const fn with_stream_id(mut self, stream_id: u16) -> Self {
        self.stream_id = Some(stream_id);
        self
    }

    /// This message with parameters.
    #[must_use]
    pub fn with_parameters(mut self, parameters: &'a dyn Encode) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// This message with a payload.
    #[must_use]
    pub fn with_payload(mut self, payload: &'a dyn Encode) -> Self {
        self.payload = Some(payload);
        self
    }

    /// This message with a resource.
    #[must_use]
    pub const fn with_resource(mut self, resource: Resource<'a>) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Appends its frame to `out`, the fields by ascending id.
    ///
    /// # Errors
    ///
    /// `out` is then as it was.
    pub fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let written = match dialect {
            Dialect::Old => old::encode(self, out),
            Dialect::Iotmp1 | Dialect::Iotmp2 => self.encode_fields(dialect, out),
        };
        let sayable = |()| match out.len() - start - HEADER_LEN_MIN {
            0..=BODY_LEN_SAYABLE => Ok(()),
            _ => Err(EncodeError::BodyLen),
        };
        let written = written.and_then(sayable);
        match written {
            Ok(()) => patch_varint(out, start + 1),
            Err(_) => out.truncate(start),
        }
        written
    }

    fn encode_fields(&self, dialect: Dialect, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&[self.kind.code(), 0]);
        if let Some(id) = self.stream_id {
            out.push(STREAM_ID << 3);
            varint::encode(u64::from(id), out);
        }
        let mut put = |id: u8, value: Option<&dyn Encode>| match value {
            Some(value) => put_field(dialect, id, true, value, out),
            None => Ok(()),
        };
        let resource = self.resource.as_ref().map(|resource| resource as &dyn Encode);
        put(PARAMETERS, self.parameters)?;
        if is_resource_third(dialect, self.kind) {
            if self.payload.is_some() {
                return Err(EncodeError::NotInDialect { dialect, kind: self.kind });
            }
            return put(PAYLOAD, resource);
        }
        put(PAYLOAD, self.payload)?;
        put(RESOURCE, resource)
    }
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut draft = f.debug_struct("Draft");
        draft.field("kind", &self.kind).field("stream_id", &self.stream_id);
        draft.field("resource", &self.resource).finish_non_exhaustive()
    }
}

impl Encode for Resource<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Number(number) => to.unsigned(*number),
            Self::Path(path) => to.text(*path),
            Self::Value(value) => value.encode(to),
        }
    }
}

const STREAM_ID: u8 = 1;
const PARAMETERS: u8 = 2;
const PAYLOAD: u8 = 3;
const RESOURCE: u8 = 4;

/// The shortest header: a type and a size of one byte.
const HEADER_LEN_MIN: usize = 2;

enum Role {
    StreamId,
    Parameters,
    Payload,
    Resource,
    Alias,
}

fn role(dialect: Dialect, kind: MessageType, id: u64) -> Option<Role> {
    match id {
        0 if dialect == Dialect::Iotmp2 => Some(Role::Alias),
        1 => Some(Role::StreamId),
        2 => Some(Role::Parameters),
        3 if is_resource_third(dialect, kind) => Some(Role::Resource),
        3 => Some(Role::Payload),
        // In IOTMP-1 this is a scope that its own client never sent.
        4 if is_resource_third(dialect, kind) => None,
        4 => Some(Role::Resource),
        _ => None,
    }
}

/// IOTMP-1 has the resource in field 3 where a message has no payload.
fn is_resource_third(dialect: Dialect, kind: MessageType) -> bool {
    dialect == Dialect::Iotmp1 && matches!(kind, MessageType::StartStream | MessageType::Describe)
}

/// Gives each field's place in the body, id and value to `take`.
fn read_fields<'a>(
    dialect: Dialect,
    frame: &Frame<'a>,
    rules: &Rules,
    mut take: impl FnMut(usize, u64, Value<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(frame.body);
    let mut fields = || {
        while reader.left() > 0 {
            let at = reader.at();
            let key = reader.varint()?;
            let value = match (key & 7) as u8 {
                0 => Value::Unsigned(reader.varint()?),
                wire if wire == dialect.wire() => {
                    pson::read(dialect.version(), &mut reader, rules)?
                }
                wire => return Err(DecodeError::new(at, Malformed::Wire(wire))),
            };
            take(at, key >> 3, value)?;
        }
        Ok(())
    };
    fields().map_err(|error| error.behind(frame.header_len()))
}

fn stream_id(at: usize, value: Value<'_>) -> Result<u16, DecodeError> {
    let id = value.as_u64().and_then(|id| u16::try_from(id).ok());
    id.ok_or_else(|| DecodeError::new(at, Malformed::StreamId))
}

fn put_field(
    dialect: Dialect,
    id: u8,
    varints: bool,
    value: &(impl Encode + ?Sized),
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let field = FieldKey { id, wire: dialect.wire(), varints };
    Encoder::one(dialect.version(), Some(field), value, out)
}
