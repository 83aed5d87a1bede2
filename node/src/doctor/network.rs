//! Whether the addresses to listen on can be taken, and what a firewall must let through.

use super::{Finding, folder::Folder};
use crate::net::listenable;
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
};

/// An address as sockets know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    address: SocketAddr,
    udp: bool,
}

impl Port {
    /// The socket of an address to listen on; nothing where it names none.
    fn of(address: &Multiaddr) -> Option<Self> {
        let mut host = None;
        for part in address {
            match (part, host) {
                (Protocol::Ip4(ip), _) => host = Some(IpAddr::from(ip)),
                (Protocol::Ip6(ip), _) => host = Some(IpAddr::from(ip)),
                (Protocol::Tcp(port), Some(host)) => {
                    let address = SocketAddr::new(host, port);
                    return Some(Self {
                        address,
                        udp: false,
                    });
                }
                (Protocol::Udp(port), Some(host)) => {
                    let address = SocketAddr::new(host, port);
                    return Some(Self { address, udp: true });
                }
                _ => {}
            }
        }
        None
    }

    fn kind(&self) -> &'static str {
        if self.udp { "UDP" } else { "TCP" }
    }

    /// Takes the port and gives it back.
    fn try_to_bind(&self) -> io::Result<()> {
        match self.udp {
            true => UdpSocket::bind(self.address).map(drop),
            false => TcpListener::bind(self.address).map(drop),
        }
    }
}

pub(super) fn findings(member: &Folder) -> Vec<Finding> {
    let Some(config) = member.config() else {
        let found = "not looked at, since node.toml does not say where to listen";
        return vec![Finding::note("listen", found)];
    };
    let running = member.is_running();
    let mut findings: Vec<Finding> = config
        .listen
        .iter()
        .map(|address| listen(address, running))
        .collect();
    let ports = config.listen.iter().filter_map(Port::of);
    findings.extend(firewall(&ports.collect::<Vec<_>>()));
    findings.push(match config.advertised().as_slice() {
        [] => Finding::note("reached at", "no address that other sites could use").advise(
            "add this site's public address to `external` in node.toml, such as \
             /dns4/HOST/udp/PORT/quic-v1",
        ),
        addresses => Finding::good("reached at", addresses.join(" ")),
    });
    findings
}

fn listen(address: &Multiaddr, running: bool) -> Finding {
    let advice = "write /ip4/0.0.0.0/udp/4001/quic-v1, say, in node.toml";
    let Some(port) = Port::of(address) else {
        return Finding::bad("listen", format!("{address} names no address and port"))
            .advise(advice);
    };
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return Finding::untested("listen", format!("{address}, a place at a relay"));
    }
    if !listenable(address) {
        let found =
            format!("{address}: expected an address that ends in /udp/PORT/quic-v1 or /tcp/PORT");
        return Finding::bad("listen", found).advise(advice);
    }
    match port.try_to_bind() {
        Ok(()) => Finding::good("listen", format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && running => Finding::good(
            "listen",
            format!("{address} is taken by this member's node"),
        ),
        Err(error) => {
            let number = port.address.port();
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => format!(
                    "see who has it (`ss -lnp 'sport = :{number}'`), or change `listen` in \
                     node.toml"
                ),
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need a right: take a higher one in node.toml".to_owned()
                }
                _ => "change `listen` in node.toml to an address of this machine".to_owned(),
            };
            Finding::bad("listen", format!("{address}: {error}")).advise(advice)
        }
    }
}

/// What other sites must reach; nothing where only this machine is listened to.
fn firewall(ports: &[Port]) -> Option<Finding> {
    let open = ports.iter().filter(|port| !port.address.ip().is_loopback());
    let names: Vec<String> = open
        .map(|port| match port.address.port() {
            0 => format!("a {} port chosen at every start", port.kind()),
            number => format!("{} {number}", port.kind()),
        })
        .collect();
    if names.is_empty() {
        return None;
    }
    let found = format!("not tested: other sites come in at {}", names.join(" and "));
    let chosen = open_to_choice(ports);
    Some(match chosen {
        true => Finding::note("firewall", found)
            .advise("name a port other than 0 in node.toml, and open it in your firewall"),
        false => Finding::untested("firewall", found).advise(
            "open it in your firewall, towards the other members at least, and have another \
             member try it: `archipel doctor --dir DIR --peers`",
        ),
    })
}

fn open_to_choice(ports: &[Port]) -> bool {
    ports
        .iter()
        .any(|port| port.address.port() == 0 && !port.address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_free_port_is_free_and_a_taken_one_is_said_to_be() {
        let holder = UdpSocket::bind("127.0.0.1:0").expect("some port");
        let port = holder.local_addr().expect("bound").port();
        let text = address(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1"));
        let taken = listen(&text, false);
        assert_eq!(taken.verdict, Verdict::Bad, "{taken:?}");
        let advice = taken.advice.expect("advice");
        assert!(advice.contains(&format!("sport = :{port}")), "{advice}");
        assert_eq!(listen(&text, true).verdict, Verdict::Good);
        let tcp = TcpListener::bind("127.0.0.1:0").expect("some port");
        let port = tcp.local_addr().expect("bound").port();
        let text = address(&format!("/ip4/127.0.0.1/tcp/{port}"));
        assert_eq!(listen(&text, false).verdict, Verdict::Bad);
        drop(tcp);
        assert_eq!(listen(&text, false).verdict, Verdict::Good);
        assert_eq!(
            listen(&address("/dns4/a.example"), false).verdict,
            Verdict::Bad
        );
    }

    #[test]
    fn an_address_that_no_transport_listens_at_is_bad() {
        let cases = [
            ("/ip4/127.0.0.1/udp/0", Verdict::Bad),
            ("/ip4/127.0.0.1/udp/0/quic", Verdict::Bad),
            ("/ip4/127.0.0.1/tcp/0/ws", Verdict::Bad),
            ("/ip4/127.0.0.1/udp/0/quic-v1", Verdict::Good),
            ("/ip4/127.0.0.1/tcp/0", Verdict::Good),
        ];
        for (text, expected) in cases {
            let found = listen(&address(text), false);
            assert_eq!(found.verdict, expected, "{found:?}");
        }
    }

    #[test]
    fn the_firewall_is_told_of_ports_that_others_reach() {
        let ports = |texts: &[&str]| -> Vec<Port> {
            let port = |text: &&str| Port::of(&address(text)).expect("a port");
            texts.iter().map(port).collect()
        };
        assert_eq!(firewall(&ports(&["/ip4/127.0.0.1/udp/4001/quic-v1"])), None);
        let both = ports(&["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4002"]);
        let told = firewall(&both).expect("two ports");
        assert!(told.found.ends_with("UDP 4001 and TCP 4002"), "{told:?}");
        assert_eq!(told.verdict, Verdict::Untested);
        assert!(told.found.starts_with("not tested"), "{told:?}");
        let any = firewall(&ports(&["/ip4/0.0.0.0/udp/0/quic-v1"])).expect("a port");
        assert_eq!(any.verdict, Verdict::Note);
    }
}
