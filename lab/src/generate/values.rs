//! Random values of the kinds that iptables options take, in canonical and in less usual spellings.

use crate::random::Random;

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A port number or service name.
    Port,
    /// One port or a range with `:`, ends open or not.
    Ports,
    /// A list of ports and ranges, 1 to 15 slots.
    PortList,
    /// An address with or without mask.
    Network,
    /// An address with or without a prefix length.
    Prefix,
    /// Two addresses with `-`, or one.
    AddressRange,
    /// A number in `0..=MAX`, decimal, hex or octal.
    Number(u64),
    /// One number or a range with this separator.
    Range(u64, char),
    /// A user or group: name, number, or a range with `-`.
    Ids,
    /// A 32-bit value with or without a mask.
    Masked,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A comma-separated list of these words.
    Words(&'static [&'static str]),
    /// Two lists of these words (tcp flags).
    TwoLists(&'static [&'static str]),
    /// A rate: number, slash, unit.
    Rate,
    /// A hardware address.
    Mac,
    /// Any text up to so many bytes.
    Text(usize),
    /// A short name.
    Name,
    /// `type` or `type/code`, or one of these names.
    Icmp(&'static [&'static str]),
    /// A NAT destination: address (range), port (range).
    NatTarget,
    /// NAT ports with `-`.
    NatPorts,
    /// A dotted (or IPv6) mask.
    Mask,
    /// A network interface.
    Interface,
    /// A protocol's name or number.
    Protocol,
}

const SERVICES: [&str; 6] = ["ssh", "http", "https", "domain", "ftp", "smtp"];
const INTERFACES: [&str; 11] =
    ["lo", "eth0", "eth1", "wlan0", "br-0a1b2c3d4e5f", "docker0", "tun+", "eth+", "+", "ppp0.1", "a"];
