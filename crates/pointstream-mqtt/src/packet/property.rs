use crate::error::{DecodeError, EncodeError, Malformed};
use crate::packet::reader::{Reader, write_bytes, write_text, write_varint};
use crate::packet::{PacketType, Version};

/// The name of a property, by its number in MQTT 5 section 2.2.2.2.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct PropertyId(u8);

/// The value of a property. Its form is given by the property's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the forms that MQTT 5 has")]
pub enum PropertyValue<'a> {
    /// One byte.
    Byte(u8),
    /// Two bytes.
    Two(u16),
    /// Four bytes.
    Four(u32),
    /// One to four bytes.
    Varint(u32),
    /// Text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
    /// A name and a value, both text.
    Pair(&'a str, &'a str),
}

/// A packet's properties as they were read, checked. MQTT 3.1.1 has none.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Properties<'a>(&'a [u8]);

/// Properties to be sent.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct PropertyBuf(Vec<u8>);

#[derive(Clone, Copy)]
enum Form {
    Byte,
    Two,
    Four,
    Varint,
    Text,
    Binary,
    Pair,
}

/// A property: number, name, form, and the packets that it may stand in, as bits by type. Bit 0
/// stands for the will in CONNECT.
macro_rules! properties {
    ($($number:literal $name:ident $form:ident [$($packet:literal)*] $doc:literal;)*) => {
        impl PropertyId {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*

            const fn form(self) -> Option<(Form, u16)> {
                match self.0 {
                    $($number => Some((Form::$form, 0 $(| 1 << $packet)*)),)*
                    _ => None,
                }
            }
        }
    };
}

properties! {
    1 PAYLOAD_FORMAT_INDICATOR Byte [3 0] "Whether the payload is text.";
    2 MESSAGE_EXPIRY_INTERVAL Four [3 0] "How long the message is worth delivering, in seconds.";
    3 CONTENT_TYPE Text [3 0] "What the payload is.";
    8 RESPONSE_TOPIC Text [3 0] "Where an answer is to be sent.";
    9 CORRELATION_DATA Binary [3 0] "What an answer is to carry.";
    11 SUBSCRIPTION_IDENTIFIER Varint [3 8] "Which subscription a message came by.";
    17 SESSION_EXPIRY_INTERVAL Four [1 2 14] "How long a session is kept without a connection, in seconds.";
    18 ASSIGNED_CLIENT_IDENTIFIER Text [2] "The name that the broker gave.";
    19 SERVER_KEEP_ALIVE Two [2] "The interval of keep-alives that the broker wants, in seconds.";
    21 AUTHENTICATION_METHOD Text [1 2 15] "How to authenticate.";
    22 AUTHENTICATION_DATA Binary [1 2 15] "What to authenticate with.";
    23 REQUEST_PROBLEM_INFORMATION Byte [1] "Whether reasons are wanted.";
    24 WILL_DELAY_INTERVAL Four [0] "How long the will waits, in seconds.";
    25 REQUEST_RESPONSE_INFORMATION Byte [1] "Whether response information is wanted.";
    26 RESPONSE_INFORMATION Text [2] "What response topics are made of.";
    28 SERVER_REFERENCE Text [2 14] "Another broker.";
    31 REASON_STRING Text [2 4 5 6 7 9 11 14 15] "The reason in words.";
    33 RECEIVE_MAXIMUM Two [1 2] "How many messages may wait for their acknowledgement.";
    34 TOPIC_ALIAS_MAXIMUM Two [1 2] "The largest topic alias.";
    35 TOPIC_ALIAS Two [3] "A number in place of a topic.";
    36 MAXIMUM_QOS Byte [2] "The best quality of service that the broker has.";
    37 RETAIN_AVAILABLE Byte [2] "Whether the broker retains messages.";
    38 USER_PROPERTY Pair [0 1 2 3 4 5 6 7 8 9 10 11 14 15] "Whatever users agree on.";
    39 MAXIMUM_PACKET_SIZE Four [1 2] "The longest packet that is read.";
    40 WILDCARD_SUBSCRIPTION_AVAILABLE Byte [2] "Whether the broker knows wildcards.";
    41 SUBSCRIPTION_IDENTIFIER_AVAILABLE Byte [2] "Whether the broker knows subscription identifiers.";
    42 SHARED_SUBSCRIPTION_AVAILABLE Byte [2] "Whether the broker knows shared subscriptions.";
}

