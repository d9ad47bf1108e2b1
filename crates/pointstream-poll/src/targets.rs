use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;

use crate::url;

/// What may be fetched from: the public Internet at the usual ports, and what was named.
///
/// A gateway stands in a network that others cannot reach, so a URL must not be a way into it. What
/// counts is the address that is connected to, whatever name or notation led there: every address of
/// a name is checked, and the connection is made to one that was.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    allowed: Vec<Allowed>,
    own: Vec<SocketAddr>,
}

#[derive(Clone, Debug)]
enum Allowed {
    Name { host: String, port: u16 },
    Net { net: IpAddr, bits: u8, port: u16 },
}

/// The text names no target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a target: expected a host or a network, and a port, as in 192.168.1.0/24:80")]
#[non_exhaustive]
pub struct TargetError(pub String);

impl Targets {
    /// The public Internet at the ports 80 and 443.
    pub const fn public() -> Self {
        Self { allowed: Vec::new(), own: Vec::new() }
    }

    /// Allows a target as well: `host:port`, `192.168.1.0/24:80`, `[fd00::]/8:8080`.
    ///
    /// A name is then allowed whatever addresses it has.
    ///
    /// # Errors
    ///
    /// A text that is none of these.
    pub fn allow(&mut self, text: &str) -> Result<(), TargetError> {
        let parsed = parse(text).ok_or_else(|| TargetError(text.to_owned()))?;
        self.allowed.push(parsed);
        Ok(())
    }

    /// Allows the host and port of a URL that somebody with the right to has named.
    ///
    /// # Errors
    ///
    /// A URL that cannot be fetched.
    pub fn allow_url(&mut self, url: &str) -> Result<(), TargetError> {
        let uri = url::parse(url).ok_or_else(|| TargetError(url.to_owned()))?;
        self.allowed.push(Allowed::Name { host: url::host(&uri), port: url::port(&uri) });
        Ok(())
    }

    /// Forbids an address that this process listens on, also where it is allowed otherwise: a topic
    /// that polls its own server would feed on itself.
    pub fn forbid(&mut self, own: SocketAddr) {
        self.own.push(own);
    }

    /// Whether a URL may be fetched as far as can be told before its name is resolved.
    pub fn may_resolve(&self, url: &Uri) -> bool {
        let port = url::port(url);
        let named = |allowed: &Allowed| match allowed {
            Allowed::Name { port: allowed, .. } | Allowed::Net { port: allowed, .. } => {
                *allowed == port
            }
        };
        url::parse(&url.to_string()).is_some()
            && (USUAL_PORTS.contains(&port) || self.allowed.iter().any(named))
    }

    /// Whether a URL may be fetched from this address. Where a name has several, all have to be
    /// allowed.
    pub fn may_connect(&self, url: &Uri, addr: SocketAddr) -> bool {
        if self.own.iter().any(|own| is_own(*own, addr)) || addr.port() != url::port(url) {
            return false;
        }
        let (ip, port) = (addr.ip().to_canonical(), addr.port());
        let host = url::host(url);
        let named = self.allowed.iter().any(|allowed| match allowed {
            Allowed::Name { host: name, port: at } => *name == host && *at == port,
            Allowed::Net { net, bits, port: at } => *at == port && contains(*net, *bits, ip),
        });
        named || USUAL_PORTS.contains(&port) && is_public(ip)
    }
}

fn parse(text: &str) -> Option<Allowed> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let ip = |text: &str| {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inner.map_or_else(
            || text.parse::<Ipv4Addr>().map(IpAddr::V4),
            |text| text.parse::<Ipv6Addr>().map(IpAddr::V6),
        )
    };
    if let Some((net, bits)) = host.split_once('/') {
        let net = ip(net).ok()?;
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= width(net))?;
        return Some(Allowed::Net { net, bits, port });
    }
    if let Ok(net) = ip(host) {
        return Some(Allowed::Net { net, bits: width(net), port });
    }
    let uri = url::parse(&format!("http://{host}/"))?;
    (uri.port().is_none()).then(|| Allowed::Name { host: url::host(&uri), port })
}

const fn width(net: IpAddr) -> u8 {
    if net.is_ipv4() { 32 } else { 128 }
}

