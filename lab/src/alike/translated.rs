//! Translations: each rule in stock's encoding, and beside it what `nft -f` makes of the words that `iptables-translate` prints for it;
//! real packets; and the two counters must be equal.
//!
//! Stock's form stands before the translated one: a packet that a match drops, as some do with cut off headers, meets neither.

use std::io::Write;
use std::process::{Command, Stdio};

use oxtables::ext::nft::nft_family;
use oxtables::ext::{Action, Body, PrintCx};
use oxtables::kernel::{Batch, RulePlace, Session};
use oxtables::types::{Family, NoNames, Out};
use oxtables::wire::Verdict;

use super::targets::drawn;
use super::{
    ANYWHERE, Other, Pair, Place, Road, TRACKING, Tally, bodies, clear, compat_of, each_rule, key, name_of, places,
    prepare, said,
};
use crate::generate::Rule;
use crate::generate::extension::Subject;
use crate::random::Random;

/// Generic conditions, alone and beside a match; a family takes those that it can read.
const GENERIC: [&str; 29] = [
    "-s 192.0.2.0/24",
    "! -s 192.0.2.254",
    "-d 203.0.113.0/29",
    "! -d 203.0.113.0/255.255.255.252",
    "-d 203.0.113.3/255.0.255.255",
    "! -s 192.0.0.254/255.255.0.255",
    "-s 2001:db8:1::/48",
    "! -d 2001:db8:2::2",
    "! -s 2001:db8:1::ff",
    "! -d 203.0.113.2",
    "! -s 203.0.113.2/31",
    "-d 2001:db8::2/ffff:ffff::ffff",
    "-i eth0",
    "! -i eth0",
    "-i eth+",
    "! -i lo",
    "-o eth1",
    "! -o eth1",
    "! -o eth+",
    "-i +",
    "-f",
    "! -f",
    "-p tcp",
    "! -p udp",
    "-p 51",
    "! -p icmp",
    "-p ipv6-icmp",
    "-p all",
    "-s 0.0.0.0/0",
];

impl Road {
    /// Tries translated rules of matches: `count` of each subject, and of the generic conditions; then packets at all of them.
    ///
    /// # Panics
    /// When the kernel cannot be asked, or `nft` cannot be started.
    pub fn translated_matches(
        &self,
        random: &mut Random,
        subjects: &[Subject],
        count: usize,
        tracked: bool,
        tally: &mut Tally,
    ) {
        for family in [Family::V4, Family::V6] {
            let mut session = self.router.run(Session::open).expect("a host").expect("a session");
            clear(&mut session);
            prepare(&mut session, family, tracked);
            let mut pairs = Vec::new();
            for subject in subjects.iter().filter(|s| !s.target && s.v6 == (family == Family::V6)) {
                if !TRACKING.contains(&subject.spec.name) || tracked {
                    pairs.extend(some_of(random, subject, count, tally));
                }
            }
            pairs.extend(generic(random, family, count, tally));
            // The rules of a chain stand together, as they will be read.
            let all = places(&pairs);
            pairs.sort_by_key(|pair| all.iter().position(|place| *place == pair.place));
            let guards = guard(&mut session, &all);
            let mut loaded = Vec::new();
            self.load(pairs, &mut loaded, tally);
            let pairs = beside(&mut session, loaded, tally);
            session.commit(&guards, None).expect("the guards are deleted");
            self.try_packets(random, &mut session, family, &pairs, tally);
        }
    }

    /// Tries translated rules of targets: `count` of each subject.
    ///
    /// # Panics
    /// When the kernel cannot be asked, or `nft` cannot be started.
    pub fn translated_targets(&self, random: &mut Random, subjects: &[Subject], count: usize, tally: &mut Tally) {
        for subject in subjects.iter().filter(|s| s.target) {
            let mut done = 0;
            for _ in 0..4 * count {
                if done >= count {
                    break;
                }
                let Some((place, body)) = drawn(random, subject) else { continue };
                let Some(words) = words(&body, place) else {
                    tally.seen.entry(key(&name_of(subject), place.0)).or_default().same += 1;
                    continue;
                };
                // `dup` takes a device that is there only.
                if said(&body, place.0).contains("--oif") {
                    continue;
                }
                let pair = Pair { name: name_of(subject), place, body, other: Other::Words(words) };
                done += usize::from(self.same_outcome(random, &pair, tally));
            }
        }
    }

    /// Runs `nft -f` at the router; its complaint, if it has one.
    pub(super) fn nft(&self, text: &[u8]) -> Result<(), String> {
        let output = self.router.run(|| {
            let mut command = Command::new("nft");
            command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn()?;
            // It may end before it has read everything.
            let _ = child.stdin.take().map(|mut stdin| stdin.write_all(text));
            child.wait_with_output()
        });
        let output = output.expect("a host").expect("nft");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(complaint) }
    }

    /// Loads the translations, all at once; if that is refused, both halves.
    fn load(&self, mut pairs: Vec<Pair>, loaded: &mut Vec<Pair>, tally: &mut Tally) {
        let text: Vec<u8> = pairs.iter().flat_map(text_of).copied().collect();
        match self.nft(&text) {
            Ok(()) => loaded.append(&mut pairs),
            Err(_) if pairs.len() > 1 => {
                let second = pairs.split_off(pairs.len() / 2);
                self.load(pairs, loaded, tally);
                self.load(second, loaded, tally);
            }
            Err(complaint) => {
                for pair in &pairs {
                    tally.seen.entry(key(&pair.name, pair.place.0)).or_default().refused += 1;
                    // This kernel is built without them.
                    let lacking = ["Operation not supported", "No such file"].iter().any(|e| complaint.contains(e));
                    if !lacking {
                        let words = String::from_utf8_lossy(text_of(pair)).into_owned();
                        let rule = said(&pair.body, pair.place.0);
                        tally.faults.push(format!("{rule} ({:?}): {words}: refused: {complaint}", pair.place));
                    }
                }
            }
        }
    }
}

