//! The connector driver of kind `iotmp`.

mod learn;
mod listeners;
mod points;

use core::future::poll_fn;
use core::task::Poll;
use std::sync::Arc;
use std::vec::Vec;

use jiff::Timestamp;
use pointstream_conn::{
    Binding, Context, Driver, Features, Learn, OpError, Readings, Registry, Request, Write,
};
use pointstream_point::{Fault, LearnPath, LearnRow, PointKey, Tags, Value};
use tokio::time::timeout;

use crate::config::Config;
use crate::driver::listeners::{Admission, Listeners, Listening};
use crate::driver::points::{Feed, Points};
use crate::server::{CallError, Device, DeviceId, Devices, Sample, Services, Update};
use crate::session::Credentials;

pub use crate::driver::listeners::Servers;

/// Teaches `registry` the kind `iotmp`, configured by [`Config`].
///
/// Connectors of one registry with the same `listen` share one server, which listens from the first
/// opening of one of them on until the last of them is gone. What is answered gives their devices.
pub fn register(registry: &mut Registry) -> Servers {
    register_with(registry, ())
}

/// As [`register`], with what the servers of the connectors do for their devices beyond passing on
/// what these say. The endpoints in a connector's configuration come before those of `services`.
pub fn register_with(registry: &mut Registry, services: impl Services) -> Servers {
    let servers = Servers(Arc::new(Listeners::new(services)));
    let listeners = Arc::clone(&servers.0);
    registry.register("iotmp", move |config: Config, _: &Context| {
        let secret = config.secret().map_err(Fault::permanent)?;
        let admission = Admission {
            credentials: Credentials::new(&*config.user, &*config.device, secret.expose()),
            #[cfg(feature = "http")]
            endpoints: Arc::new(config.endpoints().map_err(Fault::permanent)?),
        };
        let listening = listeners.share(&config.listen);
        let number = listening.admit(admission);
        Ok(Iotmp::of(config, Way::Listening(listening, number)))
    });
    servers
}

/// One device of an IOTMP server.
///
/// The device connects to the server; a session is open while it is connected. Points that are watched
/// are streamed, many of one resource by one stream; what the device refuses to stream is polled.
#[derive(Debug)]
pub struct Iotmp {
    config: Config,
    id: DeviceId,
    way: Way,
    points: Points,
    session: Option<Session>,
}

/// How the driver comes to its device.
#[derive(Debug)]
enum Way {
    /// By a server of the registry, which lets the device in while the driver lives, by the admission
    /// of this number.
    Listening(Arc<Listening>, u64),
    /// By a server of the application.
    Devices(Devices),
}

#[derive(Debug)]
struct Session {
    device: Device,
    /// The number of the device's session; another one is another session for the framework too.
    number: u64,
    feeds: Vec<Feed>,
}

impl Iotmp {
    /// A driver of a device of a server that the application runs. What the configuration says about
    /// listening and credentials does not matter then.
    pub fn new(config: Config, devices: Devices) -> Self {
        Self::of(config, Way::Devices(devices))
    }

    fn of(config: Config, way: Way) -> Self {
        let id = DeviceId::new(&*config.user, &*config.device);
        let points = Points::new(config.interval);
        Self { config, id, way, points, session: None }
    }

    fn session(&mut self) -> Result<&mut Session, OpError> {
        let gone = || OpError::Session(Fault::down("the device is not connected"));
        let session = self.session.as_mut().ok_or_else(gone)?;
        match session.device.session() {
            Some(number) if number == session.number => Ok(session),
            _ => Err(gone()),
        }
    }

    /// The value of each point of one resource.
    async fn read_resource(
        &mut self,
        request: &Request,
        into: &mut Readings,
    ) -> Result<(), OpError> {
        let Some(resource) = self.points.resource(&request.points) else { return Ok(()) };
        let device = self.session()?.device.clone();
        match device.read(&resource).await {
            Ok(value) => {
                let sample = Sample::new(value.unwrap_or_default());
                for key in &*request.points {
                    self.points.give(*key, &sample, into);
                }
            }
            Err(error) => {
                let fault = fault(&error);
                if matches!(error, CallError::Offline) {
                    return Err(OpError::Session(fault));
                }
                request.points.iter().for_each(|key| into.err(*key, fault.clone()));
            }
        }
        Ok(())
    }
}

impl Drop for Iotmp {
    fn drop(&mut self) {
        if let Way::Listening(listening, number) = &self.way {
            listening.dismiss(&self.id, *number);
        }
    }
}

impl Driver for Iotmp {
    fn features(&self) -> Features {
        Features::NONE.with_poll().with_watch().with_write().with_learn(Learn::Session)
    }