fn contains(net: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let bits = u32::from(bits);
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            let shift = 32_u32.saturating_sub(bits);
            net.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            let shift = 128_u32.saturating_sub(bits);
            net.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

fn is_own(own: SocketAddr, addr: SocketAddr) -> bool {
    let (own_ip, ip) = (own.ip().to_canonical(), addr.ip().to_canonical());
    own.port() == addr.port()
        && (own_ip == ip || own_ip.is_unspecified() && !is_public(ip) || ip.is_unspecified())
}

/// Whether an address is one of the public Internet: none of the registries of special addresses
/// (RFC 6890 and its successors), and none that stands for such a one by translation.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|(net, bits)| {
            contains(IpAddr::V4(Ipv4Addr::from_octets(*net)), *bits, IpAddr::V4(ip))
        }),
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            let inner = |high: u16, low: u16| {
                is_public(IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))))
            };
            match segments {
                // Mapped, and translated by the well-known prefix.
                [0, 0, 0, 0, 0, 0xffff, high, low] => inner(high, low),
                [0x2002, high, low, ..] => inner(high, low),
                _ => !SPECIAL_V6.iter().any(|(net, bits)| {
                    contains(IpAddr::V6(Ipv6Addr::from_segments(*net)), *bits, IpAddr::V6(ip))
                }),
            }
        }
    }
}

const USUAL_PORTS: [u16; 2] = [80, 443];

const SPECIAL_V4: [([u8; 4], u8); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

const SPECIAL_V6: [([u16; 8], u8); 10] = [
    // The unspecified address, loopback, and the IPv4-compatible ones.
    ([0, 0, 0, 0, 0, 0, 0, 0], 96),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        url::parse(text).unwrap()
    }

    fn connects(targets: &Targets, url: &str, addr: &str) -> bool {
        targets.may_connect(&uri(url), addr.parse().unwrap())
    }

    #[test]
    fn special_addresses_are_not_public() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.0.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860::8888",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_public_internet_is_reached_at_its_usual_ports() {
        let targets = Targets::public();
        assert!(targets.may_resolve(&uri("https://api.example/")));
        assert!(connects(&targets, "https://api.example/", "1.1.1.1:443"));
        assert!(connects(&targets, "http://api.example/", "1.1.1.1:80"));
        assert!(!targets.may_resolve(&uri("http://api.example:22/")));
        assert!(!connects(&targets, "http://api.example:22/", "1.1.1.1:22"));
        assert!(!connects(&targets, "http://api.example/", "1.1.1.1:443"), "not the URL's port");
        for addr in ["127.0.0.1:80", "[::1]:80", "[::ffff:192.168.1.1]:80", "169.254.169.254:80"] {
            assert!(!connects(&targets, "http://api.example/", addr), "{addr}");
        }
    }

    #[test]
    fn what_is_named_is_reached_as_well_and_nothing_beside_it() {
        let mut targets = Targets::public();
        for text in ["192.168.1.0/24:80", "plc.local:8080", "[fd00::]/8:8080", "10.1.2.3:502"] {
            targets.allow(text).unwrap();
        }
        assert!(connects(&targets, "http://anything/", "192.168.1.255:80"));
        assert!(connects(&targets, "http://anything/", "[::ffff:192.168.1.7]:80"));
        assert!(!connects(&targets, "http://anything/", "192.168.2.1:80"));
        assert!(!connects(&targets, "http://anything:8080/", "192.168.1.7:8080"));
        assert!(connects(&targets, "http://PLC.local:8080/", "127.0.0.1:8080"));
        assert!(!connects(&targets, "http://other.local:8080/", "127.0.0.1:8080"));
        assert!(connects(&targets, "http://x:8080/", "[fdff::1]:8080"));
        assert!(!connects(&targets, "http://x:8080/", "[fe00::1]:8080"));
        assert!(connects(&targets, "http://x:502/", "10.1.2.3:502"));
        assert!(!connects(&targets, "http://x:502/", "10.1.2.4:502"));
        let mut all = Targets::public();
        all.allow("0.0.0.0/0:81").unwrap();
        assert!(connects(&all, "http://x:81/", "127.0.0.1:81"));
        assert!(!connects(&all, "http://x:81/", "[::1]:81"));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            "host",
            "host:",
            "host:0",
            "host:x",
            "host:65536",
            "192.168.1.0/33:80",
            "/8:80",
            "[::]/129:80",
            "[::1:80",
            "a/b:80",
            "u@host:80",
            "host:1:2",
            "http://host:80",
        ] {
            assert!(Targets::public().allow(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_servers_own_addresses_are_never_reached() {
        let mut targets = Targets::public();
        targets.allow_url("http://localhost:8080/x").unwrap();
        assert!(connects(&targets, "http://localhost:8080/y", "127.0.0.1:8080"));
        targets.forbid("127.0.0.1:8080".parse().unwrap());
        assert!(!connects(&targets, "http://localhost:8080/y", "127.0.0.1:8080"));
        assert!(!connects(&targets, "http://localhost:8080/y", "0.0.0.0:8080"));
        assert!(connects(&targets, "http://localhost:8080/y", "[::1]:8080"));
        targets.forbid("0.0.0.0:8080".parse().unwrap());
        assert!(!connects(&targets, "http://localhost:8080/y", "[::1]:8080"));
    }
}