/// Where properties stand, as a bit of [`properties`].
#[derive(Clone, Copy)]
pub(crate) struct Place(u8);

impl Place {
    pub(crate) const WILL: Self = Self(0);

    pub(crate) const fn of(kind: PacketType) -> Self {
        Self(kind as u8)
    }

    const fn allows(self, packets: u16) -> bool {
        packets & (1 << self.0) != 0
    }

    /// Whether a property may stand more than once: user properties anywhere, subscription
    /// identifiers in PUBLISH.
    fn repeats(self, id: PropertyId) -> bool {
        id == PropertyId::USER_PROPERTY
            || (id == PropertyId::SUBSCRIPTION_IDENTIFIER && self.0 == PacketType::Publish as u8)
    }
}

impl PropertyId {
    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether a value of the right form lies in its range, by the property's section.
    fn is_in_range(self, value: PropertyValue<'_>) -> bool {
        match (self, value) {
            (Self::RECEIVE_MAXIMUM | Self::TOPIC_ALIAS, PropertyValue::Two(0))
            | (Self::MAXIMUM_PACKET_SIZE, PropertyValue::Four(0))
            | (Self::SUBSCRIPTION_IDENTIFIER, PropertyValue::Varint(0)) => false,
            // Every property of one byte is a choice of two.
            (_, PropertyValue::Byte(byte)) => byte < 2,
            (Self::RESPONSE_TOPIC, PropertyValue::Text(topic)) => {
                crate::topic::check_name(topic).is_ok()
            }
            _ => true,
        }
    }
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Properties<'static> = Properties(&[]);

