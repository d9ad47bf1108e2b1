use core::num::NonZeroU32;
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
    /// Inverts one bit in each so many bytes of the answers, counted over the connection; another bit
    /// each time.
    Corrupt(NonZeroU32),
    /// Resets open connections and every new one, rather than closing them.
    Reset,
    /// Passes nothing on in either direction and holds every connection open, also those that the
    /// server has closed: the network between them is gone.
    HalfOpen,
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
    match *weather.borrow() {
        Weather::Cut => return Ok(()),
        Weather::Reset => return client.set_zero_linger(),
        _ => {}
    }
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut request, mut answer) = ([0; 4096], [0; 4096]);
    let mut passed = 0;
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Cut => return Ok(()),
            // What is closed so says goodbye to nobody.
            Weather::Reset => return client.set_zero_linger(),
            Weather::HalfOpen => {
                if weather.changed().await.is_err() {
                    return Ok(());
                }
                continue;
            }
            _ => {}
        }
        tokio::select! {
            len = client.read(&mut request) => {
                let len = len?;
                if len == 0 {
                    return Ok(());
                }
                if now == Weather::Garbage {
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
                let answer = &mut answer[..len];
                // The weather may have changed while the answer was on its way.
                let now = *weather.borrow();
                if let Weather::Corrupt(each) = now {
                    corrupt(answer, passed, each);
                }
                passed += len as u64;
                pass(&mut client, answer, now).await?;
            }
            changed = weather.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Inverts a bit in each so many bytes, of which `passed` went before these.
fn corrupt(bytes: &mut [u8], passed: u64, each: NonZeroU32) {
    let each = u64::from(each.get());
    for (place, byte) in (passed + 1..).zip(bytes) {
        if place % each == 0 {
            *byte ^= 1 << ((place / each) % 8);
        }
    }
}

async fn pass(client: &mut TcpStream, bytes: &[u8], weather: Weather) -> io::Result<()> {
    match weather {
        Weather::Fair | Weather::Garbage | Weather::Corrupt(_) => client.write_all(bytes).await,
        Weather::Cut | Weather::Swallow | Weather::Reset | Weather::HalfOpen => Ok(()),
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

    #[tokio::test]
    async fn a_reset_is_none_of_an_orderly_end_and_corruption_is_where_it_was_asked_for() {
        let (addr, _tasks) = echo().await;
        let proxy = Proxy::start(addr).await.unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        proxy.set(Weather::Corrupt(NonZeroU32::new(3).unwrap()));
        let mut answer = [0; 4];
        for expected in [[0, 0, 2, 0], [0, 4, 0, 0], [8, 0, 0, 16]] {
            client.write_all(&[0; 4]).await.unwrap();
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, expected);
        }
        proxy.set(Weather::Reset);
        let error = client.read(&mut answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn half_open_holds_everything_back_and_lets_it_go_in_better_weather() {
        let (addr, _tasks) = echo().await;
        let proxy = Proxy::start(addr).await.unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        proxy.set(Weather::HalfOpen);
        client.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        tokio::select! {
            biased;
            _ = client.read(&mut answer) => panic!("something came through"),
            () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
        }
        proxy.set(Weather::Fair);
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    }
}
