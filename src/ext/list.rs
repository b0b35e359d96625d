//! The one list of extensions, and the enums made from it.
//!
//! An enum and not `dyn`: rules are compared, hashed into diffs and cloned, and a match over them is exhaustive.

use super::options::{self, Given, UsageError};
use super::{Body, Effect, Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, TargetExt, matches, targets};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;

/// Makes the enum of one kind of extension, with a method for each method of the contract.
macro_rules! extensions {
    ($(#[$doc:meta])* $name:ident: $kind:ident, $meaning:ident($packet:ty) -> $result:ty, $($variant:ident($($path:ident)::+)),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the extension of its name")]
        pub enum $name {
            $($variant($($path)::+),)*
        }

        impl $name {
            /// What each extension says of itself, in the order of the list.
            pub const ALL: &'static [&'static Spec] = &[$(&<$($path)::+ as Extension>::SPEC,)*];

            /// The extension of this name in this family, before any option.
            pub fn new(name: &[u8], family: Family) -> Option<Self> {
                $(if <$($path)::+ as Extension>::SPEC.is(name, family) {
                    return Some(Self::$variant(<$($path)::+ as Extension>::new(family)));
                })*
                None
            }

            /// What the extension says of itself.
            pub fn spec(&self) -> &'static Spec {
                match self {
                    $(Self::$variant(_) => const { &<$($path)::+ as Extension>::SPEC },)*
                }
            }

            /// The line that stock prints on standard error when it reads this option.
            pub fn warning(&self, given: &Given<'_>, cx: &ParseCx<'_>) -> Option<Cow<'static, str>> {
                match self {
                    $(Self::$variant(_) => <$($path)::+ as Extension>::warning(given, cx),)*
                }
            }

            /// The revision of its xt struct that stock writes.
            pub fn revision(&self, family: Family) -> u32 {
                match self {
                    $(Self::$variant(_) => <$($path)::+ as Extension>::revision(family),)*
                }
            }

            /// Takes one option (see [`options::give`]).
            pub fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
                match self {
                    $(Self::$variant(ext) => ext.set(given, cx),)*
                }
            }

            /// The line that stock prints on standard error when the rule has been read, before [`Self::finish`].
            pub fn last_warning(&self, seen: u32) -> Option<&'static str> {
                match self {
                    $(Self::$variant(_) => <$($path)::+ as Extension>::last_warning(seen),)*
                }
            }

            /// Checks and completes it when the rule has been read: the extension's own checks come before those of its table, as in stock.
            pub fn finish(&mut self, seen: u32, cx: &ParseCx<'_>) -> Result<(), UsageError> {
                match self {
                    $(Self::$variant(ext) => ext.finish(seen, cx)?,)*
                }
                options::check_together(self.spec(), seen)
            }

            /// Prints its options as `-S` does.
            pub fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
                match self {
                    $(Self::$variant(ext) => ext.save(out, cx),)*
                }
            }

            /// Prints its `-L` column.
            pub fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
                match self {
                    $(Self::$variant(ext) => ext.list(out, cx),)*
                }
            }

            /// Writes the expressions that stock writes.
            pub fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
                match self {
                    $(Self::$variant(ext) => ext.encode(family, x),)*
                }
            }

            /// Writes native expressions instead of its xt form; says false if there are none.
            pub fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
                match self {
                    $(Self::$variant(ext) => ext.native(cx, x),)*
                }
            }

            /// Prints it in the words of nft(8); says false if there is no translation.
            pub fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
                match self {
                    $(Self::$variant(ext) => ext.translate(cx, out),)*
                }
            }

            /// Writes its xt struct, without the padding at the end.
            pub fn blob(&self, family: Family, blob: &mut BlobWriter<'_>) {
                match self {
                    $(Self::$variant(ext) => ext.blob(family, blob),)*
                }
            }

            /// Whether its save form is taken in a rule with this `-p`.
            pub fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
                match self {
                    $(Self::$variant(ext) => ext.sayable(protocol),)*
                }
            }

            /// Clears the bytes of a dumped struct of its kind that mean nothing.
            pub fn scrub(&self, info: &mut [u8]) {
                match self {
                    $(Self::$variant(_) => <$($path)::+ as Extension>::scrub(info),)*
                }
            }

            /// Reads an xt expression: exactly, or not at all. `scratch` is room that is used again from call to call.
            pub fn decode(name: &[u8], revision: u32, info: &[u8], family: Family, scratch: &mut Vec<u8>) -> Option<Self> {
                $({
                    let spec = const { &<$($path)::+ as Extension>::SPEC };
                    if spec.wire.as_bytes() == name
                        && spec.families.contains(&family)
                        && <$($path)::+ as Extension>::revision(family) == revision
                        && let Some(ext) = exact::<$($path)::+>(info, family, scratch)
                    {
                        return Some(Self::$variant(ext));
                    }
                })*
                None
            }

            /// Offers a native condition or expression to each extension of the family in turn.
            pub fn raise(item: &Item<'_>, family: Family, body: &mut Body) -> bool {
                $((<$($path)::+ as Extension>::SPEC.families.contains(&family) && <$($path)::+ as $kind>::raise(item, body)) ||)*
                    false
            }

            /// Its meaning for a packet: whether it matches, or what it does.
            pub fn $meaning(&self, packet: $packet, env: &mut Env<'_>) -> $result {
                match self {
                    $(Self::$variant(ext) => ext.$meaning(packet, env),)*
                }
            }
        }
    };
}

