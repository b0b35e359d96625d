//! A rule as a command writes it: one body for each combination of its addresses.

use super::Error;
use crate::ext::options::{numeric_host, usage_bytes};
use crate::ext::{Body, base};
use crate::types::{Counters, Family, Names, Network, prefix_mask};
use std::net::IpAddr;

/// The rule of an `-A`, `-I`, `-R`, `-C` or `-D`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSpec {
    /// Everything but the addresses.
    pub body: Body,
    /// `-s`, each address of the list; empty if not given.
    pub sources: Vec<Network>,
    /// `! -s`.
    pub not_source: bool,
    /// `-d`, likewise.
    pub destinations: Vec<Network>,
    /// `! -d`.
    pub not_destination: bool,
    /// `-c`, or the counters before a line of a save file.
    pub counters: Counters,
}

impl RuleSpec {
    /// The one rule of this body.
    pub fn of(body: &Body, counters: Counters) -> Self {
        let list = |end: &Option<(Network, bool)>| end.iter().map(|(network, _)| *network).collect();
        let not = |end: &Option<(Network, bool)>| end.is_some_and(|(_, not)| not);
        let base = &body.base;
        Self {
            sources: list(&base.src),
            not_source: not(&base.src),
            destinations: list(&base.dst),
            not_destination: not(&base.dst),
            body: body.clone(),
            counters,
        }
    }

    /// How many rules it makes.
    pub fn len(&self) -> usize {
        self.sources.len().max(1) * self.destinations.len().max(1)
    }

    /// It always makes at least one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Calls `each` with the body of each rule in order: the sources outside, the destinations inside.
    pub fn for_each<E>(&mut self, mut each: impl FnMut(&Body) -> Result<(), E>) -> Result<(), E> {
        let (sources, destinations) = (std::mem::take(&mut self.sources), std::mem::take(&mut self.destinations));
        let result = self.combinations(&sources, &destinations, &mut each);
        (self.sources, self.destinations) = (sources, destinations);
        result
    }

    fn combinations<E>(
        &mut self,
        sources: &[Network],
        destinations: &[Network],
        each: &mut impl FnMut(&Body) -> Result<(), E>,
    ) -> Result<(), E> {
        let one_or_more = |list: &[Network]| list.len().max(1);
        for s in 0..one_or_more(sources) {
            self.body.base.src = sources.get(s).map(|n| (*n, self.not_source)).filter(|(n, not)| *not || !n.is_any());
            for d in 0..one_or_more(destinations) {
                let dst = destinations.get(d).map(|n| (*n, self.not_destination));
                self.body.base.dst = dst.filter(|(n, not)| *not || !n.is_any());
                each(&self.body)?;
            }
        }
        Ok(())
    }
}

/// The networks of a `-s` or `-d`: a list with commas, each an address, a network name or a host name, with an optional mask.
pub fn networks(text: &[u8], family: Family, names: &dyn Names) -> Result<Vec<Network>, Error> {
    let mut all: Vec<Network> = Vec::new();
    for item in text.split(|b| *b == b',') {
        let item = item.trim_ascii_start();
        let slash = item.iter().rposition(|b| *b == b'/');
        let (name, mask) = match slash {
            Some(at) => (item.get(..at).unwrap_or_default(), item.get(at + 1..)),
            None => (item, None),
        };
        let mask = match mask {
            None => prefix_mask(family, family.addr_bits()),
            Some(m) => base::mask(m, family).ok_or_else(|| usage_bytes("invalid mask `", m, "' specified"))?,
        };
        // Of a mask of nothing, stock does not look at what stands before it.
        let nothing = family.unspecified();
        let found = if mask == nothing { vec![nothing] } else { addresses(name, family, names)? };
        // The addresses of one name may be one network.
        let from = all.len();
        for net in found.into_iter().filter_map(|addr| Network::new(addr, mask)) {
            let known = all.get(from..).is_some_and(|item| item.contains(&net));
            if slash.is_none() || !known {
                all.push(net);
            }
        }
    }
    Ok(all)
}

fn addresses(name: &[u8], family: Family, names: &dyn Names) -> Result<Vec<IpAddr>, Error> {
    if let Some(addr) = numeric_host(name, family) {
        return Ok(vec![addr]);
    }
    if family == Family::V4
        && let Some(net) = names.network(name)
    {
        return Ok(vec![net]);
    }
    let found = if name.is_empty() { Vec::new() } else { names.hosts(name, family) };
    if found.is_empty() {
        return Err(usage_bytes("host/network `", name, "' not found").into());
    }
    Ok(found)
}
