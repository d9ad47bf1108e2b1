use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// The example of section 6.21: three objects, all that there is.
const DEVICE_ID: &str = "2B 0E 01 01 00 00 03 00 16 436F6D70616E79206964656E74696669636174696F6E \
    01 0D 50726F6475637420636F646520 02 05 56322E3131";

#[test]
fn an_identification_is_its_objects() {
    let bytes = hex(DEVICE_ID);
    let Ok(Response::DeviceId(id)) = Response::decode(&bytes) else { panic!("not one") };
    let texts: Vec<_> = id.objects().map(|(n, text)| (n, str::from_utf8(text).unwrap())).collect();
    let expected = [(0, "Company identification"), (1, "Product code "), (2, "V2.11")];
    assert_eq!((texts.as_slice(), id.next(), id.conformity()), (&expected[..], None, 1));
    let asked = Request::ReadDeviceId { access: IdAccess::Basic, object: 0 };
    assert_eq!(Response::DeviceId(id).check(asked.shape()), Ok(()));
    let other = Request::ReadDeviceId { access: IdAccess::Regular, object: 0 };
    assert_eq!(Response::DeviceId(id).check(other.shape()), Err(PduError::Count));
    for (text, error) in [
        ("2B", PduError::Length),
        ("2B 0D 01 00", PduError::Function(0x2b)),
        ("2B 0E 01 01 00 00 01 00 02 41", PduError::Length),
        ("2B 0E 01 01 00 00 02 00 01 41", PduError::Count),
        ("2B 0E 07 01 00 00 01 00 01 41", PduError::Count),
        ("2B 0E 01 01 01 00 01 00 01 41", PduError::Count),
        ("2B 0E 01 01 00 00 00 00", PduError::Length),
        ("16 0004 00F2", PduError::Length),
        ("06 0004 00F2 0025", PduError::Length),
    ] {
        assert_eq!(Response::decode(&hex(text)), Err(error), "{text}");
    }
    assert!(DeviceId::new(IdAccess::Basic, 1, None, &[0; 246]).is_ok());
    assert_eq!(DeviceId::new(IdAccess::Basic, 1, None, &[0; 248]), Err(PduError::Count));
}

#[test]
fn masks_and_counts_of_the_new_functions_are_checked() {
    let mask = Request::MaskWrite { address: 4, and: 0xf2, or: 0x25 }.shape();
    let echo = |text: &str| Response::decode(&hex(text)).unwrap().check(mask);
    assert_eq!(echo("16 0004 00F2 0025"), Ok(()));
    assert_eq!(echo("16 0004 00F2 0024"), Err(PduError::Echo));
    for (text, error) in [
        ("16 0004 00F2", PduError::Length),
        ("17 0000 007E 0000 0001 02 0000", PduError::Count),
        ("17 0000 0000 0000 0001 02 0000", PduError::Count),
        ("17 0000 0001 0000 0000 00", PduError::Count),
        ("17 0000 0001 0000 0002 02 0000", PduError::Count),
        ("17 FFFF 0002 0000 0001 02 0000", PduError::Range),
        ("17 0000 0001 FFFF 0002 04 0000 0000", PduError::Range),
        ("17 0000 0001 0000 0001 03 0000", PduError::Length),
        ("2B 0E 01", PduError::Length),
        ("2B 0E 05 00", PduError::Count),
        ("2B 0D 01 00", PduError::Function(0x2b)),
    ] {
        assert_eq!(Request::decode(&hex(text)), Err(error), "{text}");
    }
    for (count, ok) in [(121, true), (122, false)] {
        let bytes = vec![0; count * 2];
        let values = Words::new(&bytes).unwrap();
        let request = Request::ReadWriteRegisters { start: 0, count: 125, write_start: 0, values };
        assert_eq!(request.encode(&mut Vec::new()).is_ok(), ok);
    }
}