/// Decodes and then encodes again: the value is accepted only if it says every bit of the struct.
fn exact<E: Extension>(info: &[u8], family: Family, scratch: &mut Vec<u8>) -> Option<E> {
    let ext = E::decode(info, family)?;
    scratch.clear();
    let mut blob = BlobWriter::new(scratch);
    ext.blob(family, &mut blob);
    blob.align(8);
    let len = scratch.len();
    if len != info.len().next_multiple_of(8) {
        return None;
    }
    scratch.extend_from_slice(info);
    scratch.resize(2 * len, 0);
    let (ours, theirs) = scratch.split_at_mut(len);
    E::scrub(theirs);
    (ours == theirs).then_some(ext)
}

extensions! {
    /// A match with its options.
    Match: MatchExt, eval(&Packet) -> Tri,
    AddrType(matches::addrtype::AddrType),
    Ah(matches::ah::Ah),
    Ah6(matches::ah6::Ah6),
    Bpf(matches::bpf::Bpf),
    Cgroup(matches::cgroup::Cgroup),
    Cluster(matches::cluster::Cluster),
    Comment(matches::comment::Comment),
    ConnBytes(matches::connbytes::ConnBytes),
    ConnLabel(matches::connlabel::ConnLabel),
    ConnLimit(matches::connlimit::ConnLimit),
    ConnMark(matches::connmark::ConnMark),
    Conntrack(matches::conntrack::Conntrack),
    Cpu(matches::cpu::Cpu),
    Dccp(matches::dccp::Dccp),
    DevGroup(matches::devgroup::DevGroup),
    Dscp(matches::dscp::Dscp),
    Dst(matches::dst::Dst),
    Ecn(matches::ecn::Ecn),
    Esp(matches::esp::Esp),
    Eui64(matches::eui64::Eui64),
    Frag(matches::frag::Frag),
    HashLimit(matches::hashlimit::HashLimit),
    Hbh(matches::hbh::Hbh),
    Helper(matches::helper::Helper),
    Hl(matches::hl::Hl),
    Icmp(matches::icmp::Icmp),
    Icmp6(matches::icmp6::Icmp6),
    IpComp(matches::ipcomp::IpComp),
    IpRange(matches::iprange::IpRange),
    Ipv6Header(matches::ipv6header::Ipv6Header),
    Ipvs(matches::ipvs::Ipvs),
    Length(matches::length::Length),
    Limit(matches::limit::Limit),
    Mac(matches::mac::Mac),
    Mark(matches::mark::Mark),
    Mh(matches::mh::Mh),
    Multiport(matches::multiport::Multiport),
    NfAcct(matches::nfacct::NfAcct),
    Osf(matches::osf::Osf),
    Owner(matches::owner::Owner),
    Physdev(matches::physdev::Physdev),
    PktType(matches::pkttype::PktType),
    Policy(matches::policy::Policy),
    Quota(matches::quota::Quota),
    RateEst(matches::rateest::RateEst),
    Realm(matches::realm::Realm),
    Recent(matches::recent::Recent),
    RpFilter(matches::rpfilter::RpFilter),
    Rt(matches::rt::Rt),
    Sctp(matches::sctp::Sctp),
    Set(matches::set::Set),
    Socket(matches::socket::Socket),
    Srh(matches::srh::Srh),
    State(matches::state::State),
    Statistic(matches::statistic::Statistic),
    String(matches::string::Search),
    Tcp(matches::tcp::Tcp),
    TcpMss(matches::tcpmss::TcpMss),
    Time(matches::time::Time),
    Tos(matches::tos::Tos),
    Ttl(matches::ttl::Ttl),
    U32(matches::u32::U32),
    Udp(matches::udp::Udp),
}

