use core::fmt;
use core::str::FromStr;
#[cfg(feature = "serial")]
use std::io;

#[cfg(feature = "serial")]
use crate::Stream;

/// A serial port and how its line is set: 8 data bits, no flow control.
///
/// Written `/dev/ttyUSB0?baud=9600&parity=none&stop=1`; what is left out is 19200 bits per second,
/// even parity and one stop bit, which is how Modbus lines are by their standard. Without parity
/// there is one stop bit too unless it says `stop=2`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct SerialPort {
    /// The device file, or the name that the system gives the port.
    pub path: Box<str>,
    /// Bits per second.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
    /// One or two stop bits.
    pub stop_bits: u8,
}

/// The parity bit of a character.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "none, or one of two")]
pub enum Parity {
    /// There is none.
    None,
    /// It makes the number of ones even.
    #[default]
    Even,
    /// It makes the number of ones odd.
    Odd,
}

/// Why a text is not a serial port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SerialPortError {
    /// The number of bits per second is not one.
    #[error("baud is a number from 50 to 4000000")]
    Baud,
    /// The path is missing.
    #[error("the port is missing: expected a path such as /dev/ttyUSB0")]
    NoPath,
    /// An option is not known.
    #[error("the options of a serial port are baud, parity and stop, each as name=value")]
    Option,
    /// The parity is none of the three.
    #[error("parity is none, even or odd")]
    Parity,
    /// The stop bits are neither 1 nor 2.
    #[error("stop is 1 or 2")]
    Stop,
}

impl SerialPort {
    /// The port at `path`, set as Modbus lines are by default.
    pub fn new(path: &str) -> Self {
        Self { path: path.into(), baud: 19_200, parity: Parity::Even, stop_bits: 1 }
    }

    /// How many bits a character takes, from start to stop.
    pub fn char_bits(&self) -> u32 {
        9 + u32::from(self.parity != Parity::None) + u32::from(self.stop_bits)
    }

    /// Opens the port. No other program may open it meanwhile, where the system can see to that.
    ///
    /// # Errors
    ///
    /// What the system says, with the port's name. A pseudo terminal refuses parity.
    #[cfg(feature = "serial")]
    pub fn open(&self) -> io::Result<Stream> {
        use serial2_tokio::{CharSize, FlowControl, Parity as Of, Settings, StopBits};
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("opening {}: {error}", self.path))
        };
        let apply = |mut settings: Settings| {
            settings.set_raw();
            settings.set_baud_rate(self.baud)?;
            settings.set_char_size(CharSize::Bits8);
            settings.set_parity(match self.parity {
                Parity::None => Of::None,
                Parity::Even => Of::Even,
                Parity::Odd => Of::Odd,
            });
            settings.set_stop_bits(if self.stop_bits == 2 { StopBits::Two } else { StopBits::One });
            settings.set_flow_control(FlowControl::None);
            Ok(settings)
        };
        let port = serial2_tokio::SerialPort::open(&*self.path, apply).map_err(named)?;
        // What came before the port was opened answers nothing that will be asked.
        port.discard_buffers().map_err(named)?;
        Ok(Stream::serial(port))
    }
}

impl FromStr for SerialPort {
    type Err = SerialPortError;

    fn from_str(text: &str) -> Result<Self, SerialPortError> {
        let (path, options) = text.split_once('?').unwrap_or((text, ""));
        if path.is_empty() {
            return Err(SerialPortError::NoPath);
        }
        let mut port = Self::new(path);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').ok_or(SerialPortError::Option)? {
                ("baud", value) => {
                    port.baud = match value.parse() {
                        Ok(baud @ 50..=4_000_000) => baud,
                        _ => return Err(SerialPortError::Baud),
                    };
                }
                ("parity", "none") => port.parity = Parity::None,
                ("parity", "even") => port.parity = Parity::Even,
                ("parity", "odd") => port.parity = Parity::Odd,
                ("parity", _) => return Err(SerialPortError::Parity),
                ("stop", "1") => port.stop_bits = 1,
                ("stop", "2") => port.stop_bits = 2,
                ("stop", _) => return Err(SerialPortError::Stop),
                _ => return Err(SerialPortError::Option),
            }
        }
        Ok(port)
    }
}

impl fmt::Display for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => "none",
            Parity::Even => "even",
            Parity::Odd => "odd",
        };
        let Self { path, baud, stop_bits, .. } = self;
        write!(f, "{path}?baud={baud}&parity={parity}&stop={stop_bits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (text, printed, bits) in [
            ("/dev/ttyS0", "/dev/ttyS0?baud=19200&parity=even&stop=1", 11),
            ("COM3?baud=9600&parity=none", "COM3?baud=9600&parity=none&stop=1", 10),
            ("/dev/x?stop=2&parity=odd", "/dev/x?baud=19200&parity=odd&stop=2", 12),
        ] {
            let port: SerialPort = text.parse().unwrap();
            assert_eq!((port.to_string().as_str(), port.char_bits()), (printed, bits));
            assert_eq!(printed.parse(), Ok(port));
        }
    }

    #[test]
    fn what_is_not_a_port_is_refused_with_its_reason() {
        for (text, error) in [
            ("", SerialPortError::NoPath),
            ("?baud=9600", SerialPortError::NoPath),
            ("/dev/x?baud=0", SerialPortError::Baud),
            ("/dev/x?baud=fast", SerialPortError::Baud),
            ("/dev/x?parity=mark", SerialPortError::Parity),
            ("/dev/x?stop=3", SerialPortError::Stop),
            ("/dev/x?bits=7", SerialPortError::Option),
            ("/dev/x?baud", SerialPortError::Option),
        ] {
            assert_eq!(text.parse::<SerialPort>(), Err(error), "{text}");
        }
    }
}
