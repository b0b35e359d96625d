//! Rules of many chains at once, on several threads where there are enough of them.
//!
//! Nearly all the time of reading rules is the kernel's, which writes them in the system call of whoever reads; two sockets on two threads
//! make it write twice as fast. One chain is always read by one thread, in order.

use super::error::{CommitError, Error};
use super::session::{Chain, Session};
use super::{Batch, Event};
use crate::types::Family;
use crate::wire::msg::RuleMsg;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// From this number of rules on, a thread costs less than it saves (measured: a thread 60 µs, a rule about 1 µs).
const WORTH_A_THREAD: u64 = 1000;

/// More readers than this only wait for each other's memory.
const THREADS_MAX: usize = 8;

/// What is to be done for each chain.
struct Job<'a, T> {
    family: Family,
    chains: &'a [&'a Chain],
    /// Indices of `chains`, the longest first.
    order: Vec<usize>,
    next: AtomicUsize,
    start: &'a (dyn Fn(usize) -> T + Sync),
    each: &'a (dyn Fn(&mut T, &RuleMsg<'_>) + Sync),
    done: Mutex<Vec<Option<T>>>,
}

impl Session {
    /// Reads the rules of these chains: for the chain at index `i`, `each` is called with every rule in order on the value that `start(i)` made.
    /// The values come back in the order of `chains`. If a dump has to begin again, so does its value. Nothing is said about changes between
    /// two chains: compare [`Session::generation`] before and after.
    ///
    /// # Errors
    /// [`Error::Unlistable`] if the kernel does not show all rules of a base chain; else as [`Session::rules`].
    pub fn rules_of<T: Send>(
        &mut self,
        family: Family,
        chains: &[&Chain],
        start: &(dyn Fn(usize) -> T + Sync),
        each: &(dyn Fn(&mut T, &RuleMsg<'_>) + Sync),
    ) -> Result<Vec<T>, Error> {
        let mut order: Vec<usize> = (0..chains.len()).collect();
        order.sort_by_key(|i| chains.get(*i).map_or(0, |c| u32::MAX - c.uses));
        let done = Mutex::new(chains.iter().map(|_| None).collect());
        let job = Job { family, chains, order, next: AtomicUsize::new(0), start, each, done };
        let helpers = helpers(chains);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..helpers)
                .map_while(|_| {
                    let work = || Session::open().and_then(|mut session| session.work(&job));
                    thread::Builder::new().spawn_scoped(scope, work).ok()
                })
                .collect();
            let mut result = self.work(&job);
            for thread in threads {
                let other = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(other);
            }
            result
        })?;
        let done = job.done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(done.into_iter().flatten().collect())
    }

    /// Takes chains until there are none left.
    fn work<T>(&mut self, job: &Job<'_, T>) -> Result<(), Error> {
        while let Some(i) = job.order.get(job.next.fetch_add(1, Relaxed)) {
            let Some(chain) = job.chains.get(*i) else { continue };
            let value = self.whole_chain(job, *i, chain);
            let mut done = job.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match value {
                Ok(value) => {
                    if let Some(place) = done.get_mut(*i) {
                        *place = Some(value);
                    }
                }
                Err(e) => {
                    job.next.store(job.order.len(), Relaxed);
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// The rules of one chain. Those of a base chain are counted: the kernel's own number of them also has those of a transaction that is
    /// still under way, so if the two differ, they are compared again where no transaction can be.
    fn whole_chain<T>(&mut self, job: &Job<'_, T>, i: usize, chain: &Chain) -> Result<T, Error> {
        // A transaction that fails leaves no trace but a wrong number for a moment: not three times in turn.
        const TRIES: usize = 3;
        let (value, rules) = self.read_chain(job, i, chain)?;
        if chain.can_have(rules) {
            return Ok(value);
        }
        let mut tries = 0;
        while tries < TRIES {
            let generation = self.generation()?;
            if !self.is_quiet(job.family, generation)? {
                continue;
            }
            let Some(now) = self.chain(job.family, &chain.table, &chain.name)? else { break };
            let (value, rules) = self.read_chain(job, i, chain)?;
            if now.can_have(rules) {
                return Ok(value);
            }
            if self.is_quiet(job.family, generation)? {
                tries += 1;
            }
        }
        if tries == TRIES { Err(Error::Unlistable) } else { Ok((job.start)(i)) }
    }

    fn read_chain<T>(&mut self, job: &Job<'_, T>, i: usize, chain: &Chain) -> Result<(T, u32), Error> {
        let (mut value, mut rules) = ((job.start)(i), 0);
        self.rules(job.family, &chain.table, &chain.name, &mut |event| {
            match event {
                Event::Rule(rule) => {
                    (job.each)(&mut value, rule);
                    rules += 1;
                }
                Event::Restart => (value, rules) = ((job.start)(i), 0),
            }
            ControlFlow::Continue(())
        })?;
        Ok((value, rules))
    }

    /// Waits for the end of any transaction and says whether the ruleset is still of this generation: what an empty batch does.
    fn is_quiet(&mut self, family: Family, generation: u32) -> Result<bool, Error> {
        match self.commit(&Batch::new(family), Some(generation)) {
            Ok(()) => Ok(true),
            Err(CommitError::Kernel(e)) => Err(e),
            Err(_) => Ok(false),
        }
    }
}

/// How many threads beside this one are worth their start.
fn helpers(chains: &[&Chain]) -> usize {
    let rules: u64 = chains.iter().map(|c| u64::from(c.uses)).sum();
    if chains.len() < 2 || rules < 2 * WORTH_A_THREAD {
        return 0;
    }
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let worth = usize::try_from(rules / WORTH_A_THREAD).unwrap_or(usize::MAX);
    cpus.min(THREADS_MAX).min(worth).min(chains.len()).saturating_sub(1)
}
