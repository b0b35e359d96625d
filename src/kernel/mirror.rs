//! What rules name besides interfaces, made once more in a namespace where they are tried out: sets of ipset.
//!
//! Rules keep a set's index, so the sets of the trial have the indices of the real ones; where no real set has an index in between, one with a
//! name of ours takes it. They are empty: whether a rule can be loaded does not depend on what a set holds.

use super::ipset::{Carries, Ipset};
use crate::types::{Family, SetAnswer, SetFamily};
use std::io;

/// The sets that rules name, as they are in the namespace of the thread that looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Name and kind by index; a gap has no name.
    by_index: Vec<Option<(Vec<u8>, SetFamily)>>,
}

impl Sets {
    /// Looks up these names; those that are not there stay away, and so the rules that name them will be refused. Whoever may not ask gets a set
    /// of every name: whether it is there is not known then.
    ///
    /// # Errors
    /// That of asking the kernel.
    pub fn look_up(names: &[Vec<u8>]) -> io::Result<Self> {
        let mut sets = Self::default();
        if names.is_empty() {
            return Ok(sets);
        }
        let mut ipset = Ipset::open()?;
        for name in names {
            match ipset.by_name(name) {
                SetAnswer::Found { index, members } => sets.put(usize::from(index), name, members),
                SetAnswer::Forbidden => sets.put(sets.by_index.len(), name, SetFamily::Any),
                SetAnswer::Failed(error) => return Err(io::Error::other(error)),
                SetAnswer::Unasked | SetAnswer::Missing | SetAnswer::Unsupported => {}
            }
        }
        Ok(sets)
    }

    fn put(&mut self, index: usize, name: &[u8], members: SetFamily) {
        if self.by_index.len() <= index {
            self.by_index.resize(index + 1, None);
        }
        if let Some(place) = self.by_index.get_mut(index) {
            *place = Some((name.to_vec(), members));
        }
    }

    /// Makes them in the namespace of the calling thread, which must have no sets yet.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn make(&self) -> io::Result<()> {
        if self.by_index.is_empty() {
            return Ok(());
        }
        let mut ipset = Ipset::open()?;
        let everything = Carries { counters: true, skbinfo: true, timeout: None };
        for (index, set) in self.by_index.iter().enumerate() {
            match set {
                None => ipset.create(format!("oxtables-gap-{index}").as_bytes(), b"hash:ip", Family::V4, everything)?,
                Some((name, SetFamily::Ip(family))) => ipset.create(name, b"hash:ip", *family, everything)?,
                Some((name, SetFamily::Any)) => ipset.create_list(name)?,
            }
        }
        Ok(())
    }
}
