use crate::error::{DecodeError, Malformed};
use crate::packet::property::Place;
use crate::packet::reader::Reader;
use crate::packet::{
    Ack, ConnAck, Connect, Farewell, Packet, PacketType, Properties, Publish, QoS, Reason,
    RetainHandling, SubAck, Subscribe, SubscribeOptions, Unsubscribe, Version, Will,
};
use crate::topic::{check_filter, check_name};

impl<'a> Packet<'a> {
    /// Reads a packet from the first byte of its fixed header and its body, which is what
    /// [`frame`](crate::frame) gives. A CONNECT may be of either version.
    ///
    /// # Errors
    ///
    /// Whatever the standard calls malformed. Offsets count from the start of the body.
    pub fn decode(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let kind = kind(first, version)?;
        let mut reader = Reader::new(body);
        let r = &mut reader;
        let packet = match kind {
            PacketType::Connect => Self::Connect(connect(r)?),
            PacketType::ConnAck => Self::ConnAck(connack(r, version)?),
            PacketType::Publish => Self::Publish(publish(first, r, version)?),
            PacketType::PubAck => Self::PubAck(ack(r, kind, version)?),
            PacketType::PubRec => Self::PubRec(ack(r, kind, version)?),
            PacketType::PubRel => Self::PubRel(ack(r, kind, version)?),
            PacketType::PubComp => Self::PubComp(ack(r, kind, version)?),
            PacketType::Subscribe => Self::Subscribe(subscribe(r, version)?),
            PacketType::SubAck | PacketType::UnsubAck => suback(r, kind, version)?,
            PacketType::Unsubscribe => Self::Unsubscribe(unsubscribe(r, version)?),
            PacketType::PingReq => Self::PingReq,
            PacketType::PingResp => Self::PingResp,
            PacketType::Disconnect => Self::Disconnect(farewell(r, kind, version)?),
            PacketType::Auth => Self::Auth(farewell(r, kind, version)?),
        };
        reader.end()?;
        Ok(packet)
    }
}

/// The type of a packet, by the first byte of its fixed header.
pub(crate) fn kind(first: u8, version: Version) -> Result<PacketType, DecodeError> {
    let fail = |kind| DecodeError::new(0, kind);
    let number = first >> 4;
    let kind = PacketType::from_number(number).ok_or_else(|| fail(Malformed::Type(number)))?;
    if kind == PacketType::Auth && version == Version::V3_1_1 {
        return Err(fail(Malformed::Type(number)));
    }
    if kind != PacketType::Publish && first & 0x0f != kind.flags() {
        return Err(fail(Malformed::Flags(first & 0x0f)));
    }
    Ok(kind)
}

fn properties<'a>(
    r: &mut Reader<'a>,
    place: Place,
    version: Version,
) -> Result<Properties<'a>, DecodeError> {
    match version {
        Version::V3_1_1 => Ok(Properties::NONE),
        Version::V5 => Properties::read(r, place),
    }
}

fn connect<'a>(r: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
    let version = match (r.bytes()?, r.byte()?) {
        (b"MQTT", 4) => Version::V3_1_1,
        (b"MQTT", 5) => Version::V5,
        _ => return Err(DecodeError::new(0, Malformed::Protocol)),
    };
    let flags_at = r.at();
    let flags = r.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let fail = DecodeError::new(flags_at, Malformed::ConnectFlags(flags));
    let will_qos = QoS::from_number(flags >> 3 & 3).ok_or(fail)?;
    let no_will = !has(0x04) && flags & 0x38 != 0;
    let no_user = version == Version::V3_1_1 && has(0x40) && !has(0x80);
    if has(0x01) || no_will || no_user {
        return Err(fail);
    }
    let keep_alive = r.two()?;
    let properties_of = properties(r, Place::of(PacketType::Connect), version)?;
    let client_id = r.text()?;
    let will = match has(0x04) {
        false => None,
        true => {
            let properties = properties(r, Place::WILL, version)?;
            let topic = topic_name(r)?;
            let payload = r.bytes()?;
            Some(Will { qos: will_qos, retain: has(0x20), properties, topic, payload })
        }
    };
    Ok(Connect {
        version,
        clean_start: has(0x02),
        keep_alive,
        properties: properties_of,
        client_id,
        will,
        username: has(0x80).then(|| r.text()).transpose()?,
        password: has(0x40).then(|| r.bytes()).transpose()?,
    })
}

fn topic_name<'a>(r: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let at = r.at();
    let topic = r.text()?;
    check_name(topic).map_err(|_| DecodeError::new(at, Malformed::TopicName))?;
    Ok(topic)
}