    /// Reads the length and the properties of a packet.
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let len = reader.varint()? as usize;
        let start = reader.at();
        let bytes = reader.take(len)?;
        check(bytes, place).map_err(|error| DecodeError::new(start + error.at, error.kind))?;
        Ok(Self(bytes))
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (PropertyId, PropertyValue<'a>)> + use<'a> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || next(&mut reader).ok().flatten())
    }

    /// The first of a name.
    pub fn get(&self, id: PropertyId) -> Option<PropertyValue<'a>> {
        self.iter().find(|(it, _)| *it == id).map(|(_, value)| value)
    }

    /// The first of a name, where it is a number of any length.
    pub fn number(&self, id: PropertyId) -> Option<u32> {
        match self.get(id)? {
            PropertyValue::Byte(value) => Some(value.into()),
            PropertyValue::Two(value) => Some(value.into()),
            PropertyValue::Four(value) | PropertyValue::Varint(value) => Some(value),
            _ => None,
        }
    }

    /// The first of a name, where it is text.
    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        match self.get(id)? {
            PropertyValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All user properties, in their order.
    pub fn user(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter().filter_map(|(_, value)| match value {
            PropertyValue::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The identifiers of the subscriptions by which a message came, section 3.3.2.3.8.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.iter().filter_map(|(id, value)| match (id, value) {
            (PropertyId::SUBSCRIPTION_IDENTIFIER, PropertyValue::Varint(value)) => Some(value),
            _ => None,
        })
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy without those of a name.
    pub(crate) fn without(&self, id: PropertyId) -> PropertyBuf {
        let (mut kept, mut start) = (Vec::new(), 0);
        let mut reader = Reader::new(self.0);
        while let Ok(Some((it, _))) = next(&mut reader) {
            if it != id {
                kept.extend_from_slice(self.0.get(start..reader.at()).unwrap_or_default());
            }
            start = reader.at();
        }
        PropertyBuf(kept)
    }

    /// A copy.
    pub fn to_buf(&self) -> PropertyBuf {
        PropertyBuf(self.0.to_vec())
    }

    /// Writes the length and the properties, where the version has them.
    pub(crate) fn write(
        &self,
        version: Version,
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if version == Version::V3_1_1 {
            return if self.is_empty() { Ok(()) } else { Err(EncodeError::Version) };
        }
        if !self.is_empty() {
            check(self.0, place).map_err(|error| match error.kind {
                Malformed::Property(id)
                | Malformed::PropertyTwice(id)
                | Malformed::PropertyValue(id) => EncodeError::Property(id),
                _ => EncodeError::Text,
            })?;
        }
        let len = u32::try_from(self.0.len()).map_err(|_| EncodeError::PacketLen)?;
        write_varint(len, out)?;
        out.extend_from_slice(self.0);
        Ok(())
    }
}

fn check(bytes: &[u8], place: Place) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    // Numbers go up to 42.
    let mut seen = 0_u64;
    loop {
        let at = reader.at();
        let Some((id, value)) = next(&mut reader)? else { return Ok(()) };
        let fail = |kind| Err(DecodeError::new(at, kind));
        let allowed = id.form().is_some_and(|(_, packets)| place.allows(packets));
        if !allowed {
            return fail(Malformed::Property(id.0));
        }
        if seen & (1 << id.0) != 0 && !place.repeats(id) {
            return fail(Malformed::PropertyTwice(id.0));
        }
        seen |= 1 << id.0;
        if !id.is_in_range(value) {
            return fail(Malformed::PropertyValue(id.0));
        }
    }
}

fn next<'a>(
    reader: &mut Reader<'a>,
) -> Result<Option<(PropertyId, PropertyValue<'a>)>, DecodeError> {
    if reader.is_empty() {
        return Ok(None);
    }
    let at = reader.at();
    let id = PropertyId(reader.byte()?);
    let Some((form, _)) = id.form() else {
        return Err(DecodeError::new(at, Malformed::Property(id.0)));
    };
    let value = match form {
        Form::Byte => PropertyValue::Byte(reader.byte()?),
        Form::Two => PropertyValue::Two(reader.two()?),
        Form::Four => PropertyValue::Four(reader.four()?),
        Form::Varint => PropertyValue::Varint(reader.varint()?),
        Form::Text => PropertyValue::Text(reader.text()?),
        Form::Binary => PropertyValue::Binary(reader.bytes()?),
        Form::Pair => PropertyValue::Pair(reader.text()?, reader.text()?),
    };
    Ok(Some((id, value)))
}

impl PropertyBuf {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    ///
    /// # Errors
    ///
    /// The value has another form than the property, is out of its range or too long. Whether the
    /// property belongs to a packet is checked when that is written.
    pub fn push(&mut self, id: PropertyId, value: PropertyValue<'_>) -> Result<(), EncodeError> {
        use PropertyValue::{Binary, Byte, Four, Pair, Text, Two, Varint};
        let start = self.0.len();
        self.0.push(id.0);
        let written = match (id.form().map(|(form, _)| form), value) {
            _ if !id.is_in_range(value) => Err(EncodeError::Property(id.0)),
            (Some(Form::Byte), Byte(value)) => {
                self.0.push(value);
                Ok(())
            }
            (Some(Form::Two), Two(value)) => {
                self.0.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            (Some(Form::Four), Four(value)) => {
                self.0.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            (Some(Form::Varint), Varint(value)) => write_varint(value, &mut self.0),
            (Some(Form::Text), Text(value)) => write_text(value, &mut self.0),
            (Some(Form::Binary), Binary(value)) => write_bytes(value, &mut self.0),
            (Some(Form::Pair), Pair(name, value)) => {
                write_text(name, &mut self.0).and_then(|()| write_text(value, &mut self.0))
            }
            _ => Err(EncodeError::Property(id.0)),
        };
        if written.is_err() {
            self.0.truncate(start);
        }
        written
    }

    /// Adds a user property.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_user(&mut self, name: &str, value: &str) -> Result<(), EncodeError> {
        self.push(PropertyId::USER_PROPERTY, PropertyValue::Pair(name, value))
    }

    /// The properties, to be put into a packet.
    pub fn as_properties(&self) -> Properties<'_> {
        Properties(&self.0)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl core::fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let shown = self.iter().map(|(id, value)| match id {
            // What authenticates is nobody's business.
            PropertyId::AUTHENTICATION_DATA => (id.0, PropertyValue::Text("***")),
            _ => (id.0, value),
        });
        f.debug_map().entries(shown).finish()
    }
}

impl core::fmt::Debug for PropertyBuf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_properties().fmt(f)
    }
}
