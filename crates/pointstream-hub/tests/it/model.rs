//! What a topic and its views should be, written on values and without any cleverness.

use std::collections::BTreeSet;

use pointstream_hub::UpdateMode;
use serde_json::{Map, Value};

/// The document of a topic.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) text: Option<Value>,
    /// The items in the order of their first publication.
    pub(crate) items: Option<Vec<(String, Value)>>,
}

impl Model {
    pub(crate) fn publish_items(&mut self, items: &[Value], update: UpdateMode) {
        let present = self.items.get_or_insert_with(Vec::new);
        for item in items {
            let Some(id) = item["id"].as_str() else { continue };
            match present.iter_mut().find(|(other, _)| other == id) {
                None => present.push((id.to_owned(), item.clone())),
                Some((_, value)) => match update {
                    UpdateMode::Merge => merge(value, item),
                    _ => *value = item.clone(),
                },
            }
        }
    }

    pub(crate) fn remove_item(&mut self, id: &str) {
        if let Some(items) = &mut self.items {
            items.retain(|(other, _)| other != id);
        }
    }

    /// The document that a view shows, without its rate and deadbands.
    pub(crate) fn view(&self, view: &View) -> Option<Value> {
        let mut value = match (&self.text, &self.items) {
            (Some(text), _) => text.clone(),
            (None, Some(items)) => {
                let wanted = |id: &String| view.filter.as_ref().is_none_or(|it| it.contains(id));
                items.iter().filter(|(id, _)| wanted(id)).map(|(_, value)| value.clone()).collect()
            }
            (None, None) => return None,
        };
        value = value.pointer(&view.pointer).cloned().unwrap_or(Value::Null);
        if !view.fields.is_empty() {
            match &mut value {
                Value::Array(list) => list.iter_mut().for_each(|it| keep(it, &view.fields)),
                value => keep(value, &view.fields),
            }
        }
        Some(value)
    }
}

/// What a client wants to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) filter: Option<BTreeSet<String>>,
    pub(crate) pointer: String,
    pub(crate) fields: BTreeSet<String>,
    pub(crate) rate: Option<f64>,
    pub(crate) deadband: Option<(String, f64)>,
}

fn keep(value: &mut Value, fields: &BTreeSet<String>) {
    if let Value::Object(map) = value {
        map.retain(|key, _| fields.contains(key));
    }
}

fn merge(base: &mut Value, patch: &Value) {
    let (Value::Object(base), Value::Object(patch)) = (&mut *base, patch) else {
        *base = patch.clone();
        return;
    };
    merge_members(base, patch);
}

fn merge_members(base: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match base.get_mut(key) {
            Some(present) => merge(present, value),
            None => drop(base.insert(key.clone(), value.clone())),
        }
    }
}
