use core::future::Future;
use core::time::Duration;
use std::io;

use pointstream_net::{Stream, dial, dial_udp};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::{Config, Target};

/// How a [`Modbus`](crate::Modbus) reaches its device.
///
/// [`Wire`] is the ordinary way. Another is for streams that come from elsewhere: a tunnel, a
/// device in the same process, a script of faults.
pub trait Dial: Send + 'static {
    /// What is dialled.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream to the device. Dropped when the connect time-out is over.
    fn dial(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Dials the target of a [`Config`].
#[derive(Clone, Debug)]
pub struct Wire {
    target: Target,
    timeout: Duration,
}

impl Wire {
    pub(crate) fn new(config: &Config) -> Self {
        Self { target: config.target.clone(), timeout: config.connect_timeout }
    }
}

impl Dial for Wire {
    type Stream = Stream;

    async fn dial(&mut self) -> io::Result<Stream> {
        match &self.target {
            Target::Tcp(endpoint) | Target::RtuTcp(endpoint) => dial(endpoint, self.timeout).await,
            Target::Udp(endpoint) => dial_udp(endpoint, self.timeout).await,
            #[cfg(feature = "serial")]
            Target::Rtu(port) => port.open(),
            #[cfg(not(feature = "serial"))]
            Target::Rtu(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this build has no serial ports: it lacks the feature `serial`",
            )),
        }
    }
}
