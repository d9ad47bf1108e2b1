use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A TCP proxy on loopback that treats the bytes as its weather says.
///
/// It ends when it is dropped, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    _task: JoinSet<()>,
}

/// What the proxy does to the bytes that come back from the server. A change of the weather holds
/// for open connections too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Weather {
    /// Passes everything on.
    #[default]
    Fair,
    /// Cuts open connections and every new one.
    Cut,
    /// Passes requests on and no answers.
    Swallow,
    /// Holds each answer back for this long.
    Delay(Duration),
    /// Passes answers on a byte at a time.
    Trickle,
    /// Answers every request with bytes that are no answer.
    Garbage,
}

impl Proxy {
    /// A proxy in front of `server`, on a free port of loopback.
    ///
    /// # Errors
    ///
    /// No port could be had.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (weather, _) = watch::channel(Weather::Fair);
        let weather = Arc::new(weather);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, server, Arc::clone(&weather)));
        Ok(Self { addr, weather, _task: task })
    }

    /// Where clients find it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, weather: Arc<watch::Sender<Weather>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let weather = weather.subscribe();
        connections.spawn(async move {
            // A connection that ends in an error has ended, which is all that matters here.
            let _ = serve(client, server, weather).await;
        });
    }
}

async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    if *weather.borrow() == Weather::Cut {
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut request, mut answer) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            len = client.read(&mut request) => {
                let len = len?;
                if len == 0 {
                    return Ok(());
                }
                if *weather.borrow() == Weather::Garbage {
                    client.write_all(&[0xa5; 64]).await?;
                } else {
                    server.write_all(&request[..len]).await?;
                }
            }
            len = server.read(&mut answer) => {
                let len = len?;
                if len == 0 {
                    return Ok(());
                }
                let now = *weather.borrow();
                pass(&mut client, &answer[..len], now).await?;
            }
            changed = weather.changed() => {
                if changed.is_err() || *weather.borrow() == Weather::Cut {
                    return Ok(());
                }
            }
        }
    }
}

async fn pass(client: &mut TcpStream, bytes: &[u8], weather: Weather) -> io::Result<()> {
    match weather {
        Weather::Fair | Weather::Garbage => client.write_all(bytes).await,
        Weather::Cut | Weather::Swallow => Ok(()),
        Weather::Delay(delay) => {
            tokio::time::sleep(delay).await;
            client.write_all(bytes).await
        }
        Weather::Trickle => {
            for byte in bytes {
                client.write_all(core::slice::from_ref(byte)).await?;
                client.flush().await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo server's address.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..len]).await.unwrap();
                }
            }
        });
        (addr, tasks)
    }

    #[tokio::test]
    async fn the_weather_holds_for_open_connections() {
        let (addr, _tasks) = echo().await;
        let proxy = Proxy::start(addr).await.unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let mut answer = [0; 4];
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        proxy.set(Weather::Garbage);
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [0xa5; 4]);
        proxy.set(Weather::Cut);
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        assert_eq!(client.read(&mut answer).await.unwrap_or(0), 0);
    }
}
