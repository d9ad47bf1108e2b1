use crate::error::EncodeError;
use crate::packet::property::Place;
use crate::packet::reader::{VARINT_MAX, write_bytes, write_text, write_varint};
use crate::packet::{
    Ack, ConnAck, Connect, Farewell, Packet, PacketType, Publish, QoS, Reason, SubAck, Subscribe,
    SubscribeOptions, Unsubscribe, Version,
};
use crate::topic::{check_filter, check_name};

impl Packet<'_> {
    /// Writes the packet behind what is in `out`, which is left as it was where that fails.
    ///
    /// # Errors
    ///
    /// What [`decode`](Self::decode) would not read, or what the version does not have.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.write(version, out).and_then(|()| close_frame(start, out));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let kind = self.kind();
        let flags = match self {
            Self::Publish(publish) => flags(publish)?,
            _ => kind.flags(),
        };
        out.push((kind as u8) << 4 | flags);
        // Room for the length, which is known at the end.
        out.extend_from_slice(&[0; LENGTH_LEN_MAX]);
        let place = Place::of(kind);
        match self {
            Self::Connect(connect) => write_connect(connect, version, out),
            Self::ConnAck(ack) => write_connack(ack, version, out),
            Self::Publish(publish) => write_publish(publish, version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                write_ack(ack, place, version, out)
            }
            Self::Subscribe(subscribe) => write_subscribe(subscribe, version, out),
            Self::SubAck(ack) | Self::UnsubAck(ack) => write_suback(ack, kind, version, out),
            Self::Unsubscribe(unsubscribe) => write_unsubscribe(unsubscribe, version, out),
            Self::PingReq | Self::PingResp => Ok(()),
            Self::Auth(_) if version == Version::V3_1_1 => Err(EncodeError::Version),
            Self::Disconnect(farewell) | Self::Auth(farewell) => {
                write_optional(farewell, place, version, out)
            }
        }
    }
}

const LENGTH_LEN_MAX: usize = 4;

/// Puts the length into the room that was left for it and closes the gap.
fn close_frame(start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let body = start + 1 + LENGTH_LEN_MAX;
    let len = u32::try_from(out.len() - body).map_err(|_| EncodeError::PacketLen)?;
    if len > VARINT_MAX {
        return Err(EncodeError::PacketLen);
    }
    let end = out.len();
    write_varint(len, out)?;
    // The length lies behind the body for a moment: it goes to its place, the body behind it.
    let length_len = out.len() - end;
    out.copy_within(end.., start + 1);
    out.copy_within(body..end, start + 1 + length_len);
    out.truncate(end - (LENGTH_LEN_MAX - length_len));
    Ok(())
}

fn flags(publish: &Publish<'_>) -> Result<u8, EncodeError> {
    if publish.packet_id.is_some() == (publish.qos == QoS::AtMostOnce) {
        return Err(EncodeError::PacketId);
    }
    // A message of QoS 0 is never sent again.
    let dup = u8::from(publish.dup && publish.qos != QoS::AtMostOnce);
    Ok(dup << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain))
}

fn write_id(packet_id: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if packet_id == 0 {
        return Err(EncodeError::PacketId);
    }
    out.extend_from_slice(&packet_id.to_be_bytes());
    Ok(())
}

fn write_name(name: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check_name(name).map_err(|_| EncodeError::TopicName)?;
    write_text(name, out)
}

fn write_filter(filter: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check_filter(filter).map_err(|_| EncodeError::Filter)?;
    write_text(filter, out)
}

