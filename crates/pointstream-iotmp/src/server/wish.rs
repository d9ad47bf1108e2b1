//! What a device wants when it opens a stream to its server.

use core::time::Duration;
use std::string::{String, ToString};

use super::topics::{Interest, is_filter, is_topic};
use crate::session::Target;
use crate::value::{Map, Value};

/// What a stream that a device opens is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    /// To publish on a topic, and to be told what others publish on it where there is a filter.
    Publish { topic: String, retain: bool, also: Option<Interest> },
    /// To be told.
    Tell(Interest),
    /// To be told of a property, and what it is at present.
    Property { name: String, current: bool },
    /// Another device's resource.
    Device { device: String, resource: String, interval: Option<Duration> },
}

/// The number of the resource that subscribes.
const SUBSCRIBE: u64 = 8;
const TOPIC_PUBLISH: &str = "device_topic_publish";
pub(crate) const PROPERTY_UPDATE: &str = "device_property_update";

impl Wish {
    /// Reads both forms: the number 8 with an `event` in the parameters, which released clients send,
    /// and a path with a `type`, which is what published pages describe. The error is a code.
    pub(crate) fn read(
        resource: Option<&Target>,
        parameters: Option<Value<'_>>,
    ) -> Result<Self, u16> {
        let map = parameters.and_then(|value| value.as_map()).ok_or(BAD_REQUEST)?;
        match resource {
            Some(Target::Number(SUBSCRIBE)) => by_event(map),
            Some(Target::Path(path)) => by_type(path, map),
            _ => Err(NOT_FOUND),
        }
    }
}

const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;

fn by_event(map: Map<'_>) -> Result<Wish, u16> {
    let event = text(map, "event").ok_or(BAD_REQUEST)?;
    match event.as_str() {
        TOPIC_PUBLISH => {
            let topic = text(map, "topic").ok_or(BAD_REQUEST)?;
            topic_wish(topic, map)
        }
        PROPERTY_UPDATE => {
            let filters = map.get("filters").and_then(|filters| filters.as_map());
            match filters.and_then(|filters| text(filters, "property")) {
                Some(name) => {
                    let current = map.get("current").and_then(|it| it.as_bool());
                    Ok(Wish::Property { name, current: current.unwrap_or_default() })
                }
                None => Ok(Wish::Tell(Interest::Event { name: event, property: None })),
            }
        }
        _ => Ok(Wish::Tell(Interest::Event { name: event, property: None })),
    }
}

fn by_type(path: &str, map: Map<'_>) -> Result<Wish, u16> {
    match text(map, "type").as_deref() {
        Some("mqtt") => topic_wish(path.to_string(), map),
        Some("event") => Ok(Wish::Tell(Interest::Event { name: path.to_string(), property: None })),
        Some("device") => {
            let device = text(map, "id").ok_or(BAD_REQUEST)?;
            let secs = map.get("interval").and_then(|secs| secs.as_f64()).unwrap_or_default();
            let interval = Duration::try_from_secs_f64(secs).map_err(|_| BAD_REQUEST)?;
            let interval = (!interval.is_zero()).then_some(interval);
            Ok(Wish::Device { device, resource: path.to_string(), interval })
        }
        _ => Err(BAD_REQUEST),
    }
}

fn topic_wish(topic: String, map: Map<'_>) -> Result<Wish, u16> {
    let scope = map.get("scope").ok_or(BAD_REQUEST)?;
    let has = |name: &str| match scope {
        Value::Text(scope) => scope == *name,
        Value::Array(scopes) => scopes.iter().any(|scope| scope.as_str() == Some(name)),
        _ => false,
    };
    let retain = map.get("retained").and_then(|retained| retained.as_bool()).unwrap_or_default();
    match (has("publish"), has("subscribe")) {
        (true, both) if is_topic(&topic) => {
            let also = both.then(|| Interest::Topic(topic.clone()));
            Ok(Wish::Publish { topic, retain, also })
        }
        (false, true) if is_filter(&topic) => Ok(Wish::Tell(Interest::Topic(topic))),
        _ => Err(BAD_REQUEST),
    }
}

fn text(map: Map<'_>, name: &str) -> Option<String> {
    map.get(name)?.as_str().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, Tree};

    fn read(resource: Target, parameters: Tree) -> Result<Wish, u16> {
        let parameters = Payload::new(&parameters).unwrap();
        Wish::read(Some(&resource), Some(parameters.value()))
    }

    #[test]
    fn both_forms_of_wishes_are_read() {
        let eight = || Target::Number(8);
        let path = || Target::Path("a/b".into());
        let publish = |also: bool, retain| Wish::Publish {
            topic: "a/b".into(),
            retain,
            also: also.then(|| Interest::Topic("a/b".into())),
        };
        let both = Tree::from([Tree::from("publish"), Tree::from("subscribe")]);
        let topic = [("event", TOPIC_PUBLISH.into()), ("topic", "a/b".into())];
        let with = |more: &[(&str, Tree)]| {
            let Tree::Map(mut map) = Tree::from(topic.clone()) else { panic!("a map") };
            map.extend(more.iter().map(|(name, value)| ((*name).into(), value.clone())));
            Tree::Map(map)
        };
        assert_eq!(read(eight(), with(&[("scope", "publish".into())])), Ok(publish(false, false)));
        let retained = with(&[("scope", "publish".into()), ("retained", true.into())]);
        assert_eq!(read(eight(), retained), Ok(publish(false, true)));
        let wanted = Wish::Tell(Interest::Topic("a/b".into()));
        assert_eq!(read(eight(), with(&[("scope", "subscribe".into())])), Ok(wanted));
        assert_eq!(read(eight(), with(&[("scope", "neither".into())])), Err(400));
        assert_eq!(read(eight(), with(&[])), Err(400));
        let mqtt = Tree::from([("type", "mqtt".into()), ("scope", both)]);
        assert_eq!(read(path(), mqtt), Ok(publish(true, false)));
        let event = Interest::Event { name: "a/b".into(), property: None };
        assert_eq!(read(path(), Tree::from([("type", "event".into())])), Ok(Wish::Tell(event)));
        let other = [("type", "device".into()), ("id", "pump".into()), ("interval", 5u64.into())];
        let wish = Wish::Device {
            device: "pump".into(),
            resource: "a/b".into(),
            interval: Some(Duration::from_secs(5)),
        };
        assert_eq!(read(path(), Tree::from(other)), Ok(wish));
        let property = Tree::from([
            ("event", PROPERTY_UPDATE.into()),
            ("current", true.into()),
            ("filters", Tree::from([("property", "limits".into())])),
        ]);
        let wish = Wish::Property { name: "limits".into(), current: true };
        assert_eq!(read(eight(), property), Ok(wish));
        assert_eq!(read(Target::Number(9), Tree::from([("event", "x".into())])), Err(404));
        assert_eq!(Wish::read(Some(&eight()), None), Err(400));
    }
}