fn text_of(pair: &Pair) -> &[u8] {
    match &pair.other {
        Other::Words(words) => words,
        Other::Native(_) => &[],
    }
}

/// Keeps packets from the rules of these chains, so that rules that count have met the same packets; the batch that ends it.
fn guard(session: &mut Session, places: &[Place]) -> Batch {
    let family = places.first().map_or(Family::V4, |place| place.0);
    let (mut batch, mut end) = (Batch::new(family), Batch::new(family));
    for (_, table, chain) in places {
        batch.rule(table.as_bytes(), chain.as_bytes(), RulePlace::Append, None, None, |x| {
            x.verdict(Verdict::Accept);
        });
    }
    session.commit(&batch, None).expect("guards");
    for (_, table, chain) in places {
        let mut handle = 0;
        each_rule(session, family, table, chain, |rule| handle = rule.handle);
        end.delete_rule(table.as_bytes(), chain.as_bytes(), handle);
    }
    end
}

/// Puts stock's form before each translated rule; without those of which the kernel does not take stock's.
fn beside(session: &mut Session, loaded: Vec<Pair>, tally: &mut Tally) -> Vec<Pair> {
    let mut handles = Vec::new();
    for (family, table, chain) in places(&loaded) {
        let here = loaded.iter().filter(|pair| pair.place == (family, table, chain)).count();
        let mut all = Vec::new();
        each_rule(session, family, table, chain, |rule| all.push(rule.handle));
        handles.extend(all.split_off(all.len() - here));
    }
    let mut pairs = Vec::new();
    for (pair, handle) in loaded.into_iter().zip(handles) {
        let (family, table, chain) = pair.place;
        let (table, chain, compat) = (table.as_bytes(), chain.as_bytes(), Some(compat_of(&pair.body)));
        let mut batch = Batch::new(family);
        batch.rule(table, chain, RulePlace::Before(handle), compat, None, |x| pair.body.encode(family, 0, 0, x));
        let seen = tally.seen.entry(key(&pair.name, family)).or_default();
        if session.commit(&batch, None).is_ok() {
            seen.native += 1;
            pairs.push(pair);
        } else {
            seen.refused += 1;
            let mut batch = Batch::new(family);
            batch.delete_rule(table, chain, handle);
            session.commit(&batch, None).expect("a rule is deleted");
        }
    }
    pairs
}

/// The command for nft(8); `None` if there is no translation.
fn words(body: &Body, place: Place) -> Option<Vec<u8>> {
    let (family, table, chain) = place;
    let mut out = Out::new();
    out.str(&format!("add rule {} {table} {chain} ", nft_family(family)));
    let cx = PrintCx { family, numeric: true, names: &NoNames, protocol: None };
    body.translate(&cx, &mut out).then(|| [out.as_bytes(), b"\n"].concat())
}

/// Rules of one match that have a translation; what else was drawn is counted.
fn some_of(random: &mut Random, subject: &Subject, count: usize, tally: &mut Tally) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for _ in 0..4 * count {
        if pairs.len() >= count {
            break;
        }
        let anywhere = !subject.spec.sample.contains('@') || random.percent(20);
        let place = if anywhere { *random.pick(&ANYWHERE) } else { subject.place(random) };
        let words = subject.words(random);
        let mut rule = subject.rule(random, place, words);
        if random.percent(20) {
            add_generic(random, &mut rule);
        }
        pairs.extend(pairs_of(&name_of(subject), &rule, place, tally));
    }
    pairs
}

/// Rules without a match.
fn generic(random: &mut Random, family: Family, count: usize, tally: &mut Tally) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for _ in 0..8 * count {
        let place = *random.pick(&ANYWHERE);
        let v6 = family == Family::V6;
        let mut rule = Rule { v6, table: place.0.to_owned(), chain: place.1.to_owned(), words: Vec::new() };
        for _ in 0..=random.below(2) {
            add_generic(random, &mut rule);
        }
        pairs.extend(pairs_of("no match", &rule, place, tally));
    }
    pairs
}

fn add_generic(random: &mut Random, rule: &mut Rule) {
    let words = random.word(&GENERIC).split(' ').map(|word| word.as_bytes().to_vec());
    rule.words = words.chain(std::mem::take(&mut rule.words)).collect();
}

fn pairs_of(name: &str, rule: &Rule, place: (&'static str, &'static str), tally: &mut Tally) -> Vec<Pair> {
    let family = if rule.v6 { Family::V6 } else { Family::V4 };
    let place = (family, place.0, place.1);
    let seen = tally.seen.entry(key(name, family)).or_default();
    let mut pairs = Vec::new();
    for body in bodies(rule) {
        let body = Body { action: Action::None, ..body };
        // Chance decides each of the two for itself, and so does the clock where packets are as fast as a rate.
        let text = said(&body, family);
        let alone = ["--mode random", "/sec", "/min", "b/s"].iter().any(|word| text.contains(word));
        match words(&body, place).filter(|_| !alone) {
            Some(words) => pairs.push(Pair { name: name.to_owned(), place, body, other: Other::Words(words) }),
            None => seen.same += 1,
        }
    }
    pairs
}
