//! What a server answers from.

use core::future::Future;

use crate::error::Exception;
use crate::pdu::{
    Bits, PDU_LEN_MAX, READ_BITS_MAX, READ_REGISTERS_MAX, Request, Response, WRITE_BITS_MAX,
    WRITE_REGISTERS_MAX, Words,
};
use crate::table::Table;

/// What a server answers from: the registers and bits of one or several units.
///
/// Called by several connections at once. The ranges asked for lie within the table and within the
/// protocol's limits, and are never empty. What is not implemented answers *Illegal Function*. A
/// unit that does not exist is best answered with [`Exception::GATEWAY_TARGET`].
///
/// An answer may take its time, but the connection waits for it, and its client has a time-out.
pub trait PointSource: Send + Sync + 'static {
    /// Reads coils or discrete inputs from `start` on into `bits`.
    fn read_bits(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        bits: &mut [bool],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        let _ = (unit, table, start, bits);
        async { Err(Exception::ILLEGAL_FUNCTION) }
    }

    /// Reads input or holding registers from `start` on into `registers`.
    fn read_registers(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        registers: &mut [u16],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        let _ = (unit, table, start, registers);
        async { Err(Exception::ILLEGAL_FUNCTION) }
    }

    /// Writes coils from `start` on: all of them or, with an exception, none.
    fn write_coils(
        &self,
        unit: u8,
        start: u16,
        values: &[bool],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        let _ = (unit, start, values);
        async { Err(Exception::ILLEGAL_FUNCTION) }
    }

    /// Writes holding registers from `start` on: all of them or, with an exception, none.
    fn write_registers(
        &self,
        unit: u8,
        start: u16,
        values: &[u16],
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        let _ = (unit, start, values);
        async { Err(Exception::ILLEGAL_FUNCTION) }
    }
}

/// Appends to `out` the protocol data unit that answers `pdu`.
pub(crate) async fn answer<P: PointSource>(source: &P, unit: u8, pdu: &[u8], out: &mut Vec<u8>) {
    let code = pdu.first().copied().unwrap_or(0);
    let result = match Request::decode(pdu) {
        Ok(request) => answer_request(source, unit, &request, out).await,
        Err(error) => Err(error.exception()),
    };
    if let Err(exception) = result {
        out.clear();
        // An exception always encodes.
        let _ = Response::exception(code, exception).encode(out);
    }
}

async fn answer_request<P: PointSource>(
    source: &P,
    unit: u8,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Exception> {
    let mut bytes = [0; PDU_LEN_MAX];
    let response = match *request {
        Request::Read { table, start, count } if table.is_bits() => {
            let mut bits = [false; READ_BITS_MAX as usize];
            let bits = bits.get_mut(..usize::from(count)).unwrap_or(&mut []);
            source.read_bits(unit, table, start, bits).await?;
            let bits = Bits::pack(bits.iter().copied(), &mut bytes);
            let bits = bits.ok_or(Exception::DEVICE_FAILURE)?;
            Response::Bits { function: table.read_function(), bits }
        }
        Request::Read { table, start, count } => {
            let mut registers = [0; READ_REGISTERS_MAX as usize];
            let registers = registers.get_mut(..usize::from(count)).unwrap_or(&mut []);
            source.read_registers(unit, table, start, registers).await?;
            let words = Words::pack(registers, &mut bytes).ok_or(Exception::DEVICE_FAILURE)?;
            Response::Words { function: table.read_function(), words }
        }
        Request::WriteCoil { address, value } => {
            source.write_coils(unit, address, &[value]).await?;
            Response::Wrote(request.shape())
        }
        Request::WriteRegister { address, value } => {
            source.write_registers(unit, address, &[value]).await?;
            Response::Wrote(request.shape())
        }
        Request::WriteCoils { start, values } => {
            let mut bits = [false; WRITE_BITS_MAX as usize];
            let bits = collect(values.iter(), &mut bits);
            source.write_coils(unit, start, bits).await?;
            Response::Wrote(request.shape())
        }
        Request::WriteRegisters { start, values } => {
            let mut registers = [0; WRITE_REGISTERS_MAX as usize];
            let registers = collect(values.iter(), &mut registers);
            source.write_registers(unit, start, registers).await?;
            Response::Wrote(request.shape())
        }
    };
    response.encode(out).map_err(|_| Exception::DEVICE_FAILURE)
}

fn collect<T>(values: impl Iterator<Item = T>, into: &mut [T]) -> &[T] {
    let mut len = 0;
    for (place, value) in into.iter_mut().zip(values) {
        *place = value;
        len += 1;
    }
    into.get(..len).unwrap_or(&[])
}
