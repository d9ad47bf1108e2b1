//! Device identification: function 43, MEI type 14 (section 6.21).

use super::PDU_LEN_MAX;
use crate::error::PduError;

/// How much of a device's identification is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these four")]
#[repr(u8)]
pub enum IdAccess {
    /// Objects 0 to 2, as a stream: vendor, product, revision. Every device with function 43 has them.
    Basic = 1,
    /// Objects 3 to 127, as a stream: the vendor's URL, names of product, model and application.
    Regular = 2,
    /// Objects 128 to 255, as a stream, which are the vendor's own.
    Extended = 3,
    /// One object.
    Individual = 4,
}

impl IdAccess {
    /// The access with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Basic,
            2 => Self::Regular,
            3 => Self::Extended,
            4 => Self::Individual,
            _ => return None,
        })
    }

    /// Its code.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The objects of a device's identification, as one answer carries them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceId<'a> {
    access: IdAccess,
    conformity: u8,
    /// Whether not all objects had room, and the one to ask for next; without more it means
    /// nothing and is kept as it came.
    more: bool,
    next: u8,
    count: u8,
    /// Whole objects: number, length, bytes.
    objects: &'a [u8],
}

impl<'a> DeviceId<'a> {
    /// The objects in `objects`, each a number, a length and so many bytes.
    ///
    /// # Errors
    ///
    /// [`PduError::Length`] for bytes that are not whole objects, [`PduError::Count`] for more than
    /// one answer holds.
    pub fn new(
        access: IdAccess,
        conformity: u8,
        next: Option<u8>,
        objects: &'a [u8],
    ) -> Result<Self, PduError> {
        if HEAD_LEN + objects.len() > PDU_LEN_MAX {
            return Err(PduError::Count);
        }
        let (more, next) = (next.is_some(), next.unwrap_or(0));
        let mut id = Self { access, conformity, more, next, count: 0, objects };
        let mut rest = objects;
        while !rest.is_empty() {
            (_, rest) = split_object(rest).ok_or(PduError::Length)?;
            id.count = id.count.saturating_add(1);
        }
        Ok(id)
    }

    /// What was asked for.
    pub const fn access(&self) -> IdAccess {
        self.access
    }

    /// What the device has: 1, 2 or 3 for basic, regular and extended, and 128 more where it
    /// answers for single objects too.
    pub const fn conformity(&self) -> u8 {
        self.conformity
    }

    /// The object to ask for next, where not all had room.
    pub const fn next(&self) -> Option<u8> {
        if self.more { Some(self.next) } else { None }
    }

    /// The objects: their numbers and what they say, which is ASCII by the standard.
    pub fn objects(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.objects;
        core::iter::from_fn(move || {
            let (object, later) = split_object(rest)?;
            rest = later;
            Some(object)
        })
    }

    /// What follows the function code of an answer.
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, PduError> {
        let &[_, access, conformity, more, next, count, ref objects @ ..] = body else {
            return Err(PduError::Length);
        };
        let access = IdAccess::from_code(access).ok_or(PduError::Count)?;
        let more = match more {
            0xff => true,
            0 => false,
            _ => return Err(PduError::Count),
        };
        let id = Self { more, next, ..Self::new(access, conformity, None, objects)? };
        if id.count == count { Ok(id) } else { Err(PduError::Count) }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (access, more) = (self.access.code(), if self.more { 0xff } else { 0 });
        out.extend([MEI_DEVICE_ID, access, self.conformity, more, self.next, self.count]);
        out.extend(self.objects);
    }
}

/// What the objects with names are called (section 6.21, table of objects).
pub const fn object_name(object: u8) -> Option<&'static str> {
    Some(match object {
        0 => "vendorName",
        1 => "productCode",
        2 => "revision",
        3 => "vendorUrl",
        4 => "productName",
        5 => "modelName",
        6 => "userApplicationName",
        _ => return None,
    })
}

/// The MEI type of device identification.
pub(super) const MEI_DEVICE_ID: u8 = 0x0e;

/// A number and what the object says.
type Object<'a> = (u8, &'a [u8]);

/// The bytes before the objects of an answer.
const HEAD_LEN: usize = 7;

fn split_object(bytes: &[u8]) -> Option<(Object<'_>, &[u8])> {
    let &[object, len, ref rest @ ..] = bytes else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(len))?;
    Some(((object, value), rest))
}
