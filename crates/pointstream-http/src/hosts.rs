use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;

/// The hosts that requests may name besides the server's own address.
///
/// A browser sends the name that its user's page was loaded from. A name that a stranger points at
/// this machine (DNS rebinding) is not among these, so that a page from there gets nothing.
#[derive(Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    pub(crate) fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Whether `authority`, the value of a `Host` header, is this server's as reached at `local`.
    pub(crate) fn allow_host(&self, authority: &str, local: SocketAddr) -> bool {
        let Some((host, port)) = split(authority) else { return false };
        let own_port = port.unwrap_or(HTTP) == local.port();
        if let Some(ip) = parse_ip(&host) {
            let reached = ip == local.ip().to_canonical()
                || ip.is_loopback() && local.ip().to_canonical().is_loopback();
            if reached && own_port {
                return true;
            }
        } else if host == "localhost" && local.ip().to_canonical().is_loopback() && own_port {
            return true;
        }
        self.names.iter().any(|name| match split(name) {
            Some((name, Some(named))) => name == host && port.unwrap_or(HTTP) == named,
            Some((name, None)) => {
                let usual = port.is_none_or(|port| [HTTP, HTTPS, local.port()].contains(&port));
                name == host && usual
            }
            None => false,
        })
    }

    /// Whether `origin`, the value of an `Origin` header, is a page of this server.
    pub(crate) fn allow_origin(&self, origin: &str, local: SocketAddr) -> bool {
        match origin.split_once("://") {
            Some(("http", authority)) => self.allow_host(authority, local),
            Some(("https", authority)) if has_port(authority) => self.allow_host(authority, local),
            // The port that the scheme implies, for names that are listed with it.
            Some(("https", authority)) => {
                self.allow_host(authority, local)
                    || self.allow_host(&format!("{authority}:{HTTPS}"), local)
            }
            _ => false,
        }
    }
}

/// The host, lower-cased and without brackets, and the port.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let parsed: Authority = authority.parse().ok()?;
    // `http` takes user information and a port that is no number as well.
    if authority.contains('@') || parsed.port().is_some() && parsed.port_u16().is_none() {
        return None;
    }
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    Some((host.to_ascii_lowercase(), parsed.port_u16()))
}

fn has_port(authority: &str) -> bool {
    split(authority).is_some_and(|(_, port)| port.is_some())
}

fn parse_ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(names: &[&str], host: &str, local: &str) -> bool {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        Hosts::new(&names).allow_host(host, local.parse().unwrap())
    }

    #[test]
    fn the_address_itself_is_a_host() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"] {
            assert!(allows(&[], host, "127.0.0.1:8080"), "{host}");
            assert!(allows(&[], host, "[::1]:8080"), "{host}");
            assert!(allows(&[], host, "[::ffff:127.0.0.1]:8080"), "{host}");
        }
        assert!(allows(&[], "127.0.0.1", "127.0.0.1:80"));
        assert!(allows(&[], "192.168.1.7:8080", "192.168.1.7:8080"));
        assert!(allows(&[], "[fd00::7]:8080", "[fd00::7]:8080"));
    }

    #[test]
    fn nothing_else_is_a_host() {
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost",
            "localhost:8081",
            "localhost.:8080",
            "localhost.evil.example:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:8080@evil.example",
            "evil.example@127.0.0.1:8080",
            "127.0.0.1:8080/x",
            "127.0.0.1:99999",
            "127.0.0.1:",
            "192.168.1.7:8080",
            "2130706433:8080",
            "null",
        ] {
            assert!(!allows(&[], host, "127.0.0.1:8080"), "{host}");
        }
        assert!(!allows(&[], "localhost:8080", "192.168.1.7:8080"));
        assert!(!allows(&[], "127.0.0.1:8080", "192.168.1.7:8080"));
    }

    #[test]
    fn named_hosts_have_the_usual_ports_or_their_own() {
        let local = "192.168.1.7:8080";
        for host in ["gw.example", "GW.example:80", "gw.example:443", "gw.example:8080"] {
            assert!(allows(&["gw.Example"], host, local), "{host}");
        }
        assert!(!allows(&["gw.example"], "gw.example:3000", local));
        assert!(!allows(&["gw.example"], "x.gw.example", local));
        assert!(allows(&["gw.example:8443"], "gw.example:8443", local));
        assert!(!allows(&["gw.example:8443"], "gw.example", local));
        assert!(allows(&["[fd00::8]:9"], "[FD00::8]:9", local));
        assert!(!allows(&["not a host"], "gw.example", local));
    }

    #[test]
    fn origins_are_those_of_allowed_hosts() {
        let hosts = Hosts::new(&["gw.example".into(), "tls.example:443".into()]);
        let allows = |origin: &str| hosts.allow_origin(origin, "127.0.0.1:8080".parse().unwrap());
        assert!(allows("http://127.0.0.1:8080") && allows("http://localhost:8080"));
        assert!(allows("https://gw.example") && allows("https://tls.example"));
        assert!(!allows("http://tls.example"));
        for origin in [
            "null",
            "",
            "http://",
            "http://evil.example",
            "http://localhost:3000",
            "http://localhost",
            "file://",
            "chrome-extension://localhost:8080",
            "http://127.0.0.1:8080.evil.example",
        ] {
            assert!(!allows(origin), "{origin}");
        }
    }
}
