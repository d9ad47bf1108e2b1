use crate::rtu::Line;

/// How requests and answers are framed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Framing {
    /// Modbus TCP on a stream.
    #[default]
    Tcp,
    /// Modbus TCP, each frame a datagram.
    Udp,
    /// RTU.
    Rtu(Line),
}