extensions! {
    /// A target that is not a verdict and not a chain.
    Target: TargetExt, apply(&mut Packet) -> Effect,
    Audit(targets::audit::Audit),
    Checksum(targets::checksum::Checksum),
    Classify(targets::classify::Classify),
    ClusterIp(targets::clusterip::ClusterIp),
    ConnMark(targets::connmark::ConnMark),
    ConnSecMark(targets::connsecmark::ConnSecMark),
    Ct(targets::ct::Ct),
    Dnat(targets::dnat::Dnat),
    Dnpt(targets::dnpt::Dnpt),
    Dscp(targets::dscp::Dscp),
    Ecn(targets::ecn::Ecn),
    Hl(targets::hl::Hl),
    Hmark(targets::hmark::Hmark),
    IdleTimer(targets::idletimer::IdleTimer),
    Led(targets::led::Led),
    Log(targets::log::Log),
    Mark(targets::mark::Mark),
    Masquerade(targets::masquerade::Masquerade),
    NetMap(targets::netmap::NetMap),
    Nflog(targets::nflog::Nflog),
    NfQueue(targets::nfqueue::NfQueue),
    Notrack(targets::notrack::Notrack),
    Queue(targets::queue::Queue),
    RateEst(targets::rateest::RateEst),
    Redirect(targets::redirect::Redirect),
    Reject(targets::reject::Reject),
    SecMark(targets::secmark::SecMark),
    Set(targets::set::Set),
    Snat(targets::snat::Snat),
    Snpt(targets::snpt::Snpt),
    SynProxy(targets::synproxy::SynProxy),
    TcpMss(targets::tcpmss::TcpMss),
    TcpOptStrip(targets::tcpoptstrip::TcpOptStrip),
    Tee(targets::tee::Tee),
    Tos(targets::tos::Tos),
    TProxy(targets::tproxy::TProxy),
    Trace(targets::trace::Trace),
    Ttl(targets::ttl::Ttl),
    Ulog(targets::ulog::Ulog),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::options::{bit, give};
    use crate::types::NoNames;

    /// The protocol of `-p` in the sample.
    fn sample_protocol(spec: &Spec) -> Option<(u8, bool)> {
        let name = spec.sample.split_once("-p ")?.1.split(' ').next()?;
        crate::types::builtin_protocol(name.as_bytes()).or_else(|| name.parse().ok()).map(|p| (p, false))
    }

    /// Reads an example; of a pair's, the second word stands behind a blank.
    fn example<'a>(spec: &Spec, opt: &'static options::Opt, text: &'a str, cx: &ParseCx<'_>) -> Given<'a> {
        let (first, second) = match opt.kind {
            options::Kind::Pair => text.split_once(' ').unwrap_or((text, "")),
            options::Kind::Optional => ("", text),
            _ => (text, ""),
        };
        let given = give(spec, opt, false, 0, first.as_bytes(), cx).map(|g| g.with_second(Some(second.as_bytes())));
        given.unwrap_or_else(|e| panic!("{} --{} {text}: {e:?}", spec.name, opt.name))
    }

    /// Sets every example of every option on a fresh value and looks at blob, print and decode.
    #[test]
    fn every_example_of_every_option_is_taken() {
        for family in [Family::V4, Family::V6] {
            // Two extensions may share a name, one in each family.
            for spec in Match::ALL.iter().filter(|spec| spec.families.contains(&family)) {
                let Some(fresh) = Match::new(spec.name.as_bytes(), family) else { continue };
                for opt in spec.options {
                    for text in opt.examples_for(family) {
                        let cx = ParseCx { family, names: &NoNames, protocol: sample_protocol(spec) };
                        let mut m = fresh.clone();
                        for needed in spec.options.iter().filter(|o| opt.needs & bit(o.id) != 0) {
                            let text = *needed.examples_for(family).first().expect("an example");
                            m.set(&example(spec, needed, text, &cx), &cx).expect("a needed option");
                        }
                        let given = example(spec, opt, text, &cx);
                        m.set(&given, &cx).unwrap_or_else(|e| panic!("{} --{} {text}: {e:?}", spec.name, opt.name));
                    }
                }
            }
            for spec in Target::ALL {
                let Some(fresh) = Target::new(spec.name.as_bytes(), family) else { continue };
                for opt in spec.options {
                    for text in opt.examples_for(family) {
                        let cx = ParseCx { family, names: &NoNames, protocol: Some((6, false)) };
                        let given = example(spec, opt, text, &cx);
                        let mut t = fresh.clone();
                        t.set(&given, &cx).unwrap_or_else(|e| panic!("{} --{} {text}: {e:?}", spec.name, opt.name));
                    }
                }
            }
        }
    }

    #[test]
    fn ids_fit_the_masks() {
        for spec in Match::ALL.iter().chain(Target::ALL) {
            for opt in spec.options {
                assert!(opt.id < 32 && bit(opt.id) != 0, "{}: --{}", spec.name, opt.name);
                assert!(!opt.help.is_empty(), "{}: --{} has no help", spec.name, opt.name);
                assert!(
                    !opt.takes_value() || !opt.examples.is_empty(),
                    "{}: --{} has no examples",
                    spec.name,
                    opt.name
                );
            }
        }
    }

    /// Whatever the bytes, reading them does not panic, and neither does printing what was read.
    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut info, mut scratch, mut out) = (Vec::new(), Vec::new(), Out::new());
        let mut read = 0;
        for round in 0..300 {
            for (spec, family) in Match::ALL.iter().chain(Target::ALL).flat_map(|s| [(s, Family::V4), (s, Family::V6)])
            {
                let (len, few) = (random() as usize % 320, random() % 8);
                info.clear();
                info.extend((0..len).map(|_| if random() % 8 < few { random() as u8 } else { round as u8 & 3 }));
                for revision in 0..4 {
                    let cx = PrintCx { family, numeric: round % 2 == 0, names: &NoNames, protocol: None };
                    if let Some(m) = Match::decode(spec.wire.as_bytes(), revision, &info, family, &mut scratch) {
                        m.save(&mut out, &cx);
                        m.list(&mut out, &cx);
                        read += 1;
                    }
                    if let Some(t) = Target::decode(spec.wire.as_bytes(), revision, &info, family, &mut scratch) {
                        t.save(&mut out, &cx);
                        t.list(&mut out, &cx);
                        read += 1;
                    }
                }
                out.clear();
            }
        }
        assert!(read > 0, "not one was read");
    }
}
