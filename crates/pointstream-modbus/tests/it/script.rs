//! Devices by script: in-memory streams whose other end the test plays, in paused time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use pointstream_conn::{Binding, Driver, Reading, Readings};
use pointstream_modbus::{Config, Dial, Modbus, Target};
use pointstream_point::{Kind, PointKey, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// What each dial of the driver meets, in order; nothing left means refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network(Arc<Mutex<VecDeque<Meets>>>);

#[derive(Debug)]
enum Meets {
    Nothing,
    Stream(DuplexStream),
}

/// The device's end of a stream.
#[derive(Debug)]
pub(crate) struct Peer(pub(crate) DuplexStream);

/// A driver whose dials meet a scripted network.
pub(crate) struct Client {
    pub(crate) driver: Modbus<Network>,
    points: Vec<PointKey>,
    pub(crate) into: Readings,
}

impl Network {
    /// The next dial swallows packets.
    pub(crate) fn hang(&self) {
        self.0.lock().unwrap().push_back(Meets::Nothing);
    }

    /// The next dial connects to the peer.
    pub(crate) fn accept(&self) -> Peer {
        self.accept_with(4096)
    }

    /// The next dial connects to a peer that takes so many bytes before they are read.
    pub(crate) fn accept_with(&self, buffered: usize) -> Peer {
        let (ours, theirs) = duplex(buffered);
        self.0.lock().unwrap().push_back(Meets::Stream(ours));
        Peer(theirs)
    }

    /// How many dials are still expected.
    pub(crate) fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Dial for Network {
    type Stream = DuplexStream;

    async fn dial(&mut self) -> io::Result<DuplexStream> {
        let meets = self.0.lock().unwrap().pop_front();
        match meets {
            Some(Meets::Stream(stream)) => Ok(stream),
            Some(Meets::Nothing) => std::future::pending().await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Peer {
    /// Waits for the next request, which must be this one, and gives its transaction.
    pub(crate) async fn asked(&mut self, pdu: &str) -> u16 {
        let mut header = [0; 7];
        self.0.read_exact(&mut header).await.unwrap();
        let [t1, t2, 0, 0, l1, l2, 1] = header else { panic!("header {header:02x?}") };
        let mut bytes = vec![0; usize::from(u16::from_be_bytes([l1, l2])) - 1];
        self.0.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, hex(pdu), "asked {bytes:02x?} rather than {pdu}");
        u16::from_be_bytes([t1, t2])
    }

    /// Answers a transaction for unit 1.
    pub(crate) async fn answer(&mut self, transaction: u16, pdu: &str) {
        self.0.write_all(&frame(transaction, 1, pdu)).await.unwrap();
    }

    /// Waits for this request and answers it.
    pub(crate) async fn play(&mut self, asked: &str, answer: &str) {
        let transaction = self.asked(asked).await;
        self.answer(transaction, answer).await;
    }

    /// Sees that the driver closed the stream and asked nothing before.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.0.read(&mut [0]).await.unwrap(), 0, "asked instead of closing");
    }
}

impl Client {
    /// A driver of unit 1 with points of `(kind, cur, write)`, whose addresses must all be good.
    pub(crate) fn new(
        network: &Network,
        points: &[(Kind, &str, &str)],
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::new("tcp://plc".parse::<Target>().unwrap(), 1);
        configure(&mut config);
        let mut driver = Modbus::with_dial(config, network.clone()).unwrap();
        let mut into = Readings::new();
        let mut bindings = Vec::new();
        for (slot, &(kind, cur, write)) in (0..).zip(points) {
            let mut binding = Binding::new(key(slot), kind);
            binding.cur = (!cur.is_empty()).then(|| cur.into());
            binding.write = (!write.is_empty()).then(|| write.into());
            bindings.push(binding);
        }
        driver.bind(&bindings, &mut into);
        assert!(into.is_empty(), "{into:?}");
        Self { driver, points: bindings.iter().map(|binding| binding.key).collect(), into }
    }

    pub(crate) async fn open(&mut self) -> Result<(), String> {
        self.driver.open(&mut self.into).await.map_err(|error| said(&error))
    }

    pub(crate) async fn ping(&mut self) -> Result<(), String> {
        self.driver.ping(&mut self.into).await.map(drop).map_err(|error| said(&error))
    }

    /// Reads all points and gives what each one has, in the order of their slots.
    pub(crate) async fn read(&mut self) -> Result<Vec<Result<Value, String>>, String> {
        let requests = self.driver.plan(&self.points);
        let result = self.driver.read(&requests, &mut self.into).await;
        let mut outcomes: Vec<_> = self
            .into
            .drain()
            .map(|reading| match reading {
                Reading::Cur(key, outcome) => {
                    (key.slot, outcome.map_err(|fault| format!("{}: {fault}", fault.status())))
                }
                other => panic!("not a reading: {other:?}"),
            })
            .collect();
        outcomes.sort_by_key(|(slot, _)| *slot);
        let slots: Vec<u32> = outcomes.iter().map(|(slot, _)| *slot).collect();
        assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "two outcomes: {slots:?}");
        result.map_err(|error| said(&error))?;
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Writes values to points by slot and gives the refusals.
    pub(crate) async fn write(&mut self, values: &[(u32, Value)]) -> Result<Vec<String>, String> {
        let writes: Vec<_> = values
            .iter()
            .map(|(slot, value)| pointstream_conn::Write::new(key(*slot), value.clone()))
            .collect();
        let result = self.driver.write(&writes, &mut self.into).await;
        let refusals = self
            .into
            .drain()
            .map(|reading| match reading {
                Reading::WriteErr(key, fault) => {
                    format!("{} {}: {fault}", key.slot, fault.status())
                }
                other => panic!("not a refusal: {other:?}"),
            })
            .collect();
        result.map(|()| refusals).map_err(|error| said(&error))
    }
}

pub(crate) fn key(slot: u32) -> PointKey {
    PointKey { shard: 0, slot, generation: 0 }
}

pub(crate) fn numbers<const N: usize>(numbers: [f64; N]) -> Vec<Result<Value, String>> {
    numbers.iter().map(|&number| Ok(Value::number(number))).collect()
}

/// A frame with this protocol data unit.
pub(crate) fn frame(transaction: u16, unit: u8, pdu: &str) -> Vec<u8> {
    let pdu = hex(pdu);
    let mut bytes = transaction.to_be_bytes().to_vec();
    bytes.extend([0, 0, 0, pdu.len() as u8 + 1, unit]);
    bytes.extend(pdu);
    bytes
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn said(error: &pointstream_conn::OpError) -> String {
    let whose = match error {
        pointstream_conn::OpError::Session(_) => "session",
        pointstream_conn::OpError::Refused(_) => "refused",
        _ => "other",
    };
    format!("{whose} {}: {error}", error.fault().status())
}