fn connack<'a>(r: &mut Reader<'a>, version: Version) -> Result<ConnAck<'a>, DecodeError> {
    let flags = r.byte()?;
    if flags > 1 {
        return Err(DecodeError::new(0, Malformed::AckFlags(flags)));
    }
    let code = r.byte()?;
    let reason = match version {
        Version::V3_1_1 => Reason::of_return_code(code),
        Version::V5 => Reason::new(code),
    };
    let properties = properties(r, Place::of(PacketType::ConnAck), version)?;
    Ok(ConnAck { session_present: flags == 1, reason, properties })
}

fn publish<'a>(
    first: u8,
    r: &mut Reader<'a>,
    version: Version,
) -> Result<Publish<'a>, DecodeError> {
    let head = publish_head(first, r)?;
    let at = r.at();
    let properties = properties(r, Place::of(PacketType::Publish), version)?;
    if head.topic.is_empty() && properties.get(super::PropertyId::TOPIC_ALIAS).is_none() {
        return Err(DecodeError::new(at, Malformed::TopicName));
    }
    Ok(Publish { properties, payload: r.rest(), ..head })
}

/// The part of a PUBLISH in front of its properties.
pub(crate) fn publish_head<'a>(first: u8, r: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let fail = |kind| DecodeError::new(0, kind);
    let qos = QoS::from_number(first >> 1 & 3).ok_or_else(|| fail(Malformed::QoS))?;
    let dup = first & 0x08 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(fail(Malformed::Flags(first & 0x0f)));
    }
    let at = r.at();
    let topic = r.text()?;
    if !topic.is_empty() {
        check_name(topic).map_err(|_| DecodeError::new(at, Malformed::TopicName))?;
    }
    let packet_id = (qos != QoS::AtMostOnce).then(|| r.packet_id()).transpose()?;
    let (properties, payload) = (Properties::NONE, &[][..]);
    Ok(Publish { dup, qos, retain: first & 1 != 0, topic, packet_id, properties, payload })
}

fn ack<'a>(r: &mut Reader<'a>, kind: PacketType, version: Version) -> Result<Ack<'a>, DecodeError> {
    let packet_id = r.packet_id()?;
    let Farewell { reason, properties } = optional(r, kind, version)?;
    Ok(Ack { packet_id, reason, properties })
}

/// A reason and properties, each of which may be left out at the end, section 3.4.2.1.
fn optional<'a>(
    r: &mut Reader<'a>,
    kind: PacketType,
    version: Version,
) -> Result<Farewell<'a>, DecodeError> {
    let mut found = Farewell { reason: Reason::SUCCESS, properties: Properties::NONE };
    if version == Version::V5 && !r.is_empty() {
        found.reason = Reason::new(r.byte()?);
        if !r.is_empty() {
            found.properties = Properties::read(r, Place::of(kind))?;
        }
    }
    Ok(found)
}

fn farewell<'a>(
    r: &mut Reader<'a>,
    kind: PacketType,
    version: Version,
) -> Result<Farewell<'a>, DecodeError> {
    optional(r, kind, version)
}

fn subscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Subscribe<'a>, DecodeError> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, Place::of(PacketType::Subscribe), version)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        let filter = topic_filter(r)?;
        let at = r.at();
        let byte = r.byte()?;
        let options = options(byte, version)
            .ok_or_else(|| DecodeError::new(at, Malformed::SubscribeOptions(byte)))?;
        filters.push((filter, options));
    }
    if filters.is_empty() {
        return Err(r.fail(Malformed::Empty));
    }
    Ok(Subscribe { packet_id, properties, filters })
}

fn options(byte: u8, version: Version) -> Option<SubscribeOptions> {
    let qos = QoS::from_number(byte & 3)?;
    let retain_handling = match byte >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return None,
    };
    let (no_local, retain_as_published) = (byte & 0x04 != 0, byte & 0x08 != 0);
    let options = SubscribeOptions { qos, no_local, retain_as_published, retain_handling };
    (version == Version::V5 || byte < 3).then_some(options)
}

fn topic_filter<'a>(r: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let at = r.at();
    let filter = r.text()?;
    check_filter(filter).map_err(|_| DecodeError::new(at, Malformed::Filter))?;
    Ok(filter)
}

fn suback<'a>(
    r: &mut Reader<'a>,
    kind: PacketType,
    version: Version,
) -> Result<Packet<'a>, DecodeError> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, Place::of(kind), version)?;
    let bare = kind == PacketType::UnsubAck && version == Version::V3_1_1;
    let reasons = if bare { &[][..] } else { r.rest() };
    if reasons.is_empty() && !bare {
        return Err(r.fail(Malformed::Empty));
    }
    let ack = SubAck { packet_id, properties, reasons };
    Ok(if kind == PacketType::SubAck { Packet::SubAck(ack) } else { Packet::UnsubAck(ack) })
}

fn unsubscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Unsubscribe<'a>, DecodeError> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, Place::of(PacketType::Unsubscribe), version)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        filters.push(topic_filter(r)?);
    }
    if filters.is_empty() {
        return Err(r.fail(Malformed::Empty));
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}
