//! What an evaluation may know besides the packet: the hook, the clock, chance, the host's addresses, and the state that rules keep.
//!
//! All of it is handed in; nothing here reads the system.

use crate::types::Hook;
use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;

/// The surroundings of one evaluation.
pub struct Env<'a> {
    /// The hook that the packet is at.
    pub hook: Hook,
    /// The time in nanoseconds since the Unix epoch (UTC).
    pub now_ns: u64,
    /// What the host knows about addresses.
    pub host: &'a dyn Host,
    /// What rules remember between packets.
    pub state: &'a mut State,
    /// The next random number, uniform over all of u32.
    pub random: &'a mut dyn FnMut() -> u32,
    /// The place of the extension being evaluated, set by the walk: matches that keep state for themselves (`limit`) key it with this.
    pub place: Place,
    /// Set by a match that finds the packet too short or too odd to judge: the kernel then drops it at once, whatever the rule says
    /// (`hotdrop` of `struct xt_action_param`). The walk clears it before, and looks at it after, each match.
    pub hotdrop: bool,
}

/// The place of an extension in a ruleset: unique for each match of each rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Number of the rule, unique in the ruleset.
    pub rule: u64,
    /// Number of the match in the rule, from 0.
    pub part: u32,
}

/// The routing table's type of an address (`RTN_*`, `linux/rtnetlink.h`), as `addrtype` asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are rtnetlink's")]
pub enum AddrType {
    Unspec = 0,
    Unicast = 1,
    Local = 2,
    Broadcast = 3,
    Anycast = 4,
    Multicast = 5,
    Blackhole = 6,
    Unreachable = 7,
    Prohibit = 8,
    Throw = 9,
    Nat = 10,
    Xresolve = 11,
}

/// What the host knows that a packet does not carry.
pub trait Host {
    /// The type of an address, on an interface if one is named; `None` if it is not known.
    fn addr_type(&self, addr: IpAddr, iface: Option<&[u8]>) -> Option<AddrType>;
}

/// A host of which nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownHost;

impl Host for UnknownHost {
    fn addr_type(&self, _: IpAddr, _: Option<&[u8]>) -> Option<AddrType> {
        None
    }
}

/// State that outlives a packet: token buckets, address lists. Each extension keeps its own type in its own cells.
#[derive(Default)]
pub struct State {
    cells: HashMap<(&'static str, Vec<u8>), Box<dyn Any>>,
}

impl State {
    /// The cell `key` of the extension `owner`, made with the type's default if it is not there. One owner uses one type.
    pub fn cell<T: Any + Default>(&mut self, owner: &'static str, key: &[u8]) -> &mut T {
        let cell = self.cells.entry((owner, key.to_vec())).or_insert_with(|| Box::new(T::default()));
        if !cell.is::<T>() {
            *cell = Box::new(T::default());
        }
        match cell.downcast_mut() {
            Some(t) => t,
            None => unreachable!("the cell was just made of this type"),
        }
    }
}

impl Place {
    /// The place as a cell key.
    pub fn key(self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.rule.to_ne_bytes();
        let [i, j, k, l] = self.part.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}
