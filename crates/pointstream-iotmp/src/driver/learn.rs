//! What a device has, by its descriptions.

use std::string::{String, ToString};
use std::vec::Vec;

use pointstream_conn::OpError;
use pointstream_point::{Fault, LearnPath, LearnRow};

use super::fault;
use crate::Payload;
use crate::address::{Address, point_value};
use crate::server::{CallError, Device, kinds};
use crate::value::Value;

/// The resources at the root; below each, what its value holds.
pub(super) async fn learn(
    device: &Device,
    at: Option<&LearnPath>,
) -> Result<Vec<LearnRow>, OpError> {
    let failed = |error: CallError| match error {
        CallError::Offline => OpError::Session(fault(&error)),
        error => OpError::Refused(fault(&error)),
    };
    match at {
        None => {
            let list = device.describe(None).await.map_err(failed)?.unwrap_or_default();
            let names = kinds(&list);
            Ok(names.into_keys().map(|name| LearnRow::new(name.clone()).with_learn(name)).collect())
        }
        Some(path) => {
            let resource = path.to_string();
            // What is no address has no place here either.
            let bad = |error| OpError::Refused(Fault::permanent(error));
            let root: Address = resource.parse().map_err(bad)?;
            let samples = device.describe(Some(&resource)).await.map_err(failed)?;
            Ok(samples.map(|samples| rows(&root, &samples)).unwrap_or_default())
        }
    }
}

/// A row for each value that a resource gives or takes.
fn rows(root: &Address, samples: &Payload) -> Vec<LearnRow> {
    let map = samples.value().as_map();
    let sample = |name: &str| map.and_then(|map| map.get(name));
    let (input, output) = (sample("in"), sample("out"));
    let mut rows = Vec::new();
    let mut leaves = Vec::new();
    // The old dialect and others give what is taken as what is given.
    collect(root, output.or(input), &mut leaves);
    for (address, value) in leaves {
        let text = address.to_string();
        let name = address.pointer.last().map_or(&*address.resource, String::as_str);
        let point = point_value(value).unwrap_or_default();
        let mut row = LearnRow::new(name);
        row.kind = point.kind();
        row.cur = Some(text.as_str().into());
        if input.is_some() {
            row.write = Some(text.as_str().into());
        }
        row.val = Some(point).filter(|_| row.kind.is_some());
        rows.push(row);
    }
    rows
}

/// How many values of one resource are shown.
const LEAVES_MAX: usize = 1024;

/// The single values in a value. Recurses as deep as it nests, which is bounded by its decoding.
fn collect<'v>(at: &Address, value: Option<Value<'v>>, leaves: &mut Vec<(Address, Value<'v>)>) {
    let Some(value) = value else { return };
    let below = |name: String| {
        let mut below = at.clone();
        below.pointer.push(name);
        below
    };
    match value {
        _ if leaves.len() >= LEAVES_MAX => {}
        Value::Map(map) => {
            for (name, value) in map.iter() {
                if let Some(name) = name.as_str() {
                    collect(&below(name.to_string()), Some(value), leaves);
                }
            }
        }
        Value::Array(array) => {
            for (place, value) in array.iter().enumerate() {
                collect(&below(place.to_string()), Some(value), leaves);
            }
        }
        Value::Bytes(_) => {}
        value => leaves.push((at.clone(), value)),
    }
}
