//! Namespaces, links, addresses and routes on the real kernel, in namespaces of their own.

mod common;

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use common::with_namespaces;
use oxtables::kernel::inject::{self, Tap};
use oxtables::kernel::world::{End, Host, join};
use oxtables::packet::Packet;
use oxtables::packet::build::{Ipv4, Ipv6, Udp};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn hosts_reach_each_other_over_a_router() {
    with_namespaces("hosts_reach_each_other_over_a_router", || {
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
    });
}

#[test]
fn a_new_host_has_its_loopback_and_nothing_else() {
    with_namespaces("a_new_host_has_its_loopback_and_nothing_else", || {
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
    });
}

#[test]
fn a_failed_step_names_the_host_and_the_step() {
    with_namespaces("a_failed_step_names_the_host_and_the_step", || {
        let host = Host::new("lonely").unwrap();
        let error = host.default_route(ip("192.0.2.1")).unwrap_err().to_string();
        assert!(error.starts_with("host lonely: cannot route 0.0.0.0/0 over 192.0.2.1: "), "{error}");
        assert!(host.sysctl("net/ipv4/no_such", "1").is_err());
    });
}

#[test]
fn the_bytes_that_are_sent_arrive() {
    with_namespaces("the_bytes_that_are_sent_arrive", || {
        let (a, b) = (Host::new("a").unwrap(), Host::new("b").unwrap());
        let (left, right) =
            ([(ip("192.0.2.2"), 24), (ip("2001:db8::2"), 64)], [(ip("192.0.2.1"), 24), (ip("2001:db8::1"), 64)]);
        join(End { host: &a, iface: "eth0", addresses: &left }, End { host: &b, iface: "eth0", addresses: &right })
            .unwrap();
        let tap = b.run(Tap::open).unwrap().unwrap();
        let udp = Udp { src_port: 1024, dst_port: 53, payload: b"question".to_vec() };
        let v4 = Ipv4 {
            src: "192.0.2.2".parse().unwrap(),
            dst: "192.0.2.1".parse().unwrap(),
            identification: 7,
            ..Ipv4::default()
        };
        let v6 = Ipv6 { src: "2001:db8::2".parse().unwrap(), dst: "2001:db8::1".parse().unwrap(), ..Ipv6::default() };
        for packet in [v4 / udp.clone(), v6 / udp] {
            a.run(|| inject::send(&packet)).unwrap().unwrap();
            let wanted = |p: &Packet| p.udp().is_some();
            let seen = tap.find(Duration::from_secs(2), wanted).unwrap().expect("it did not arrive");
            assert_eq!(seen.bytes(), packet.bytes());
            // The port is closed: the kernel's answer quotes the packet.
            let error =
                |p: &Packet| p.icmp().is_some_and(|i| i.kind() == 3) || p.icmp6().is_some_and(|i| i.kind() == 1);
            assert!(tap.find(Duration::from_secs(2), error).unwrap().is_some());
        }
    });
}
