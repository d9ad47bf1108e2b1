use core::any::Any;
use core::borrow::Borrow;
use core::panic::AssertUnwindSafe;
use std::collections::BTreeMap;

use pointstream_point::{ConvertCache, FacetFaults, Fault, Id, Pipeline, PointKey, PointSpec};
use serde::de::DeserializeOwned;

use crate::driver::{Binding, Driver};
use crate::dyn_driver::DynDriver;
use crate::readings::{Reading, Readings};
use crate::trace::Trace;

/// The kinds of connector that a process knows, by name.
///
/// A registry is a value: nothing is registered by linking or by a global. A driver crate offers
/// `register(&mut Registry)`; an application calls it.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Maker>,
}

type Maker = Box<dyn Fn(serde_json::Value, &Context) -> Result<AnyDriver, MakeError> + Send + Sync>;

/// A driver of whatever kind, as [`Registry::make`] gives it.
pub struct AnyDriver(pub(crate) Box<dyn DynDriver>, pub(crate) Trace);

impl AnyDriver {
    /// Any driver from one of a known type.
    pub fn new(driver: impl Driver) -> Self {
        Self(Box::new(driver), Trace::new())
    }

    /// What the framework may ask of this driver.
    pub fn features(&self) -> crate::Features {
        self.0.features()
    }

    /// Has the driver parse the addresses of points, without opening anything, and checks their
    /// converts. Gives the faults with the places of their points. A panic of the driver is a fault
    /// of all of them.
    pub fn check(&mut self, points: &[impl Borrow<PointSpec>]) -> Vec<(usize, Fault)> {
        let key = |slot| PointKey { shard: 0, slot, generation: 0 };
        let mut converts = ConvertCache::default();
        let mut faults = Vec::new();
        for (at, point) in points.iter().enumerate() {
            let FacetFaults { cur, write, his, .. } =
                Pipeline::new(point.borrow(), &mut converts).1;
            faults.extend([cur, write, his].into_iter().flatten().map(|fault| (at, fault)));
        }
        let bindings: Vec<Binding> = (0..)
            .zip(points.iter().map(Borrow::borrow))
            .filter(|(_, point)| !point.disabled)
            .map(|(slot, point)| Binding::of(key(slot), point))
            .collect();
        let mut readings = Readings::new();
        let bind = AssertUnwindSafe(|| self.0.bind(&bindings, &mut readings));
        if let Err(panic) = std::panic::catch_unwind(bind) {
            let fault = panicked(&*panic);
            faults.extend(bindings.iter().map(|b| (b.key.slot as usize, fault.clone())));
            return faults;
        }
        let fault = |reading| match reading {
            Reading::Cur(key, Err(fault))
            | Reading::WriteErr(key, fault)
            | Reading::HisErr(key, fault) => Some((key.slot as usize, fault)),
            _ => None,
        };
        faults.extend(readings.drain().filter_map(fault));
        faults
    }
}

/// A panic of a driver as a fault.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    Fault::permanent(format_args!("the driver panicked: {text}"))
}

/// What a driver is told about its surroundings when it is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// The id of its connector.
    pub id: Id,
    /// A seed for jitter and the like; differs from connector to connector.
    pub seed: u64,
    /// Where a driver shows what goes over its wire.
    pub trace: Trace,
}

impl Context {
    /// The surroundings of the connector `id`.
    pub fn new(id: Id, seed: u64) -> Self {
        Self { id, seed, trace: Trace::new() }
    }
}

/// Why no driver could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// No driver of this kind is registered.
    #[error("unknown kind of connector {kind:?}: this build has {known}")]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What there is.
        known: String,
    },
    /// The configuration is not what this kind of driver takes.
    #[error("{0}")]
    Config(#[source] serde_json::Error),
    /// The driver refused its configuration.
    #[error("{0}")]
    Refused(#[source] Fault),
}

impl Registry {
    /// A registry that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Teaches the kind `name`: its configuration `C`, which is everything under a connector that
    /// the framework does not take for itself (`()` if there is nothing), and how a driver is made
    /// of it. A second registration of a name replaces the first.
    pub fn register<C, D>(
        &mut self,
        name: &'static str,
        make: impl Fn(C, &Context) -> Result<D, Fault> + Send + Sync + 'static,
    ) where
        C: DeserializeOwned,
        D: Driver,
    {
        let maker: Maker = Box::new(move |config, context| {
            let none = config.as_object().is_some_and(serde_json::Map::is_empty);
            let config = serde_json::from_value(config).or_else(|error| {
                // A driver without options takes `()`, which is null in JSON.
                let unit = serde_json::from_value(serde_json::Value::Null);
                unit.ok().filter(|_| none).ok_or(MakeError::Config(error))
            })?;
            let driver = make(config, context).map_err(MakeError::Refused)?;
            Ok(AnyDriver(Box::new(driver), context.trace.clone()))
        });
        self.kinds.insert(name, maker);
    }

    /// Makes a driver of the kind `name`.
    pub fn make(
        &self,
        name: &str,
        config: serde_json::Value,
        context: &Context,
    ) -> Result<AnyDriver, MakeError> {
        let Some(make) = self.kinds.get(name) else {
            let known = if self.kinds.is_empty() {
                "none".to_owned()
            } else {
                self.kinds().collect::<Vec<_>>().join(", ")
            };
            return Err(MakeError::UnknownKind { kind: name.to_owned(), known });
        };
        make(config, context)
    }

    /// The names of all kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }
}

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}

impl core::fmt::Debug for AnyDriver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AnyDriver").field("features", &self.features()).finish()
    }
}
