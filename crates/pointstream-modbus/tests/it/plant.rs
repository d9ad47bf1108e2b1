//! A device on a scripted stream that answers from a map and keeps a log.

use std::collections::BTreeSet;

use pointstream_modbus::Exception;
use pointstream_modbus::mbap::{self, Decoder, HEADER_LEN};
use pointstream_modbus::pdu::{Bits, Request, Response, Words};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::script::Peer;

/// Holds at each wire address, as register and as bit, something that tells where it was read.
#[derive(Debug, Default)]
pub(crate) struct Plant {
    /// What does not exist.
    pub(crate) holes: BTreeSet<u16>,
    /// How many registers a request may have, if limited.
    pub(crate) count_max: Option<u16>,
    /// The ranges that were read.
    pub(crate) log: Vec<(u16, u16)>,
}

impl Plant {
    pub(crate) fn register(address: u16) -> u16 {
        address.wrapping_mul(3).wrapping_add(1)
    }

    pub(crate) fn bit(address: u16) -> bool {
        (address ^ address >> 2) & 1 == 1
    }

    /// The ranges read since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<(u16, u16)> {
        std::mem::take(&mut self.log)
    }

    /// Answers until the stream ends.
    pub(crate) async fn serve(&mut self, peer: &mut Peer) {
        let mut decoder = Decoder::new();
        let mut buffer = [0; 300];
        loop {
            let len = peer.0.read(&mut buffer).await.unwrap();
            if len == 0 {
                return;
            }
            let mut input = &buffer[..len];
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                let mut out = Vec::new();
                let (header, request) = (frame.header, Request::decode(frame.pdu).unwrap());
                mbap::encode(header, &mut out, |out| self.answer(&request, out)).unwrap();
                assert!(out.len() > HEADER_LEN);
                peer.0.write_all(&out).await.unwrap();
            }
        }
    }

    fn answer(
        &mut self,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), pointstream_modbus::PduError> {
        let &Request::Read { table, start, count } = request else { panic!("{request:?}") };
        self.log.push((start, count));
        let function = table.read_function();
        let refuse = |exception| Response::exception(function.code(), exception);
        let range = start..start + count;
        let mut buffer = [0; 250];
        let response = if self.holes.iter().any(|hole| range.contains(hole)) {
            refuse(Exception::ILLEGAL_DATA_ADDRESS)
        } else if self.count_max.is_some_and(|max| count > max) {
            refuse(Exception::ILLEGAL_DATA_VALUE)
        } else if table.is_bits() {
            let bits = Bits::pack(range.map(Self::bit), &mut buffer).unwrap();
            Response::Bits { function, bits }
        } else {
            let words: Vec<u16> = range.map(Self::register).collect();
            Response::Words { function, words: Words::pack(&words, &mut buffer).unwrap() }
        };
        response.encode(out)
    }
}
