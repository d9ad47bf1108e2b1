use std::boxed::Box;
use std::collections::BTreeMap;
use std::string::{String, ToString};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::encode::{Encode, Encoder};
use crate::{Payload, SerdeError};

/// What a device offers, by name.
#[derive(Default)]
pub(super) struct Resources {
    all: BTreeMap<String, Resource>,
}

struct Resource {
    kind: Kind,
    action: Action,
    /// What was written last, which shows what is taken.
    input: Option<Payload>,
    /// What a resource of both kinds gave last: it is not carried out again to be shown.
    output: Option<Payload>,
}

type Action = Box<dyn FnMut(Option<&Payload>) -> Result<Option<Payload>, ResourceError> + Send>;

/// The kinds of resources, with their numbers on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Run = 1,
    Input = 2,
    Output = 3,
    Both = 4,
}

/// Why a resource did not do what it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct ResourceError {
    /// A code like those of HTTP.
    pub code: u16,
    /// What a person reads.
    pub text: String,
}

impl ResourceError {
    /// An error with a code like those of HTTP.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    fn not_found(name: &str) -> Self {
        Self::new(404, std::format!("there is no resource {name}"))
    }
}

impl From<SerdeError> for ResourceError {
    fn from(error: SerdeError) -> Self {
        Self::new(400, error.to_string())
    }
}

impl Encode for ResourceError {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| to.entry("error", &self.text));
    }
}

impl Resources {
    pub(super) fn insert(&mut self, name: &str, kind: Kind, action: Action) {
        self.all.insert(name.to_string(), Resource { kind, action, input: None, output: None });
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Carries out a resource.
    pub(super) fn run(
        &mut self,
        name: &str,
        payload: Option<&Payload>,
    ) -> Result<Option<Payload>, ResourceError> {
        let resource = self.all.get_mut(name).ok_or_else(|| ResourceError::not_found(name))?;
        if !matches!(resource.kind, Kind::Input | Kind::Both) {
            return (resource.action)(None);
        }
        let result = (resource.action)(payload)?;
        if let Some(payload) = payload {
            resource.input = Some(payload.clone());
        }
        resource.output.clone_from(&result);
        Ok(result)
    }

    /// What a stream of a resource carries: an output's value, or what was written to an input.
    pub(super) fn state(&mut self, name: &str) -> Result<Payload, ResourceError> {
        let resource = self.all.get_mut(name).ok_or_else(|| ResourceError::not_found(name))?;
        match resource.kind {
            Kind::Output => Ok((resource.action)(None)?.unwrap_or_default()),
            Kind::Both => Ok(resource.output.clone().unwrap_or_default()),
            Kind::Run | Kind::Input => Ok(resource.input.clone().unwrap_or_default()),
        }
    }

    /// Whether something is written to it, so that its state is to be told after that.
    pub(super) fn takes(&self, name: &str) -> bool {
        let kind = self.all.get(name).map(|resource| resource.kind);
        matches!(kind, Some(Kind::Input | Kind::Both))
    }

    /// What a DESCRIBE of one resource says: a sample of what it takes and of what it gives.
    pub(super) fn describe(&mut self, name: &str) -> Result<Option<Payload>, ResourceError> {
        let resource = self.all.get(name).ok_or_else(|| ResourceError::not_found(name))?;
        let (kind, input) = (resource.kind, resource.input.clone().unwrap_or_default());
        let samples = match kind {
            Kind::Run => return Ok(None),
            Kind::Input => Samples { input: Some(input), output: None },
            Kind::Output => Samples { input: None, output: Some(self.state(name)?) },
            Kind::Both => Samples { input: Some(input), output: Some(self.state(name)?) },
        };
        Payload::new(&samples).map(Some).map_err(|error| ResourceError::new(500, error.to_string()))
    }
}

struct Samples {
    input: Option<Payload>,
    output: Option<Payload>,
}

impl Encode for Samples {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            if let Some(input) = &self.input {
                to.entry("in", input);
            }
            if let Some(output) = &self.output {
                to.entry("out", output);
            }
        });
    }
}

impl Encode for Resources {
    /// What a DESCRIBE of all says.
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            for (name, resource) in &self.all {
                to.entry(name.as_str(), &resource.kind);
            }
        });
    }
}

impl Encode for Kind {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| to.entry("fn", &(*self as u8)));
    }
}

/// Turns closures over types of serde into actions.
pub(super) fn run(mut action: impl FnMut() + Send + 'static) -> Action {
    Box::new(move |_| {
        action();
        Ok(None)
    })
}

pub(super) fn input<T: DeserializeOwned>(
    mut action: impl FnMut(T) -> Result<(), ResourceError> + Send + 'static,
) -> Action {
    Box::new(move |payload| {
        action(read(payload)?)?;
        Ok(None)
    })
}

pub(super) fn output<T: Serialize>(mut action: impl FnMut() -> T + Send + 'static) -> Action {
    Box::new(move |_| {
        let value = action();
        Payload::of(&value).map(Some).map_err(|error| ResourceError::new(500, error.to_string()))
    })
}

pub(super) fn both<I: DeserializeOwned, O: Serialize>(
    mut action: impl FnMut(I) -> Result<O, ResourceError> + Send + 'static,
) -> Action {
    Box::new(move |payload| {
        let value = action(read(payload)?)?;
        Payload::of(&value).map(Some).map_err(|error| ResourceError::new(500, error.to_string()))
    })
}

fn read<T: DeserializeOwned>(payload: Option<&Payload>) -> Result<T, ResourceError> {
    let null = Payload::default();
    Ok(payload.unwrap_or(&null).to()?)
}
