//! Namespaces, links, addresses and routes on the real kernel, in namespaces of their own.

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use oxtables::kernel::world::{End, Host, join};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn hosts_reach_each_other_over_a_router() {
    let left = Host::new("left").unwrap();
    let router = Host::new("router").unwrap();
    let right = Host::new("right").unwrap();
    let l = [(ip("192.0.2.2"), 24), (ip("2001:db8:1::2"), 64)];
    let rl = [(ip("192.0.2.1"), 24), (ip("2001:db8:1::1"), 64)];
    let rr = [(ip("198.51.100.1"), 24), (ip("2001:db8:2::1"), 64)];
    let r = [(ip("198.51.100.2"), 24), (ip("2001:db8:2::2"), 64)];
    join(End { host: &left, iface: "eth0", addresses: &l }, End { host: &router, iface: "eth1", addresses: &rl })
        .unwrap();
    join(End { host: &router, iface: "eth0", addresses: &rr }, End { host: &right, iface: "eth0", addresses: &r })
        .unwrap();
    router.forward().unwrap();
    for (host, gateways) in [(&left, ["192.0.2.1", "2001:db8:1::1"]), (&right, ["198.51.100.1", "2001:db8:2::1"])] {
        for gateway in gateways {
            host.default_route(ip(gateway)).unwrap();
        }
    }
    for (target, seen) in [("198.51.100.2", "192.0.2.2"), ("2001:db8:2::2", "2001:db8:1::2")] {
        let listener = right.run(|| TcpListener::bind((ip(target), 80))).unwrap().unwrap();
        left.run(|| TcpStream::connect_timeout(&(ip(target), 80).into(), Duration::from_secs(2))).unwrap().unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), ip(seen));
    }
}

#[test]
fn a_new_host_has_its_loopback_and_nothing_else() {
    let host = Host::new("alone").unwrap();
    host.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        let error = socket.send_to(b"x", (ip("192.0.2.1"), 9)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
        let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        assert_eq!(links.lines().filter(|line| line.contains(':')).count(), 1, "{links}");
    })
    .unwrap();
}

#[test]
fn a_failed_step_names_the_host_and_the_step() {
    let host = Host::new("lonely").unwrap();
    let error = host.default_route(ip("192.0.2.1")).unwrap_err().to_string();
    assert!(error.starts_with("host lonely: cannot route 0.0.0.0/0 over 192.0.2.1: "), "{error}");
    assert!(host.sysctl("net/ipv4/no_such", "1").is_err());
}
