//! What devices ask of their server with RUN.

use core::time::Duration;
use std::string::{String, ToString};
use std::sync::{Arc, PoisonError};

use super::device::CallError;
use super::event::{DeviceId, Event};
use super::serve::Served;
use super::services::{ServiceError, Services};
use super::wish::PROPERTY_UPDATE;
use crate::session::{Ask, Target};
use crate::value::Value;
use crate::{Payload, Tree};

/// One call of a service.
#[derive(Debug)]
pub(crate) struct Job {
    service: Service,
    target: String,
    payload: Option<Payload>,
}

/// What became of a call.
pub(crate) type Done = Result<Option<Payload>, ServiceError>;

/// The services, by their numbers on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Service {
    ReadProperty,
    SetProperty,
    CallDevice,
    CallEndpoint,
    WriteBucket,
}

impl Service {
    const fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::ReadProperty,
            2 => Self::SetProperty,
            3 => Self::CallDevice,
            4 => Self::CallEndpoint,
            5 => Self::WriteBucket,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ReadProperty => "read_property",
            Self::SetProperty => "set_property",
            Self::CallDevice => "call_device",
            Self::CallEndpoint => "call_endpoint",
            Self::WriteBucket => "write_bucket",
        }
    }
}

/// How long a service may take, so that a device has its answer before it gives up.
const SERVICE_TIME: Duration = Duration::from_secs(9);

impl Job {
    /// Reads what a device asks. The error is a code.
    pub(crate) fn read(ask: Ask) -> Result<Self, u16> {
        let Ask::Run { resource: Target::Number(number), parameters, payload } = ask else {
            return Err(404);
        };
        let service = Service::of(number).ok_or(404u16)?;
        let target = parameters.as_ref().and_then(|target| name(target.value())).ok_or(400u16)?;
        Ok(Self { service, target, payload })
    }

    /// Does it, within [`SERVICE_TIME`].
    pub(crate) async fn run<A, S: Services>(
        self,
        served: Arc<Served<A, S>>,
        id: Arc<DeviceId>,
    ) -> Done {
        let done = tokio::time::timeout(SERVICE_TIME, self.call(&served, &id)).await;
        let done = done.unwrap_or(Err(ServiceError::TimedOut));
        let Self { service, target, payload } = self;
        if done.is_ok() && service == Service::SetProperty {
            let topics = served.shared.topics.lock().unwrap_or_else(PoisonError::into_inner);
            let told = topics.event(&id.user, PROPERTY_UPDATE, Some(&target));
            drop(topics);
            let value = Arc::new(payload.clone().unwrap_or_default());
            // Properties are each device's own, whatever others call theirs.
            let told = told.iter().filter(|recipient| recipient.state.id == id);
            told.for_each(|recipient| recipient.send(Arc::clone(&value)));
        }
        let ok = done.is_ok();
        let service = service.name();
        served.shared.tell(|| Event::Called { id, service, target, value: payload, ok });
        done
    }

    async fn call<A, S: Services>(&self, served: &Served<A, S>, id: &DeviceId) -> Done {
        let (services, target) = (&served.services, self.target.as_str());
        let null = Payload::default();
        let value = self.payload.as_ref();
        match self.service {
            Service::ReadProperty => services.read_property(id, target).await,
            Service::SetProperty => {
                services.set_property(id, target, value.unwrap_or(&null)).await.map(|()| None)
            }
            Service::WriteBucket => {
                services.write_bucket(id, target, value.unwrap_or(&null)).await.map(|()| None)
            }
            Service::CallEndpoint => services.call_endpoint(id, target, value).await,
            Service::CallDevice => {
                let bad = || ServiceError::BadRequest(String::from("no device and resource"));
                let (device, resource) = target.split_once('/').ok_or_else(bad)?;
                let other = served.shared.find(&DeviceId::new(id.user.as_str(), device));
                let other = other.ok_or(ServiceError::NotFound)?;
                other.run(resource, self.payload.clone()).await.map_err(of_call)
            }
        }
    }
}

fn of_call(error: CallError) -> ServiceError {
    match error {
        CallError::Offline => ServiceError::NotFound,
        CallError::TimedOut => ServiceError::TimedOut,
        other => ServiceError::Failed(other.to_string()),
    }
}

/// The target of a service: a name, a number, or the parts of a path.
fn name(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => text.as_str().map(ToString::to_string),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Array(parts) => {
            let parts: Option<std::vec::Vec<_>> = parts.iter().map(|part| part.as_str()).collect();
            parts.map(|parts| parts.join("/"))
        }
        _ => None,
    }
}

/// What an error says in the payload of an answer.
pub(crate) fn told(error: &ServiceError) -> Tree {
    Tree::from([("error", Tree::Text(error.to_string()))])
}
