//! What a gateway does for IOTMP devices beyond their connectors: properties in its store, buckets in
//! the histories of its points.

use std::sync::{Arc, OnceLock, Weak};

use pointstream_conn::Registry;
use pointstream_iotmp::Servers;
use pointstream_iotmp::server::Services;
#[cfg(feature = "store")]
use pointstream_iotmp::{
    Payload,
    server::{DeviceId, ServiceError},
};

use super::{Gateway, Shared};

/// The kind `iotmp` of a registry, with what devices may ask of the gateway.
///
/// Devices keep properties in the gateway's store. What they write to a bucket goes into the history
/// of each point of theirs whose `his` names the bucket: `his = "weather#/celsius"` takes the part
/// `celsius` of what is written to `weather`. It is on the disk when the device has its answer.
/// Endpoints are part of a connector's configuration. Where the gateway is served over HTTP, the
/// resources of the devices are there as well, under `/v3/users/`.
///
/// ```no_run
/// # async fn run() {
/// use pointstream::conn::Registry;
/// use pointstream::{Gateway, IotmpServices};
///
/// let mut registry = Registry::new();
/// let services = IotmpServices::register(&mut registry);
/// let gateway = Gateway::new(registry).with_iotmp(services);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct IotmpServices {
    desk: Desk,
    servers: Servers,
}

/// The way from devices to the gateway, once there is one.
#[derive(Clone, Debug, Default)]
struct Desk(Arc<OnceLock<Weak<Shared>>>);

impl IotmpServices {
    /// Teaches `registry` the kind `iotmp`. To be given to the gateway that is made of the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let desk = Desk::default();
        let servers = pointstream_iotmp::register_with(registry, desk.clone());
        Self { desk, servers }
    }

    /// The servers that the connectors' devices connect to.
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }
}

#[cfg(feature = "http")]
impl IotmpServices {
    /// The resources of the devices over HTTP, behind the gateway's guard.
    pub(crate) fn mount(&self) -> Arc<dyn pointstream_http::Mount> {
        use pointstream_iotmp::server::http::{Face, Options};
        let options = Options::default().behind_a_guard();
        Arc::new(Resources(Face::of_connectors(self.servers.clone(), options)))
    }
}

#[cfg(feature = "http")]
struct Resources(pointstream_iotmp::server::http::Face);

#[cfg(feature = "http")]
impl pointstream_http::Mount for Resources {
    fn prefix(&self) -> &'static str {
        "/v3/"
    }

    fn handle(
        &self,
        request: pointstream_http::MountRequest,
    ) -> pointstream_http::BoxFuture<'_, pointstream_http::Mounted> {
        Box::pin(async move {
            let answer = self.0.handle(request).await;
            let mounted = pointstream_http::Mounted::new(answer.response);
            match answer.then {
                None => mounted,
                Some(then) => mounted.then(move |stream, read| {
                    Box::pin(async move { then.run(stream, &read).await })
                }),
            }
        })
    }
}

impl Gateway {
    /// This gateway, keeping what devices of the kind `iotmp` want to be kept.
    #[must_use]
    pub fn with_iotmp(mut self, services: IotmpServices) -> Self {
        // Services that are another gateway's stay that one's.
        let _ = services.desk.0.set(Arc::downgrade(&self.shared));
        self.iotmp = Some(services);
        self
    }
}

impl Services for Desk {
    #[cfg(feature = "store")]
    async fn read_property(
        &self,
        id: &DeviceId,
        property: &str,
    ) -> Result<Option<Payload>, ServiceError> {
        self.properties()?.read(id, property).await
    }

    #[cfg(feature = "store")]
    async fn set_property(
        &self,
        id: &DeviceId,
        property: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        self.properties()?.set(id, property, value).await
    }

