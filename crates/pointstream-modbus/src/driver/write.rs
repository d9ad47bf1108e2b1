//! Writing: which function takes which value.

use pointstream_conn::Write;
use pointstream_point::{Fault, Value};

use crate::address::Address;
use crate::block::Span;
use crate::data::{Encoding, Scalar};
use crate::driver::bus::{Purpose, Turn};
use crate::driver::failure::Failure;
use crate::driver::wire::Dial;
use crate::driver::{Modbus, permanent, read_of};
use crate::error::{AnswerError, Exception, PduError};
use crate::pdu::{Bits, Request, Response, Words};
use crate::points::span;
use crate::session::RequestError;

impl<D: Dial> Modbus<D> {
    /// Writes one value; what refused it and let the session stand is the inner error.
    pub(super) async fn write_one(&mut self, write: &Write) -> Result<Result<(), Fault>, Failure> {
        let address = match self.points.write(write.key) {
            Ok(address) => address.clone(),
            Err(fault) => return Ok(Err(fault)),
        };
        let scalar = match write.value {
            Value::Null => return Ok(Ok(())),
            Value::Str(ref text) if address.is_text() => {
                return self.write_text(&address, text).await;
            }
            Value::Bool(bit) => Scalar::Bool(bit),
            Value::Number(number, _) => Scalar::Float(number),
            ref other => {
                let kind = other.kind_name();
                return Ok(Err(Fault::permanent(format_args!(
                    "{kind} is not what is written to {address}"
                ))));
            }
        };
        let words = match address.data.encode(address.unscaled(scalar)) {
            Ok(words) => words,
            Err(error) => {
                let number = scalar.to_f64();
                return Ok(Err(Fault::permanent(format_args!("cannot write {number}: {error}"))));
            }
        };
        let at = span(&address);
        let written = match address.data.encoding {
            _ if at.table.is_bits() => self.write_coil(at.start, scalar).await,
            Encoding::Bit(position) => {
                self.write_bit(at, 1 << position, scalar == Scalar::Bool(true)).await
            }
            _ => self.write_words(at.start, words.as_slice()).await,
        };
        told(written, at)
    }

    async fn write_text(
        &mut self,
        address: &Address,
        text: &str,
    ) -> Result<Result<(), Fault>, Failure> {
        let mut words = Vec::new();
        if let Err(error) = address.data.encode_text(text, &mut words) {
            return Ok(Err(permanent(error)));
        }
        let at = span(address);
        told(self.write_words(at.start, &words).await, at)
    }

    /// Changes one bit of a register: by function 22 where the device knows it, else by reading and
    /// writing the register. Nobody else on the line comes between.
    async fn write_bit(&mut self, at: Span, mask: u16, on: bool) -> Result<(), Failure> {
        let bit = if on { mask } else { 0 };
        let mut turn = self.bus.turn(Purpose::Write).await;
        if self.masks {
            let request = Request::MaskWrite { address: at.start, and: !mask, or: bit };
            match self.transact_in(&mut turn, &request).await {
                // Some devices know it not and do not say so.
                Err(Failure::Exception(Exception::ILLEGAL_FUNCTION) | Failure::TimedOut(_)) => {
                    self.masks = false;
                }
                other => return other.map(drop),
            }
        }
        let answer = self.transact_in(&mut turn, &read_of(at)).await?;
        let held = match answer.response().map_err(AnswerError::Pdu)? {
            Response::Words { words, .. } => {
                words.get(0).ok_or(AnswerError::Pdu(PduError::Count))?
            }
            _ => return Err(Failure::Answer(AnswerError::Pdu(PduError::Count))),
        };
        self.write_words_in(&mut turn, at.start, &[held & !mask | bit]).await
    }

    async fn write_coil(&mut self, address: u16, value: Scalar) -> Result<(), Failure> {
        let value = value == Scalar::Bool(true);
        let byte = [u8::from(value)];
        let request = match Bits::new(&byte, 1) {
            Some(values) if self.config.force_write_multiple => {
                Request::WriteCoils { start: address, values }
            }
            _ => Request::WriteCoil { address, value },
        };
        self.transact(Purpose::Write, &request).await.map(drop)
    }

    async fn write_words(&mut self, start: u16, words: &[u16]) -> Result<(), Failure> {
        let mut turn = self.bus.turn(Purpose::Write).await;
        self.write_words_in(&mut turn, start, words).await
    }

    async fn write_words_in(
        &mut self,
        turn: &mut Turn<D>,
        start: u16,
        words: &[u16],
    ) -> Result<(), Failure> {
        let mut buffer = [0; 250];
        let request = match (words, Words::pack(words, &mut buffer)) {
            (&[value], _) if !self.config.force_write_multiple => {
                Request::WriteRegister { address: start, value }
            }
            (_, Some(values)) => Request::WriteRegisters { start, values },
            (_, None) => return Err(Failure::Request(RequestError::Pdu(PduError::Count))),
        };
        self.transact_in(turn, &request).await.map(drop)
    }
}

/// What failed and ends the session stays outside.
fn told(written: Result<(), Failure>, at: Span) -> Result<Result<(), Fault>, Failure> {
    match written {
        Ok(()) => Ok(Ok(())),
        Err(failure) if failure.ends_session() => Err(failure),
        Err(failure) => Ok(Err(failure.of_block(at))),
    }
}