    /// Waits for the device to be connected.
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        self.session = None;
        let devices = match &self.way {
            Way::Listening(listening, _) => {
                listening.start(&self.config).await.map_err(OpError::Session)?
            }
            Way::Devices(devices) => devices.clone(),
        };
        let pinned = devices.pin(&self.id);
        let device = &pinned.0;
        let connected = async {
            let mut number = device.session();
            while number.is_none() {
                number = device.changed_from(None).await;
            }
            number
        };
        match timeout(self.config.connect_timeout, connected).await {
            Ok(Some(number)) => {
                let device = device.clone();
                self.session = Some(Session { device, number, feeds: Vec::new() });
                Ok(())
            }
            _ => Err(OpError::Session(Fault::down(format_args!(
                "the device {} is not connected",
                self.id
            )))),
        }
    }

    async fn close(&mut self) {
        self.session = None;
    }

    /// Any answer is a sign of life.
    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        let device = self.session()?.device.clone();
        match device.describe(None).await {
            Ok(_) | Err(CallError::Refused(_) | CallError::Busy) => Ok(Tags::new()),
            Err(error) => Err(OpError::Session(fault(&error))),
        }
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        self.points.bind(points, into);
    }

    fn unbind(&mut self, points: &[PointKey]) {
        self.points.unbind(points);
        if let Some(session) = &mut self.session {
            points::leave(&mut session.feeds, points);
        }
    }

    fn plan(&self, points: &[PointKey]) -> Vec<Request> {
        self.points.plan(points)
    }

    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        for request in requests {
            self.read_resource(request, into).await?;
        }
        Ok(())
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        for write in writes {
            // What nobody wants any more stays as it is: the protocol has no word for it.
            if write.value == Value::Null {
                continue;
            }
            let (resource, payload) = match self.points.payload(write) {
                Ok(written) => written,
                Err(fault) => {
                    into.write_err(write.key, fault);
                    continue;
                }
            };
            let device = self.session()?.device.clone();
            match device.run(&resource, Some(payload)).await {
                Ok(_) => {}
                Err(error @ CallError::Offline) => return Err(OpError::Session(fault(&error))),
                Err(error) => into.write_err(write.key, fault(&error)),
            }
        }
        Ok(())
    }

    async fn watch(&mut self, keys: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        self.session()?;
        let Self { points, session: Some(session), .. } = self else { return Ok(()) };
        points.watch(keys, &session.device, &mut session.feeds, into);
        Ok(())
    }

    async fn unwatch(&mut self, points: &[PointKey], _: &mut Readings) -> Result<(), OpError> {
        if let Some(session) = &mut self.session {
            points::leave(&mut session.feeds, points);
        }
        Ok(())
    }

    async fn learn(&mut self, at: Option<&LearnPath>) -> Result<Vec<LearnRow>, OpError> {
        let device = self.session()?.device.clone();
        learn::learn(&device, at).await
    }

    /// Values of streams, and the end of the device's session.
    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        self.session()?;
        let Self { points, session: Some(session), .. } = self else { return Ok(()) };
        let Session { device, number, feeds } = session;
        let told = poll_fn(|cx| {
            let mut any = false;
            for feed in feeds.iter_mut() {
                while let Poll::Ready(update) = feed.values.poll_next(cx) {
                    any = true;
                    take(points, feed, &update, into);
                }
            }
            if any { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            () = told => Ok(()),
            _ = device.changed_from(Some(*number)) => {
                Err(OpError::Session(Fault::down("the device has left")))
            }
        }
    }
}

/// What a stream has told of its points. A value with a time is one that the device kept while it was
/// away: it is of the past, and the present one follows.
fn take(points: &Points, feed: &Feed, update: &Update, into: &mut Readings) {
    match update {
        Update::Value(sample) => {
            let Some(millis) = sample.time_ms else {
                return feed.points.iter().for_each(|key| points.give(*key, sample, into));
            };
            let at = i64::try_from(millis).ok().map(Timestamp::from_millisecond);
            let at = at.and_then(Result::ok);
            feed.points.iter().for_each(|key| points.give_past(*key, sample, at, into));
        }
        Update::Ended => {
            let fault = Fault::permanent("the device does not stream this resource");
            feed.points.iter().for_each(|key| into.unwatchable(*key, fault.clone()));
        }
    }
}

fn fault(error: &CallError) -> Fault {
    match error {
        CallError::Refused(answer) if answer.code() == Some(404) => {
            Fault::permanent("the device has no such resource")
        }
        CallError::Unwritable(_) => Fault::permanent(error),
        _ => Fault::down(error),
    }
}