fn write_connect(
    connect: &Connect<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let Connect { client_id, will, username, password, properties, .. } = connect;
    let no_user = version == Version::V3_1_1 && password.is_some() && username.is_none();
    if version != connect.version || no_user {
        return Err(EncodeError::Version);
    }
    write_bytes(b"MQTT", out)?;
    out.push(if version == Version::V5 { 5 } else { 4 });
    let will_flags =
        will.as_ref().map_or(0, |will| 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5);
    out.push(
        u8::from(connect.clean_start) << 1
            | will_flags
            | u8::from(password.is_some()) << 6
            | u8::from(username.is_some()) << 7,
    );
    out.extend_from_slice(&connect.keep_alive.to_be_bytes());
    properties.write(version, Place::of(PacketType::Connect), out)?;
    write_text(client_id, out)?;
    if let Some(will) = will {
        will.properties.write(version, Place::WILL, out)?;
        write_name(will.topic, out)?;
        write_bytes(will.payload, out)?;
    }
    if let Some(username) = username {
        write_text(username, out)?;
    }
    if let Some(password) = password {
        write_bytes(password, out)?;
    }
    Ok(())
}

fn write_connack(
    ack: &ConnAck<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.push(u8::from(ack.session_present));
    out.push(match version {
        Version::V3_1_1 => ack.reason.return_code().ok_or(EncodeError::Version)?,
        Version::V5 => ack.reason.number(),
    });
    ack.properties.write(version, Place::of(PacketType::ConnAck), out)
}

fn write_publish(
    publish: &Publish<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let aliased = publish.topic.is_empty()
        && publish.properties.get(super::PropertyId::TOPIC_ALIAS).is_some();
    if aliased {
        write_text("", out)?;
    } else {
        write_name(publish.topic, out)?;
    }
    if let Some(packet_id) = publish.packet_id {
        write_id(packet_id, out)?;
    }
    publish.properties.write(version, Place::of(PacketType::Publish), out)?;
    out.extend_from_slice(publish.payload);
    Ok(())
}

fn write_ack(
    ack: &Ack<'_>,
    place: Place,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_id(ack.packet_id, out)?;
    let Ack { reason, properties, .. } = *ack;
    write_optional(&Farewell { reason, properties }, place, version, out)
}

/// A reason and properties; they are left out where they say nothing.
fn write_optional(
    farewell: &Farewell<'_>,
    place: Place,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let Farewell { reason, properties } = farewell;
    if *reason == Reason::SUCCESS && properties.is_empty() {
        return Ok(());
    }
    if version == Version::V3_1_1 {
        return Err(EncodeError::Version);
    }
    out.push(reason.number());
    if properties.is_empty() { Ok(()) } else { properties.write(version, place, out) }
}

fn write_subscribe(
    subscribe: &Subscribe<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_id(subscribe.packet_id, out)?;
    subscribe.properties.write(version, Place::of(PacketType::Subscribe), out)?;
    if subscribe.filters.is_empty() {
        return Err(EncodeError::Empty);
    }
    for (filter, options) in &subscribe.filters {
        write_filter(filter, out)?;
        let byte = options_byte(*options);
        if version == Version::V3_1_1 && byte > 2 {
            return Err(EncodeError::Version);
        }
        out.push(byte);
    }
    Ok(())
}

const fn options_byte(options: SubscribeOptions) -> u8 {
    options.qos as u8
        | (options.no_local as u8) << 2
        | (options.retain_as_published as u8) << 3
        | (options.retain_handling as u8) << 4
}

fn write_suback(
    ack: &SubAck<'_>,
    kind: PacketType,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_id(ack.packet_id, out)?;
    ack.properties.write(version, Place::of(kind), out)?;
    let bare = kind == PacketType::UnsubAck && version == Version::V3_1_1;
    match (bare, ack.reasons.is_empty()) {
        (true, false) => return Err(EncodeError::Version),
        (false, true) => return Err(EncodeError::Empty),
        _ => out.extend_from_slice(ack.reasons),
    }
    Ok(())
}

fn write_unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write_id(unsubscribe.packet_id, out)?;
    unsubscribe.properties.write(version, Place::of(PacketType::Unsubscribe), out)?;
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::Empty);
    }
    unsubscribe.filters.iter().try_for_each(|filter| write_filter(filter, out))
}
