//! A server for IOTMP devices. Each event is a line of JSON.
//!
//! ```text
//! iotmp_server [--listen ADDR] [--tls ADDR --cert FILE --key FILE] [--ws ADDR] [--http ADDR]
//!              [--user U --device D --credential C | --accounts FILE] [--token T]
//!              [--store FILE] [--endpoint NAME=URL]...
//! ```
//!
//! It lets in one device, or those of a file (`user device credential` a line, chmod 600). Devices may
//! keep properties, in a file if there is a `--store`, write buckets, which are shown as events, and call
//! endpoints. The HTTP side reads, writes and follows resources:
//!
//! ```text
//! curl http://127.0.0.1:8204/v3/users/user/devices/device/resources/temperature
//! curl -d true http://127.0.0.1:8204/v3/users/user/devices/device/resources/led
//! curl -H 'Accept: text/event-stream' 'http://127.0.0.1:8204/v3/users/user/devices/device/resources/temperature?interval=1'
//! ```
//!
//! Try it: `cargo run --example iotmp_server`, and beside it `cargo run --example iotmp_device`

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::prelude::*;
use pointstream::StoredProperties;
use pointstream::iotmp::Payload;
use pointstream::iotmp::server::http::{Face, Options as HttpOptions};
use pointstream::iotmp::server::{
    Accounts, DeviceId, Endpoints, Event, HttpEndpoint, Options, Server, ServiceError, Services,
};
use pointstream::net::{Listener, ServerTls};
use pointstream::store::Store;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "iotmp_server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let mut server = Server::new(Options::default());
    let listen = server.listen(&*arguments.listen).await?;
    let mut ready = json!({ "event": "listening", "iotmp": listen.to_string() });
    if let Some((address, tls)) = arguments.tls {
        ready["tls"] = server.listen_tls(&*address, tls).await?.to_string().into();
    }
    if let Some(address) = arguments.ws {
        ready["ws"] = server.listen_ws(&*address).await?.to_string().into();
    }
    let http = Listener::bind(&*arguments.http, 1024).await?;
    ready["http"] = http.local_addr()?.to_string().into();
    let mut options = HttpOptions::default();
    if let Some(token) = arguments.token {
        options = options.with_token(token);
    }
    let face = Face::new(server.devices(), options);
    let events = server.devices().events();
    writeln!(io::stdout(), "{ready}")?;
    let (stop, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
    };
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
        let _ = stop.send(true);
    };
    let (served, ..) = tokio::join!(
        face.serve(http, until_stopped()),
        server.run(arguments.accounts, arguments.plant, until_stopped()),
        interrupt,
        async {
            tokio::select! {
                () = tell(events) => {}
                () = until_stopped() => {}
            }
        },
    );
    Ok(served?)
}

/// Prints what happens.
async fn tell(mut events: Receiver<Event>) {
    loop {
        let line = match events.recv().await {
            Ok(event) => serde_json::to_string(&event).unwrap_or_default(),
            Err(RecvError::Lagged(missed)) => {
                json!({ "event": "missed", "count": missed }).to_string()
            }
            Err(RecvError::Closed) => return,
        };
        // Whoever reads may have gone.
        if writeln!(io::stdout(), "{line}").is_err() {
            return;
        }
    }
}

/// Properties in a file, buckets that are only shown, and endpoints.
struct Plant {
    properties: Option<StoredProperties>,
    endpoints: Endpoints,
}

impl Services for Plant {
    async fn read_property(
        &self,
        id: &DeviceId,
        property: &str,
    ) -> Result<Option<Payload>, ServiceError> {
        match &self.properties {
            Some(properties) => properties.read(id, property).await,
            None => Err(ServiceError::NotFound),
        }
    }

    async fn set_property(
        &self,
        id: &DeviceId,
        property: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        match &self.properties {
            Some(properties) => properties.set(id, property, value).await,
            None => Err(ServiceError::NotFound),
        }
    }

    /// The event that is printed of it is all that is kept.
    async fn write_bucket(&self, _: &DeviceId, _: &str, _: &Payload) -> Result<(), ServiceError> {
        Ok(())
    }

    async fn call_endpoint(
        &self,
        id: &DeviceId,
        endpoint: &str,
        value: Option<&Payload>,
    ) -> Result<Option<Payload>, ServiceError> {
        self.endpoints.call(id, endpoint, value).await
    }
}

struct Arguments {
    listen: String,
    tls: Option<(String, ServerTls)>,
    ws: Option<String>,
    http: String,
    accounts: Accounts,
    token: Option<String>,
    plant: Plant,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let (mut listen, mut http) = ("127.0.0.1:25204".to_owned(), "127.0.0.1:8204".to_owned());
        let (mut tls, mut cert, mut key, mut ws) = (None, None, None, None);
        let (mut user, mut device) = ("user".to_owned(), "device".to_owned());
        let (mut credential, mut accounts, mut token) = ("secret".to_owned(), None, None);
        let mut plant = Plant { properties: None, endpoints: Endpoints::new() };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            let Long(name) = argument else { return Err(argument.unexpected().into()) };
            let name = name.to_owned();
            let value = parser.value()?.string()?;
            match name.as_str() {
                "listen" => listen = value,
                "tls" => tls = Some(value),
                "cert" => cert = Some(std::fs::read(value)?),
                "key" => key = Some(std::fs::read(value)?),
                "ws" => ws = Some(value),
                "http" => http = value,
                "user" => user = value,
                "device" => device = value,
                "credential" => credential = value,
                "accounts" => accounts = Some(Accounts::load(value)?),
                "token" => token = Some(value),
                "store" => {
                    let (store, _) = Store::open(value.as_ref())?;
                    plant.properties = Some(StoredProperties::new(Arc::new(store)));
                }
                "endpoint" => {
                    let (name, url) = value.split_once('=').ok_or("--endpoint needs NAME=URL")?;
                    plant.endpoints = plant.endpoints.with(name, HttpEndpoint::new(url)?);
                }
                _ => return Err(format!("unknown option --{name}").into()),
            }
        }
        let tls = match (tls, cert, key) {
            (Some(address), Some(cert), Some(key)) => {
                Some((address, ServerTls::builder(&cert, &key).build()?))
            }
            (None, None, None) => None,
            _ => return Err("--tls, --cert and --key go together".into()),
        };
        let accounts =
            accounts.unwrap_or_else(|| Accounts::new().with(&user, &device, &credential));
        Ok(Self { listen, tls, ws, http, accounts, token, plant })
    }
}
