//! What a server answers from.

use core::future::Future;

use crate::error::Exception;
use crate::pdu::{
    Bits, DeviceId, IdAccess, PDU_LEN_MAX, READ_BITS_MAX, READ_REGISTERS_MAX, Request, Response,
    WRITE_BITS_MAX, WRITE_REGISTERS_MAX, Words,
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
    /// Whether there is such a unit. On a serial line, units that are not there stay silent and
    /// leave the answer to whoever they are; what is written to all units is written to each that
    /// is there.
    fn has_unit(&self, unit: u8) -> bool {
        let _ = unit;
        true
    }

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

    /// Changes bits of the holding register `address`: it becomes `(held & and) | (or & !and)`. By
    /// default a read and a write, between which another client may write the register.
    fn mask_register(
        &self,
        unit: u8,
        address: u16,
        and: u16,
        or: u16,
    ) -> impl Future<Output = Result<(), Exception>> + Send {
        async move {
            let mut held = [0];
            self.read_registers(unit, Table::Holding, address, &mut held).await?;
            let masked = held.map(|held| held & and | or & !and);
            self.write_registers(unit, address, &masked).await
        }
    }

    /// What an object of the unit's identification says: 0 the vendor, 1 the product's code, 2 its
    /// revision, which must all be there for any to be; 3 to 6 and 128 to 255 are free to add. ASCII,
    /// of which a long one is cut at 240 characters.
    fn device_id(
        &self,
        unit: u8,
        object: u8,
    ) -> impl Future<Output = Result<Option<String>, Exception>> + Send {
        let _ = (unit, object);
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
        Request::MaskWrite { address, and, or } => {
            source.mask_register(unit, address, and, or).await?;
            Response::Wrote(request.shape())
        }
        Request::ReadWriteRegisters { start, count, write_start, values } => {
            let mut registers = [0; WRITE_REGISTERS_MAX as usize];
            let written = collect(values.iter(), &mut registers);
            source.write_registers(unit, write_start, written).await?;
            let mut registers = [0; READ_REGISTERS_MAX as usize];
            let registers = registers.get_mut(..usize::from(count)).unwrap_or(&mut []);
            source.read_registers(unit, Table::Holding, start, registers).await?;
            let words = Words::pack(registers, &mut bytes).ok_or(Exception::DEVICE_FAILURE)?;
            Response::Words { function: request.function(), words }
        }
        Request::ReadDeviceId { access, object } => {
            return identify(source, unit, access, object, out).await;
        }
    };
    response.encode(out).map_err(|_| Exception::DEVICE_FAILURE)
}

/// As many objects from `first` on as one answer holds.
async fn identify<P: PointSource>(
    source: &P,
    unit: u8,
    access: IdAccess,
    first: u8,
    out: &mut Vec<u8>,
) -> Result<(), Exception> {
    // Section 6.21: what is asked beyond what is known starts over from the first of its kind.
    let range = match access {
        IdAccess::Basic => 0..=2,
        IdAccess::Regular => 0..=0x7f,
        IdAccess::Extended => 0..=0xff,
        IdAccess::Individual => first..=first,
    };
    let from = if range.contains(&first) { first } else { 0 };
    let mut objects = Vec::new();
    let (mut next, mut conformity) = (None, CONFORMITY_BASIC);
    for object in 0..=u8::MAX {
        // Neither named nor the vendor's own: reserved.
        if matches!(object, 7..=0x7f) {
            continue;
        }
        let Some(text) = source.device_id(unit, object).await? else { continue };
        conformity = match object {
            0..=2 => conformity,
            3..=0x7f => conformity.max(CONFORMITY_BASIC + 1),
            0x80.. => CONFORMITY_BASIC + 2,
        };
        if object < from || !range.contains(&object) || next.is_some() {
            continue;
        }
        let text = text.as_bytes().get(..text.len().min(OBJECT_LEN_MAX)).unwrap_or(&[]);
        if objects.len() + 2 + text.len() > OBJECT_LEN_MAX + 2 {
            next = Some(object);
            continue;
        }
        objects.extend([object, u8::try_from(text.len()).unwrap_or(0)]);
        objects.extend(text);
    }
    if objects.is_empty() {
        return Err(Exception::ILLEGAL_DATA_ADDRESS);
    }
    let id = DeviceId::new(access, conformity, next, &objects);
    let id = id.map_err(|_| Exception::DEVICE_FAILURE)?;
    Response::DeviceId(id).encode(out).map_err(|_| Exception::DEVICE_FAILURE)
}

/// Basic identification, as a stream and by object.
const CONFORMITY_BASIC: u8 = 0x81;

/// What one object has room for.
const OBJECT_LEN_MAX: usize = 240;

fn collect<T>(values: impl Iterator<Item = T>, into: &mut [T]) -> &[T] {
    let mut len = 0;
    for (place, value) in into.iter_mut().zip(values) {
        *place = value;
        len += 1;
    }
    into.get(..len).unwrap_or(&[])
}
