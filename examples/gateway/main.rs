//! The gateway as a program: devices on one side, a browser on the other.
//!
//! `cargo run --release --example gateway` brings a simulated plant along and serves it on
//! <http://127.0.0.1:8080/>; `--config gateway.toml` reads devices of your own.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use pointstream::conn::Registry;
use pointstream::modbus::{self, Server};
use pointstream::mqtt;
use pointstream::{Config, ConfigFile, Gateway, IotmpServices};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

mod args;
mod plant;
mod station;
mod store;

use args::{Args, Task};
use plant::{DEVICES, Plant};

/// The configuration of the simulated plant, which is also the commented sample.
const SAMPLE: &str = include_str!("../gateway.toml");

fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => return fail(&format!("{error}; --help lists the options")),
    };
    match args.task {
        Task::Help => print(args::HELP),
        Task::Version => print(concat!("gateway ", env!("CARGO_PKG_VERSION"))),
        Task::PrintConfig => print(SAMPLE.trim_end()),
        Task::CheckStore(ref path) => said(store::check(path)),
        Task::RepairStore(ref path) => said(store::repair(path)),
        Task::Check | Task::Run => {
            let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .init();
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(args))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string()),
            }
        }
    }
}

/// Prints what was found; something that is wrong is a failure.
fn said(found: Result<String, String>) -> ExitCode {
    found.map_or_else(|error| fail(&error), |text| print(&text))
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut simulator = Simulator::new();
    let mut source = Source::new(&args);
    let mut registry = Registry::new();
    let services = IotmpServices::register(&mut registry);
    modbus::register(&mut registry);
    let sessions = mqtt::register(&mut registry);
    let mut gateway = Gateway::new(registry).with_iotmp(services).with_mqtt_sessions(sessions);
    if args.task == Task::Check {
        return check(&gateway, &source.read(&simulator)?);
    }
    // Each is listened to from here on, so that none ends the program or is lost while it starts
    // or while a configuration is applied.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    if !args.no_simulator {
        simulator.start(source.text()?.as_deref()).await?;
    } else if args.config.is_none() {
        return Err("without the simulator there is nothing to read: name a --config".into());
    }
    {
        // Let go at once: that of a large site takes megabytes.
        let config = source.read(&simulator)?;
        let applied = gateway.apply(config.clone()).await;
        applied.map_err(|error| config.locate(&error).to_string())?;
    }
    let http = gateway.http().await?;
    let addr = http.local_addr();
    greet(&gateway, &args, addr);
    let (stop, mut stopped) = watch::channel(false);
    let mut serving = pin!(http.run(async move {
        // An error says that there is nobody left to stop for.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    loop {
        tokio::select! {
            () = &mut serving => return Err("the HTTP server has ended".into()),
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => reload(&mut gateway, &mut source, &simulator).await,
            () = source.changed() => reload(&mut gateway, &mut source, &simulator).await,
        }
    }
    stop.send_replace(true);
    tokio::join!(serving, gateway.shutdown());
    tracing::info!("Ended.");
    Ok(())
}

/// Applies what has changed in the configuration; one that has a problem is refused whole.
async fn reload(gateway: &mut Gateway, source: &mut Source, simulator: &Simulator) {
    let config = match source.read(simulator) {
        Ok(config) => config,
        Err(error) => return tracing::error!("The configuration stays as it was: {error}"),
    };
    let (listen, old) = (config.listen().to_owned(), gateway.config());
    if listen != old.listen()
        || config.allowed_hosts != old.allowed_hosts
        || config.allowed_origins != old.allowed_origins
        || config.token_file != old.token_file
    {
        let text = "The listen address, allowed hosts and token file change at the next start.";
        tracing::warn!(listen, "{text}");
    }
    match gateway.apply(config.clone()).await {
        Ok(applied) => tracing::info!(
            added = ?applied.added,
            removed = ?applied.removed,
            replaced = ?applied.replaced,
            changed = ?applied.changed,
            "The configuration was applied."
        ),
        Err(error) => {
            tracing::error!("The configuration stays as it was: {}", config.locate(&error));
        }
    }
}

fn check(gateway: &Gateway, config: &Config) -> Result<(), Box<dyn Error>> {
    let faults = gateway.check(config).map_err(|error| config.locate(&error).to_string())?;
    if !faults.is_empty() {
        let lines = faults.iter().map(|(id, fault)| config.locate_point(id, fault).to_string());
        return Err(lines.collect::<Vec<_>>().join("\n").into());
    }
    let points: usize = config.connectors.iter().map(|connector| connector.points.len()).sum();
    let connectors = config.connectors.len();
    say(&format!("The configuration is good: {connectors} connectors, {points} points."));
    Ok(())
}

fn greet(gateway: &Gateway, args: &Args, addr: std::net::SocketAddr) {
    let config = gateway.config();
    let from = args.config.as_deref().map_or_else(
        || "the simulated plant (--print-config shows how it is configured)".to_owned(),
        |path| path.display().to_string(),
    );
    say(&format!("Reading {from}:"));
    for connector in &config.connectors {
        let option = |name| connector.driver.get(name).and_then(|value| value.as_str());
        let uri = option("uri").or_else(|| option("listen")).unwrap_or_default();
        say(&format!("  {}  {}  {} points", connector.id, uri, connector.points.len()));
    }
    let topic = config.topics.first().map_or(Config::TOPIC_DEFAULT, |topic| topic.id.as_str());
    say(&format!("Console  http://{addr}/"));
    match gateway.token_file(addr) {
        None => say(&format!("Try      curl -N http://{addr}/v1/topics/{topic}")),
        Some(path) => {
            let path = path.display();
            say(&format!("Token    {path}"));
            let header = format!("-H \"Authorization: Bearer $(cat {path})\"");
            say(&format!("Try      curl -N {header} http://{addr}/v1/topics/{topic}"));
        }
    }
}

/// Where the configuration comes from.
struct Source {
    file: Option<ConfigFile>,
    listen: Option<String>,
}

impl Source {
    fn new(args: &Args) -> Self {
        Self { file: args.config.clone().map(ConfigFile::new), listen: args.listen.clone() }
    }

    fn read(&mut self, simulator: &Simulator) -> Result<Config, Box<dyn Error>> {
        let mut config = match &mut self.file {
            Some(file) => file.read()?,
            None => Config::parse(&simulator.addressed(SAMPLE), "gateway.toml", Path::new(""))?,
        };
        if let Some(listen) = &self.listen {
            config.listen = Some(listen.clone());
        }
        Ok(config)
    }

    /// The text of the configuration file; none for the embedded configuration.
    fn text(&self) -> Result<Option<String>, Box<dyn Error>> {
        let Some(file) = &self.file else { return Ok(None) };
        let unreadable = |error| format!("{}: {error}", file.path().display());
        Ok(Some(std::fs::read_to_string(file.path()).map_err(unreadable)?))
    }

    /// Waits until the file has changed; for ever if there is none.
    async fn changed(&self) {
        match &self.file {
            Some(file) => file.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// The simulated devices that are being served. They end when it is dropped.
struct Simulator {
    tasks: JoinSet<()>,
    /// The port that each device of the embedded configuration got instead of its own.
    ports: Vec<(u16, u16)>,
}

impl Simulator {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), ports: Vec::new() }
    }

    /// Serves the devices that the configuration names by their addresses, or all of them for the
    /// embedded one, which follows them to other ports where theirs are taken.
    async fn start(&mut self, config: Option<&str>) -> Result<(), Box<dyn Error>> {
        let plant = Plant::new();
        for device in &DEVICES {
            let address = format!("127.0.0.1:{}", device.port);
            if config.is_some_and(|text| !text.contains(&address)) {
                continue;
            }
            let (server, registers) = match plant.serve(device, false).await {
                Ok(served) => served,
                Err(_) if config.is_none() => plant.serve(device, true).await?,
                Err(error) => {
                    let name = device.name;
                    let hint = "--no-simulator leaves it out";
                    return Err(
                        format!("the simulated {name} on {address}: {error}; {hint}").into()
                    );
                }
            };
            self.ports.push((device.port, server.local_addr()?.port()));
            self.serve(server, registers);
        }
        self.tasks.spawn(plant.live());
        let listen = format!("127.0.0.1:{}", station::PORT);
        if config.is_none_or(|text| text.contains(&listen)) {
            // It connects to the gateway, which listens where the configuration says.
            let port = if config.is_none() { station::free_port()? } else { station::PORT };
            self.ports.push((station::PORT, port));
            self.tasks.spawn(async move {
                let _ = station::run(port).await;
            });
        }
        Ok(())
    }

    fn serve(&mut self, server: Server, registers: modbus::Registers) {
        self.tasks.spawn(server.run(registers, std::future::pending()));
    }

    /// A configuration with the ports that the devices really have.
    fn addressed(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (wanted, got)| {
            text.replace(&format!("127.0.0.1:{wanted}"), &format!("127.0.0.1:{got}"))
        })
    }
}

fn print(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

/// Says something. Whoever listened may have gone, which is no reason to end.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says why the program ends.
fn fail(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "gateway: {text}");
    ExitCode::FAILURE
}