/// The examples of the Modbus Application Protocol V1.1b3, sections 6.1 to 6.12.
#[test]
fn the_requests_of_the_specification_go_both_ways() {
    let read = |table, start, count| Request::Read { table, start, count };
    for (bytes, request) in [
        ("01 0013 0013", read(Table::Coil, 0x13, 0x13)),
        ("02 00C4 0016", read(Table::Discrete, 0xc4, 0x16)),
        ("03 006B 0003", read(Table::Holding, 0x6b, 3)),
        ("04 0008 0001", read(Table::Input, 8, 1)),
        ("05 00AC FF00", Request::WriteCoil { address: 0xac, value: true }),
        ("06 0001 0003", Request::WriteRegister { address: 1, value: 3 }),
        (
            "0F 0013 000A 02 CD01",
            Request::WriteCoils { start: 0x13, values: Bits::new(&[0xcd, 0x01], 10).unwrap() },
        ),
        (
            "10 0001 0002 04 000A 0102",
            Request::WriteRegisters { start: 1, values: Words::new(&[0, 10, 1, 2]).unwrap() },
        ),
        ("16 0004 00F2 0025", Request::MaskWrite { address: 4, and: 0xf2, or: 0x25 }),
        (
            "17 0003 0006 000E 0003 06 00FF 00FF 00FF",
            Request::ReadWriteRegisters {
                start: 3,
                count: 6,
                write_start: 14,
                values: Words::new(&[0, 255, 0, 255, 0, 255]).unwrap(),
            },
        ),
        ("2B 0E 01 00", Request::ReadDeviceId { access: IdAccess::Basic, object: 0 }),
    ] {
        let bytes = hex(bytes);
        assert_eq!(Request::decode(&bytes), Ok(request));
        let mut out = Vec::new();
        request.encode(&mut out).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn the_responses_of_the_specification_go_both_ways() {
    let bytes = hex("01 03 CD6B05");
    let Ok(Response::Bits { function: Function::ReadCoils, bits }) = Response::decode(&bytes)
    else {
        panic!("not bits")
    };
    let first: Vec<bool> = bits.iter().take(8).collect();
    assert_eq!(first, [true, false, true, true, false, false, true, true]);
    assert_eq!(bits.get(18), Some(true));
    assert_eq!(bits.get(24), None);

    let bytes = hex("03 06 022B 0000 0064");
    let Ok(Response::Words { words, .. }) = Response::decode(&bytes) else { panic!("not words") };
    assert_eq!(words.iter().collect::<Vec<_>>(), [0x022b, 0, 0x64]);

    for text in [
        "01 03 CD6B05",
        "03 06 022B 0000 0064",
        "05 00AC FF00",
        "10 0001 0002",
        "83 02",
        "16 0004 00F2 0025",
        "17 0C 00FE 0ACD 0001 0003 000D 00FF",
        DEVICE_ID,
        "AB 01",
    ] {
        let bytes = hex(text);
        let mut out = Vec::new();
        Response::decode(&bytes).unwrap().encode(&mut out).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn counts_at_and_beyond_the_limits() {
    for (table, max) in [
        (Table::Coil, READ_BITS_MAX),
        (Table::Discrete, READ_BITS_MAX),
        (Table::Holding, READ_REGISTERS_MAX),
        (Table::Input, READ_REGISTERS_MAX),
    ] {
        for (start, count, expected) in [
            (0, 0, Err(PduError::Count)),
            (0, 1, Ok(())),
            (0, max, Ok(())),
            (0, max + 1, Err(PduError::Count)),
            (0xffff, 1, Ok(())),
            (0xffff, 2, Err(PduError::Range)),
        ] {
            let mut out = Vec::new();
            let request = Request::Read { table, start, count };
            assert_eq!(request.encode(&mut out), expected, "{request:?}");
            assert_eq!(out.is_empty(), expected.is_err());
            let mut bytes = vec![request.function().code()];
            bytes.extend(start.to_be_bytes());
            bytes.extend(count.to_be_bytes());
            assert_eq!(Request::decode(&bytes).map(drop), expected);
        }
    }
    let data = [0u8; 300];
    let coils = |count: u16| Request::WriteCoils {
        start: 0,
        values: Bits::new(&data[..usize::from(count.div_ceil(8))], count).unwrap(),
    };
    let words = |count: usize| Request::WriteRegisters {
        start: 0,
        values: Words::new(&data[..count * 2]).unwrap(),
    };
    for (request, ok) in [
        (coils(0), false),
        (coils(WRITE_BITS_MAX), true),
        (coils(WRITE_BITS_MAX + 1), false),
        (words(0), false),
        (words(123), true),
        (words(124), false),
    ] {
        let mut out = Vec::new();
        assert_eq!(request.encode(&mut out).is_ok(), ok);
        assert!(out.len() <= PDU_LEN_MAX);
    }
}

#[test]
fn bad_requests_say_which_exception_answers_them() {
    for (bytes, exception) in [
        ("", Exception::ILLEGAL_DATA_VALUE),
        ("2B 0D 01 00", Exception::ILLEGAL_FUNCTION),
        ("83 00 00 00 01", Exception::ILLEGAL_FUNCTION),
        ("03 0000", Exception::ILLEGAL_DATA_VALUE),
        ("03 0000 0001 00", Exception::ILLEGAL_DATA_VALUE),
        ("03 0000 007E", Exception::ILLEGAL_DATA_VALUE),
        ("03 FFFF 0002", Exception::ILLEGAL_DATA_ADDRESS),
        ("05 0000 0001", Exception::ILLEGAL_DATA_VALUE),
        ("0F 0000 0009 01 FF", Exception::ILLEGAL_DATA_VALUE),
        ("0F 0000 0008 02 FF", Exception::ILLEGAL_DATA_VALUE),
        ("10 0000 0002 03 000000", Exception::ILLEGAL_DATA_VALUE),
        ("10 0000 0001 04 00000000", Exception::ILLEGAL_DATA_VALUE),
    ] {
        let error = Request::decode(&hex(bytes)).unwrap_err();
        assert_eq!(error.exception(), exception, "{bytes}: {error}");
    }
}

#[test]
fn an_answer_must_be_to_what_was_asked() {
    let asked = Request::Read { table: Table::Holding, start: 0, count: 2 }.shape();
    let check = |text: &str| Response::decode(&hex(text)).and_then(|answer| answer.check(asked));
    assert_eq!(check("03 04 0001 0002"), Ok(()));
    assert_eq!(check("83 02"), Ok(()));
    assert_eq!(check("03 02 0001"), Err(PduError::Count));
    assert_eq!(check("03 06 0001 0002 0003"), Err(PduError::Count));
    assert_eq!(check("04 04 0001 0002"), Err(PduError::Mismatch { asked: 3, answered: 4 }));
    assert_eq!(check("84 02"), Err(PduError::Mismatch { asked: 3, answered: 4 }));
    assert_eq!(check("03 04 0001 00"), Err(PduError::Length));
    assert_eq!(check("03 00"), Err(PduError::Count));
    let asked = Request::WriteRegister { address: 1, value: 3 }.shape();
    let check = |text: &str| Response::decode(&hex(text)).and_then(|answer| answer.check(asked));
    assert_eq!(check("06 0001 0003"), Ok(()));
    assert_eq!(check("06 0001 0004"), Err(PduError::Echo));
}

#[test]
fn exceptions_have_their_texts() {
    assert_eq!(
        Exception::ILLEGAL_DATA_ADDRESS.to_string(),
        "Exception code 2: Illegal Data Address"
    );
    assert_eq!(Exception(0x0b).name(), "Gateway Target Device Failed to Respond");
    assert_eq!(Exception(0x63).to_string(), "Exception code 99: Unknown code");
}

proptest! {
    #[test]
    fn decoders_are_total_and_what_they_take_encodes_back(
        bytes in prop::collection::vec(any::<u8>(), 0..=PDU_LEN_MAX),
        code in 0u8..0x18,
    ) {
        let mut shaped = bytes.clone();
        if let Some(first) = shaped.first_mut() {
            *first = code;
        }
        for bytes in [bytes, shaped] {
            let mut out = Vec::new();
            if let Ok(request) = Request::decode(&bytes) {
                request.encode(&mut out).unwrap();
                // Bits beyond the count are padding, whose value is not kept by contract.
                prop_assert_eq!(&out, &bytes);
            }
            out.clear();
            if let Ok(response) = Response::decode(&bytes) {
                response.encode(&mut out).unwrap();
                prop_assert_eq!(&out, &bytes);
            }
        }
    }

    #[test]
    fn packed_bits_unpack(bits in prop::collection::vec(any::<bool>(), 0..100)) {
        let mut buffer = [0xff; 16];
        let packed = Bits::pack(bits.iter().copied(), &mut buffer).unwrap();
        prop_assert_eq!(packed.iter().collect::<Vec<_>>(), bits);
    }
}