#[rustfmt::skip]
const PROTOCOLS: [&str; 13] =
    ["tcp", "udp", "icmp", "ipv6-icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "ah", "gre", "all", "ospf"];
const NUMBERS: [u64; 12] = [0, 1, 2, 5, 21, 22, 53, 80, 443, 1023, 1024, 65535];

impl Value {
    /// The words of one random value for this family (true: IPv6).
    pub fn words(self, random: &mut Random, v6: bool) -> Vec<Vec<u8>> {
        match self {
            Self::Text(longest) => vec![text(random, longest)],
            Self::TwoLists(words) => {
                let list = |random: &mut Random| match random.below(8) {
                    0 => "ALL".to_owned(),
                    1 => "NONE".to_owned(),
                    _ => some_of(random, words),
                };
                vec![list(random).into_bytes(), list(random).into_bytes()]
            }
            _ => vec![self.word(random, v6).into_bytes()],
        }
    }

    fn word(self, random: &mut Random, v6: bool) -> String {
        match self {
            Self::Port => port(random),
            Self::Ports => ports(random, ':'),
            Self::PortList => {
                let most = if random.percent(10) { 16 } else { 5 };
                let count = 1 + random.below(most);
                let one =
                    |random: &mut Random| if random.percent(20) { pair(random, 65535, ':') } else { port(random) };
                let list: Vec<_> = (0..count).map(|_| one(random)).collect();
                list.join(",")
            }
            Self::Network => network(random, v6),
            Self::Prefix => {
                let (host, bits) = (host(random, v6), if v6 { 128 } else { 32 });
                if random.percent(40) { host } else { format!("{host}/{}", random.between(0, bits)) }
            }
            Self::AddressRange => {
                let (a, b) = (address_number(random, v6), address_number(random, v6));
                let (a, b) = if random.percent(95) { (a.min(b), a.max(b)) } else { (a, b) };
                if random.percent(25) { address(a, v6) } else { format!("{}-{}", address(a, v6), address(b, v6)) }
            }
            Self::Number(max) => number(random, max),
            Self::Range(max, separator) => match random.below(6) {
                0 | 1 => number(random, max),
                2 => format!("{}{separator}", number(random, max)),
                3 => format!("{separator}{}", number(random, max)),
                _ => pair(random, max, separator),
            },
            Self::Ids => match random.below(4) {
                0 => "root".to_owned(),
                1 => pair(random, 4_294_967_294, '-'),
                _ => number(random, 4_294_967_294),
            },
            Self::Masked => match random.below(3) {
                0 => number(random, u64::from(u32::MAX)),
                1 => format!("0x{:x}", random.bits() >> 32),
                _ => {
                    format!("{}/0x{:x}", number(random, u64::from(u32::MAX)), (random.bits() >> 32) >> random.below(32))
                }
            },
            Self::Word(words) => some_case(random, words),
            Self::Words(words) => some_of(random, words),
            Self::Rate => {
                let units = ["", "/s", "/sec", "/second", "/m", "/min", "/minute", "/h", "/hour", "/d", "/day"];
                let count = if random.percent(80) { random.between(1, 60) } else { random.between(0, 10001) };
                format!("{count}{}", random.word(&units))
            }
            Self::Name => {
                let most = if random.percent(5) { 40 } else { 8 };
                let count = 1 + random.below(most);
                (0..count).map(|_| char::from(*random.pick(b"abcdefgXYZ019_-."))).collect()
            }
            Self::Icmp(names) => match random.below(4) {
                0 => random.below(256).to_string(),
                1 => format!("{}/{}", random.below(256), random.below(256)),
                _ => some_case(random, names),
            },
            Self::NatTarget => nat_target(random, v6),
            Self::NatPorts => match random.below(4) {
                0 | 1 => number(random, 65535),
                2 => random.word(&SERVICES).to_string(),
                _ => pair(random, 65535, '-'),
            },
            Self::Mask if v6 => format!("ffff:{:x}::", random.below(65536)),
            Self::Mask => random.word(&["255.255.255.255", "255.255.255.0", "255.0.255.0", "0.0.0.0"]).to_string(),
            _ => self.by_name(random),
        }
    }

    /// Values that are much the same in both families.
    fn by_name(self, random: &mut Random) -> String {
        match self {
            Self::Mac => {
                let bytes: Vec<_> = (0..6).map(|_| format!("{:02x}", random.below(256))).collect();
                let text = bytes.join(":");
                if random.percent(30) { text.to_uppercase() } else { text }
            }
            Self::Interface => random.word(&INTERFACES).to_owned(),
            Self::Protocol if random.percent(85) => random.word(&PROTOCOLS).to_owned(),
            Self::Protocol => random.below(256).to_string(),
            _ => String::new(),
        }
    }
}

/// Free text: mostly tame, sometimes with quotes, backslashes, control bytes, or bytes that are not UTF-8.
pub fn text(random: &mut Random, longest: usize) -> Vec<u8> {
    // Some options take text of any length and cut it.
    let longest = longest.min(400);
    let length = match random.below(10) {
        0 => random.below(longest + 3),
        1 => longest,
        _ => random.below(longest.min(24)),
    };
    let wild = random.percent(15);
    let byte = |random: &mut Random| match random.below(if wild { 12 } else { 10 }) {
        0 => *random.pick(b" :.,_-/()[]#'\"\\$%&!~"),
        10 => *random.pick(b"\t\x01\x7f\xe2\x80\x93\xff\xc3\xa4"),
        _ => *random.pick(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "),
    };
    (0..length).map(|_| byte(random)).collect()
}

/// A random address in text form.
pub fn host(random: &mut Random, v6: bool) -> String {
    let number = address_number(random, v6);
    address(number, v6)
}

fn some_case(random: &mut Random, words: &[&'static str]) -> String {
    let word = random.word(words);
    cased(random, word)
}

/// The word as it is; rarely in the other case.
fn cased(random: &mut Random, word: &str) -> String {
    match random.below(40) {
        0 => word.to_lowercase(),
        1 => word.to_uppercase(),
        _ => word.to_owned(),
    }
}

fn some_of(random: &mut Random, words: &[&'static str]) -> String {
    let count = 1 + random.below(words.len().min(4));
    let list: Vec<_> = (0..count).map(|_| random.word(words)).collect();
    let list = list.join(",");
    cased(random, &list)
}

fn number(random: &mut Random, max: u64) -> String {
    let value = match random.below(4) {
        0 => (*random.pick(&NUMBERS)).min(max),
        1 if random.percent(20) => max,
        _ => {
            let bits = random.between(4, 34);
            random.between(0, max.min(1 << bits))
        }
    };
    match random.below(20) {
        0 => format!("0x{value:x}"),
        1 => format!("0{value:o}"),
        2 => format!("0X{value:X}"),
        _ => value.to_string(),
    }
}

fn port(random: &mut Random) -> String {
    if random.percent(20) { random.word(&SERVICES).to_string() } else { number(random, 65535) }
}

fn ports(random: &mut Random, separator: char) -> String {
    match random.below(8) {
        0 => format!("{separator}{}", port(random)),
        1 => format!("{}{separator}", port(random)),
        2 | 3 => pair(random, 65535, separator),
        4 if random.percent(20) => format!("0{separator}65535"),
        _ => port(random),
    }
}

fn pair(random: &mut Random, max: u64, separator: char) -> String {
    let (a, b) = (random.between(0, max.min(70000)), random.between(0, max.min(70000)));
    if random.percent(97) { format!("{}{separator}{}", a.min(b), a.max(b)) } else { format!("{a}{separator}{b}") }
}

fn address_number(random: &mut Random, v6: bool) -> u128 {
    let low = u128::from(random.bits());
    if v6 {
        match random.below(4) {
            0 => (0x2001_0db8 << 96) | low,
            1 => (0xfe80 << 112) | (low >> 32),
            2 => (u128::from(random.bits()) << 64) | low,
            _ => (0x2001_0db8 << 96) | (low % 65536),
        }
    } else {
        match random.below(4) {
            0 => 0xc000_0200 | (low % 256),
            1 => 0x0a00_0000 | (low % (1 << 24)),
            _ => low % (1 << 32),
        }
    }
}

fn address(number: u128, v6: bool) -> String {
    if v6 {
        std::net::Ipv6Addr::from(number).to_string()
    } else {
        std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or(0)).to_string()
    }
}

fn network(random: &mut Random, v6: bool) -> String {
    let (host, bits) = (host(random, v6), if v6 { 128 } else { 32 });
    match random.below(12) {
        0..=3 => host,
        4..=7 => format!("{host}/{}", random.between(0, bits)),
        8 => format!("{host}/{bits}"),
        9 if v6 => format!("{host}/{}", std::net::Ipv6Addr::from(u128::MAX << random.below(128))),
        9 => format!("{host}/{}", std::net::Ipv4Addr::from(u32::MAX << random.below(32))),
        10 if v6 => format!("{host}/{}", std::net::Ipv6Addr::from(u128::from(random.bits()) << 64)),
        10 => format!("{host}/{}", std::net::Ipv4Addr::from(u32::try_from(random.bits() >> 32).unwrap_or(0))),
        _ if v6 => random.word(&["::/0", "::1", "::ffff:192.0.2.1", "2001:DB8::/32", "::"]).to_string(),
        _ => random.word(&["0.0.0.0/0", "0/0", "10/8", "127.0.0.1", "192.168.1/24", "0.0.0.0", "10.1"]).to_string(),
    }
}

fn nat_target(random: &mut Random, v6: bool) -> String {
    let (a, b) = (address_number(random, v6), address_number(random, v6));
    let (a, b) = (address(a.min(b), v6), address(a.max(b), v6));
    let open = |text: &str| if v6 { format!("[{text}]") } else { text.to_owned() };
    let ports = match random.below(3) {
        0 => number(random, 65535),
        1 => pair(random, 65535, '-'),
        _ => format!("{}/{}", pair(random, 65535, '-'), random.below(65536)),
    };
    match random.below(6) {
        0 | 1 => a,
        2 => format!("{a}-{b}"),
        3 => format!("{}:{ports}", open(&a)),
        4 if v6 => format!("[{a}-{b}]:{ports}"),
        4 => format!("{a}-{b}:{ports}"),
        _ => format!(":{ports}"),
    }
}
