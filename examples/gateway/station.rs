//! The simulated weather station on the roof: an IOTMP device that connects to the gateway.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointstream::iotmp::io::{Client, Options, ResourceError, Target};
use pointstream::iotmp::session::Credentials;
use pointstream::net::EndpointError;
use pointstream::time::Seed;
use serde_json::json;

/// The port at which the gateway listens for it.
pub(crate) const PORT: u16 = 50_204;

/// How often the weather moves on.
const STEP: Duration = Duration::from_millis(500);
/// How soon it tries again to connect: the gateway is in the same process.
const RETRY: Duration = Duration::from_millis(500);

/// The port at which the gateway can listen: the usual one, or another if that is taken.
pub(crate) fn free_port() -> io::Result<u16> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port));
    Ok(bind(PORT).or_else(|_| bind(0))?.local_addr()?.port())
}

/// What the station measures and moves.
struct Weather {
    noise: Seed,
    celsius: f64,
    humidity: f64,
    wind: f64,
    rain: bool,
    awning: f64,
}

impl Weather {
    /// A number around zero.
    fn jitter(&mut self, spread: f64) -> f64 {
        ((self.noise.next_u64() >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * spread
    }

    /// Lets time pass. True if it began to rain, or stopped.
    fn step(&mut self) -> bool {
        self.celsius += (9.0 - self.celsius) * 0.01 + self.jitter(0.2);
        self.humidity = (self.humidity + self.jitter(1.0)).clamp(30.0, 100.0);
        self.wind = (self.wind + self.jitter(0.6)).clamp(0.0, 24.0);
        let changes = self.jitter(1.0) > 0.48;
        self.rain ^= changes;
        // It pulls the awning in by itself.
        if self.wind > 14.0 || self.rain {
            self.awning = 0.0;
        }
        changes
    }
}

/// The station, for ever.
pub(crate) async fn run(port: u16) -> Result<(), EndpointError> {
    let weather = Arc::new(Mutex::new(Weather {
        noise: Seed::new(0x5eed),
        celsius: 8.5,
        humidity: 71.0,
        wind: 3.5,
        rain: false,
        awning: 60.0,
    }));
    let shown = Arc::clone(&weather);
    let rain = Arc::clone(&weather);
    let (shown_awning, moved) = (Arc::clone(&weather), Arc::clone(&weather));
    let client = Client::new(
        Target::tcp("127.0.0.1", port)?,
        Credentials::new("plant", "station", "simulated"),
    )
    .with_options(Options::default().with_retry(RETRY, RETRY))
    .output("weather", move || {
        let weather = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let rounded = |number: f64| (number * 10.0).round() / 10.0;
        json!({
            "celsius": rounded(weather.celsius),
            "humidity": rounded(weather.humidity),
            "wind": { "ms": rounded(weather.wind) },
        })
    })
    .output("rain", move || rain.lock().unwrap_or_else(PoisonError::into_inner).rain)
    .output("awning", move || shown_awning.lock().unwrap_or_else(PoisonError::into_inner).awning)
    .try_input("awning/target", move |percent: f64| {
        let mut weather = moved.lock().unwrap_or_else(PoisonError::into_inner);
        if percent > 0.0 && weather.rain {
            return Err(ResourceError::new(409, "not while it rains"));
        }
        weather.awning = percent.clamp(0.0, 100.0);
        Ok(())
    });
    let handle = client.handle();
    let living = async move {
        let mut ticks = tokio::time::interval(STEP);
        let mut awning = 0.0;
        loop {
            ticks.tick().await;
            let (rain, moved) = {
                let mut weather = weather.lock().unwrap_or_else(PoisonError::into_inner);
                let rain = weather.step();
                let before = std::mem::replace(&mut awning, weather.awning);
                (rain, before.to_bits() != awning.to_bits())
            };
            for name in [("rain", rain), ("awning", moved)].iter().filter(|it| it.1).map(|it| it.0)
            {
                if handle.raise(name).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::join!(client.run(pending()), living);
    Ok(())
}
