//! What IOTMP costs, beside JSON, CBOR and MessagePack. See run.sh.

mod codec;
mod idle;
mod serving;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        // The other ends of the measurement of idle devices.
        Some("devices") => {
            let port = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
            idle::devices(port);
        }
        Some("strangers") => {
            let port = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
            idle::strangers(port);
        }
        Some("codec") => codec::table(),
        count => {
            let count = count.and_then(|count| count.parse().ok()).unwrap_or(15_000);
            codec::table();
            serving::table();
            idle::table(count);
        }
    }
}
