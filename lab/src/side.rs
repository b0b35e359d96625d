//! One side of a comparison: a program set in a network namespace of its own, with the lab's own view of the kernel.

use std::io;

use oxtables::ext::Match;
use oxtables::kernel::ipset::{Carries, Ipset};
use oxtables::types::Family;

use crate::dump::Dump;
use crate::netlink::Netlink;
use crate::netns::Netns;
use crate::oracle::{Call, Outcome, Programs};

/// A program set and its namespace.
#[derive(Debug)]
pub struct Side {
    /// The programs that run here unless others are named.
    pub programs: Programs,
    /// Where they run.
    pub netns: Netns,
    netlink: Netlink,
}

impl Side {
    /// Puts `programs` into a fresh namespace.
    ///
    /// # Errors
    /// As [`Netns::new`].
    pub fn new(programs: Programs) -> io::Result<Self> {
        let netns = Netns::new()?;
        let inside = netns.enter()?;
        let mut netlink = Netlink::open(1 << 18)?;
        make_sets()?;
        drop(inside);
        accounts(&mut netlink);
        Ok(Self { programs, netns, netlink })
    }

    /// Runs a command here.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, call: &Call) -> io::Result<Outcome> {
        self.run_other(&self.programs, call)
    }

    /// Runs a command of another program set in this side's namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_other(&self, programs: &Programs, call: &Call) -> io::Result<Outcome> {
        let _inside = self.netns.enter()?;
        programs.run(call)
    }

    /// What the kernel holds here.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn dump(&mut self) -> io::Result<Dump> {
        Dump::read(&mut self.netlink)
    }

    /// Deletes every table here.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn flush(&mut self) -> io::Result<()> {
        self.netlink.flush()
    }
}

/// Makes the accounting objects that `-m nfacct` has for examples. A kernel without them refuses the rules on both sides alike.
fn accounts(netlink: &mut Netlink) {
    let nfacct = Match::ALL.iter().find(|spec| spec.name == "nfacct");
    for name in nfacct.into_iter().flat_map(|spec| spec.options).flat_map(|opt| opt.examples) {
        let name = name.as_bytes();
        let _ = netlink.account(name.get(..31).unwrap_or(name));
    }
}

/// Makes the sets of ipset that the examples of `-m set` and `-j SET` name, in the calling thread's namespace.
///
/// # Errors
/// What the kernel answers.
pub fn make_sets() -> io::Result<()> {
    let mut ipset = Ipset::open()?;
    let carries = Carries { counters: true, timeout: Some(0), ..Carries::default() };
    for (family, digit) in [(Family::V4, '4'), (Family::V6, '6')] {
        ipset.create(format!("lab{digit}").as_bytes(), b"hash:ip", family, carries)?;
        ipset.create(format!("labp{digit}").as_bytes(), b"hash:ip,port", family, carries)?;
        let skbinfo = Carries { skbinfo: true, ..Carries::default() };
        ipset.create(format!("labskb{digit}").as_bytes(), b"hash:ip", family, skbinfo)?;
    }
    ipset.create(b"lablist", b"list:set", Family::V4, Carries::default())
}

/// Both sides.
#[derive(Debug)]
pub struct Pair {
    /// Stock, or what stands in for it.
    pub theirs: Side,
    /// Ours, or what stands in for it.
    pub ours: Side,
}

impl Pair {
    /// Stock against ours.
    ///
    /// # Errors
    /// As [`Side::new`].
    pub fn new() -> io::Result<Self> {
        Self::of(Programs::theirs(), Programs::ours())
    }

    /// Any two program sets.
    ///
    /// # Errors
    /// As [`Side::new`].
    pub fn of(theirs: Programs, ours: Programs) -> io::Result<Self> {
        Ok(Self { theirs: Side::new(theirs)?, ours: Side::new(ours)? })
    }

    /// Empties both kernels.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn flush(&mut self) -> io::Result<()> {
        self.theirs.flush()?;
        self.ours.flush()
    }

    /// Runs a command on both sides: stock's outcome first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, call: &Call) -> io::Result<(Outcome, Outcome)> {
        Ok((self.theirs.run(call)?, self.ours.run(call)?))
    }
}
