//! Certificates for tests of TLS on the loopback interface, made by `certs/make.sh`. Their private keys
//! are public with them: nothing but a test may trust them.

/// The authority that [`SERVER`] and [`CLIENT`] come from (PEM).
pub const CA: &[u8] = include_bytes!("../certs/ca.pem");
/// An authority that neither comes from (PEM).
pub const OTHER_CA: &[u8] = include_bytes!("../certs/other-ca.pem");
/// A server's certificate, for `localhost`, `127.0.0.1` and `::1` (PEM).
pub const SERVER: &[u8] = include_bytes!("../certs/server.pem");
/// The private key of [`SERVER`] (PEM).
pub const SERVER_KEY: &[u8] = include_bytes!("../certs/server.key");
/// A client's certificate (PEM).
pub const CLIENT: &[u8] = include_bytes!("../certs/client.pem");
/// The private key of [`CLIENT`] (PEM).
pub const CLIENT_KEY: &[u8] = include_bytes!("../certs/client.key");
