//! A device in Rust: it offers resources to an IOTMP server and streams them as it is asked.
//!
//! ```text
//! iotmp_device [--server HOST:PORT] [--tls] [--ca FILE] [--user U] [--device D] [--credential C]
//! ```
//!
//! `temperature` is read, `led` is written, `double` takes a number and gives one, `reboot` does
//! something. The temperature is told whenever it changes by more than a tenth of a degree; without a
//! connection it is kept with its time, and told later. The credential is better given in the
//! environment, as `IOTMP_CREDENTIAL`, since others see command lines.
//!
//! Try it beside `cargo run --example iotmp_server`: `cargo run --example iotmp_device`

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lexopt::prelude::*;
use pointstream::iotmp::io::{Client, Handle, Status, Target};
use pointstream::iotmp::session::Credentials;
use pointstream::net::{ClientTls, Endpoint};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "iotmp_device: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (target, credentials) = arguments()?;
    let millidegrees = Arc::new(AtomicI64::new(21_000));
    let led = Arc::new(std::sync::Mutex::new(false));
    let (reading, lamp) = (Arc::clone(&millidegrees), Arc::clone(&led));
    let client = Client::new(target, credentials)
        .output(
            "temperature",
            move || json!({ "celsius": reading.load(Ordering::Relaxed) as f64 / 1000.0 }),
        )
        .input("led", move |on: bool| {
            *lamp.lock().unwrap_or_else(PoisonError::into_inner) = on;
            say(&json!({ "led": on }));
        })
        .both("double", |number: f64| Ok(number * 2.0))
        .action("reboot", || say(&json!({ "reboot": true })));
    let handle = client.handle();
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    tokio::select! {
        () = client.run(stop) => {}
        () = weather(&handle, &millidegrees) => {}
        () = tell_status(&handle) => {}
    }
    Ok(())
}

/// A temperature that goes up and down, and is told when it has changed enough.
async fn weather(handle: &Handle, millidegrees: &AtomicI64) {
    let (mut told, mut step) = (millidegrees.load(Ordering::Relaxed), 0i64);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        step += 1;
        // A triangle of two degrees in a minute.
        let now = 21_000 + 33 * (60 - (step % 120 - 60).abs());
        millidegrees.store(now, Ordering::Relaxed);
        if now.abs_diff(told) > 100 {
            told = now;
            if handle.raise("temperature").await.is_err() {
                return;
            }
        }
    }
}

async fn tell_status(handle: &Handle) {
    let mut status = handle.status();
    loop {
        let line = match &*status.borrow_and_update() {
            Status::Waiting { error, delay } => {
                json!({ "waiting_s": delay.as_secs_f64(), "error": error })
            }
            status => json!({ "status": format!("{status:?}").to_lowercase() }),
        };
        say(&line);
        if status.changed().await.is_err() {
            return;
        }
    }
}

fn say(line: &serde_json::Value) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn arguments() -> Result<(Target, Credentials), Box<dyn Error>> {
    let (mut server, mut tls, mut ca) = ("127.0.0.1:25204".to_owned(), false, None);
    let (mut user, mut device) = ("user".to_owned(), "device".to_owned());
    let mut credential = std::env::var("IOTMP_CREDENTIAL").unwrap_or_else(|_| "secret".to_owned());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("server") => server = parser.value()?.string()?,
            Long("tls") => tls = true,
            Long("ca") => ca = Some(parser.value()?.string()?),
            Long("user") => user = parser.value()?.string()?,
            Long("device") => device = parser.value()?.string()?,
            Long("credential") => credential = parser.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let port = if tls { 25206 } else { 25204 };
    let endpoint = Endpoint::with_default_port(&server, port)?;
    let target = if tls || ca.is_some() {
        let mut builder = ClientTls::builder();
        if let Some(path) = ca {
            builder = builder.ca_pem(&std::fs::read(path)?);
        }
        Target::Tls(endpoint, builder.build()?)
    } else {
        Target::Tcp(endpoint)
    };
    Ok((target, Credentials::new(user, device, credential)))
}