    #[cfg(feature = "store")]
    async fn write_bucket(
        &self,
        id: &DeviceId,
        bucket: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        let shared = self.shared()?;
        let (store, batch) = stored::series(&shared, id, bucket, value)?;
        drop(shared);
        let written = tokio::task::spawn_blocking(move || store.write(&batch)).await;
        let failed = |error: &dyn core::fmt::Display| ServiceError::Failed(error.to_string());
        written.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

#[cfg(feature = "store")]
mod stored {
    use pointstream_iotmp::Address;
    use pointstream_point::{ConvertCache, HisRules, Pipeline, PointSpec, Value};
    use pointstream_store::{History, SeriesWrite};

    use super::super::shared::State;
    use super::*;
    use crate::StoredProperties;

    impl Desk {
        /// The gateway; nothing is known of it before it is made, and after it has ended.
        pub(super) fn shared(&self) -> Result<Arc<Shared>, ServiceError> {
            let shared = self.0.get().and_then(Weak::upgrade);
            shared.ok_or_else(|| ServiceError::Failed("the gateway has no store".into()))
        }

        pub(super) fn properties(&self) -> Result<StoredProperties, ServiceError> {
            let properties = self.shared()?.lock().properties.clone();
            properties.ok_or_else(|| ServiceError::Failed("the gateway has no store".into()))
        }
    }

    /// What a bucket's value is for the histories of the device's points. A point whose part is
    /// missing takes nothing.
    pub(super) fn series(
        shared: &Shared,
        id: &DeviceId,
        bucket: &str,
        value: &Payload,
    ) -> Result<(Arc<dyn History>, Vec<SeriesWrite>), ServiceError> {
        let now = shared.clock.now().wall;
        let state = shared.lock();
        let mut wanted = false;
        let mut batch = Vec::new();
        let mut why = None;
        for (spec, address) in points(&state, id) {
            if *address.resource != *bucket {
                continue;
            }
            wanted = true;
            let item = item(&state, &spec, &address, value);
            let items = item.and_then(|val| {
                let accepted = HisRules::of(&spec).accept([(now, Some(val))], None);
                accepted.map_err(|error| error.to_string())
            });
            match items {
                Ok(items) => {
                    let items = items.into_iter().map(|item| (item.0, item.1)).collect();
                    batch.push(SeriesWrite { point: spec.id.as_str().into(), items });
                }
                Err(error) => why = Some(error),
            }
        }
        if !wanted {
            return Err(ServiceError::NotFound);
        }
        match why.filter(|_| batch.is_empty()) {
            Some(why) => Err(ServiceError::BadRequest(why)),
            None => {
                let store = state.his.store.clone();
                let none = || ServiceError::Failed("the gateway has no store".into());
                Ok((store.ok_or_else(none)?, batch))
            }
        }
    }

    /// The points of a device that have an address in its buckets.
    fn points(state: &State, id: &DeviceId) -> Vec<(Arc<PointSpec>, Address)> {
        let mine = state.conns.values().filter(|conn| {
            let is = |name: &str, text: &str| {
                conn.config.driver.get(name).and_then(|value| value.as_str()) == Some(text)
            };
            conn.config.kind == "iotmp" && is("user", &id.user) && is("device", &id.device)
        });
        let ids = mine.flat_map(|conn| conn.point_ids());
        let specs = ids.filter_map(|id| state.points.find(id.as_str()));
        let specs = specs.map(|(_, entry)| Arc::clone(&entry.spec));
        let enabled = specs.filter(|spec| !spec.disabled);
        let addressed = enabled.filter_map(|spec| {
            let address = spec.more.his.as_deref()?.parse().ok()?;
            Some((spec, address))
        });
        addressed.collect()
    }

    fn item(
        state: &State,
        spec: &PointSpec,
        address: &Address,
        value: &Payload,
    ) -> Result<Value, String> {
        // A convert may make another kind of it.
        let kind = Some(spec.kind).filter(|_| spec.more.his_convert.is_none());
        let value = address.extract(value, kind)?;
        let (pipeline, faults) = Pipeline::new(spec, &mut ConvertCache::default());
        if let Some(fault) = faults.his {
            return Err(fault.to_string());
        }
        pipeline.his(spec, value, &state.enums).map_err(|fault| fault.to_string())
    }
}
