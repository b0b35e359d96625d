//! Rules that are about one extension: right ones, and every sort of wrong use of it.
//!
//! Both follow from the extension's own row of `Match::ALL` or `Target::ALL`: its options, their kinds and examples, and its sample.
//! Rules count as different if the words of the extension differ, whatever stands around them.

use std::collections::BTreeSet;

use oxtables::ext::{Kind, Match, Opt, Spec, Target};
use oxtables::types::Family;

use super::specs::{self, bit};
use super::{Rule, TABLES, mutate};
use crate::oracle::Call;
use crate::random::Random;

/// Values that hardly any option takes.
const GARBAGE: [&str; 34] = [
    "",
    " ",
    "-1",
    "+",
    "abc",
    "1x",
    "0x",
    "0xg",
    "1e5",
    "08",
    "256",
    "65536",
    "65536:65537",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999",
    "1:2:3",
    "1-2-3",
    ":",
    "-",
    "/",
    ",",
    "5:abc",
    "1/2/3",
    "1,,2",
    ",1",
    "1,",
    "!",
    "a b",
    "256.1.1.1",
    "1.2.3.4/33",
    "fe80::g",
    "::1/129",
    "\u{fc}",
];

/// A match or a target of the list, in one family.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its row.
    pub spec: &'static Spec,
    /// Whether it is a target.
    pub target: bool,
    /// Whether its IPv6 form is meant.
    pub v6: bool,
}

impl Subject {
    /// The extensions that `names` names (`mark,LOG`, by upper-case name for a target that shares it with a match, or `all`), each in its families.
    ///
    /// # Errors
    /// The name that is none.
    pub fn of(names: &str) -> Result<Vec<Self>, String> {
        let all = Match::ALL.iter().map(|spec| (*spec, false)).chain(Target::ALL.iter().map(|spec| (*spec, true)));
        let all: Vec<_> = all.collect();
        if let Some(unknown) = names.split(',').find(|n| *n != "all" && !all.iter().any(|(spec, _)| spec.name == *n)) {
            return Err(format!("no extension {unknown}"));
        }
        let named = |name: &str| names.split(',').any(|n| n == "all" || n == name);
        let both = |(spec, target): (&'static Spec, bool)| {
            let family = move |family: &Family| Self { spec, target, v6: *family == Family::V6 };
            spec.families.iter().map(family).collect::<Vec<_>>()
        };
        Ok(all.into_iter().filter(|(spec, _)| named(spec.name)).flat_map(both).collect())
    }

    /// `-m` or `-j`.
    #[must_use]
    pub const fn flag(&self) -> &'static str {
        if self.target { "-j" } else { "-m" }
    }

    /// `iptables` or `ip6tables`.
    #[must_use]
    pub const fn program(&self) -> &'static str {
        if self.v6 { "ip6tables" } else { "iptables" }
    }

    /// A table and chain in which it works.
    pub fn place(&self, random: &mut Random) -> (&'static str, &'static str) {
        let places: Vec<&str> = self.spec.sample.split(' ').filter_map(|word| word.strip_prefix('@')).collect();
        if places.is_empty() {
            return ("filter", random.word(&["INPUT", "FORWARD", "OUTPUT"]));
        }
        let (table, chain) = random.word(&places).split_once('/').unwrap_or(("filter", ""));
        let found = TABLES.iter().find(|(name, _)| *name == table).unwrap_or(&TABLES[0]);
        let chains = found.1;
        (found.0, chains.iter().find(|name| **name == chain).unwrap_or(&chains[0]))
    }

    /// The extension's words with random options that go together.
    pub fn words(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let mut chosen = self.options(random);
        // What others need stands before them, with its first example, as in the tests of the list.
        let needed = chosen.iter().fold(0, |all, opt| all | opt.needs);
        chosen.sort_by_key(|opt| (needed & bit(opt) == 0, opt.needs.count_ones()));
        let mut out = self.head();
        for opt in chosen {
            let first = opt.examples_for(if self.v6 { Family::V6 } else { Family::V4 }).first().copied();
            match first.filter(|_| needed & bit(opt) != 0 && opt.takes_value() && opt.kind != Kind::Pair) {
                Some(first) => out.extend([format!("--{}", opt.name).into_bytes(), first.as_bytes().to_vec()]),
                None => {
                    if opt.invert && random.percent(25) {
                        out.push(b"!".to_vec());
                    }
                    out.extend(self.option(random, opt));
                }
            }
        }
        out
    }

    /// A rule with these words in a place where the extension works.
    pub fn rule(&self, random: &mut Random, place: (&str, &str), words: Vec<Vec<u8>>) -> Rule {
        let mut all = specs::generic(self.spec);
        all.extend(words);
        if !self.target && random.percent(60) {
            all.extend([b"-j".to_vec(), random.word(&["ACCEPT", "DROP", "RETURN"]).into()]);
        }
        Rule { v6: self.v6, table: place.0.to_owned(), chain: place.1.to_owned(), words: all }
    }

    fn head(&self) -> Vec<Vec<u8>> {
        vec![self.flag().into(), self.spec.name.into()]
    }

    fn option(&self, random: &mut Random, opt: &Opt) -> Vec<Vec<u8>> {
        let mut out = vec![format!("--{}", opt.name).into_bytes()];
        if opt.takes_value() {
            let mut words = specs::value(random, opt, self.v6);
            let own = matches!(opt.kind, Kind::Raw | Kind::Pair | Kind::Text { .. });
            if own && random.percent(50) {
                let at = random.below(words.len());
                words[at] = self.joined(random, opt).unwrap_or_else(|| varied(random, &words[at]));
            }
            out.extend(words);
        }
        if opt.kind == Kind::Optional && random.percent(70) {
            let family = if self.v6 { Family::V6 } else { Family::V4 };
            out.push(random.word(&opt.examples_for(family)).as_bytes().to_vec());
        }
        out
    }

    /// A list of what stands between the commas of the option's examples, if one of them is a list.
    fn joined(&self, random: &mut Random, opt: &Opt) -> Option<Vec<u8>> {
        let family = if self.v6 { Family::V6 } else { Family::V4 };
        let examples = opt.examples_for(family);
        if opt.kind == Kind::Pair || random.percent(30) || !examples.iter().any(|text| text.contains(',')) {
            return None;
        }
        let items: Vec<&str> =
            examples.iter().flat_map(|text| text.split(',')).filter(|item| !item.is_empty()).collect();
        let list: Vec<&str> = (0..=random.below(4)).map(|_| random.word(&items)).collect();
        Some(list.join(",").into_bytes())
    }

    /// Options that the table lets stand together: all that are needed, and some more.
    fn options(&self, random: &mut Random) -> Vec<&'static Opt> {
        let mut order: Vec<&Opt> = self.spec.options.iter().collect();
        random.shuffle(&mut order);
        let more = if random.percent(50) { random.below(3) } else { random.below(order.len() + 1) };
        let mut chosen: Vec<&Opt> = Vec::new();
        for opt in order.iter().filter(|opt| opt.required) {
            take(&mut chosen, opt, &order);
        }
        let wanted = chosen.len() + more.max(usize::from(chosen.is_empty()));
        for opt in &order {
            if chosen.len() < wanted {
                take(&mut chosen, opt, &order);
            }
        }
        random.shuffle(&mut chosen);
        chosen
    }

    /// Wrong uses, each different from the others: of the sorts that the table gives rise to up to three quarters, the rest right ones with
    /// something broken.
    pub fn wrong_uses(&self, random: &mut Random, count: usize) -> Vec<Call> {
        let mut sorts = self.misplaced(random);
        sorts.extend(self.misused(random));
        random.shuffle(&mut sorts);
        let mut seen = BTreeSet::new();
        let mut fresh = |call: &Call| !call.argv.iter().any(|w| w.contains(&0)) && seen.insert(call.argv.clone());
        let mut out: Vec<_> = sorts.into_iter().filter(&mut fresh).take(count * 3 / 4).collect();
        for _ in 0..20 * count {
            if out.len() >= count {
                break;
            }
            let mut call = self.right(random).append();
            mutate::mutate(random, &mut call.argv);
            call.argv.retain(|word| !mutate::attached(word));
            if fresh(&call) {
                out.push(call);
            }
        }
        out
    }

    fn right(&self, random: &mut Random) -> Rule {
        let words = self.words(random);
        let place = self.place(random);
        self.rule(random, place, words)
    }

    /// Right rules in a wrong place: table, chain, protocol, family.
    fn misplaced(&self, random: &mut Random) -> Vec<Call> {
        let mut out = Vec::new();
        for (table, chains) in TABLES {
            for chain in chains {
                let words = self.words(random);
                out.push(self.rule(random, (table, chain), words).append());
            }
        }
        let protocols: [&[&str]; 8] = [
            &[],
            &["-p", "tcp"],
            &["-p", "udp"],
            &["-p", "all"],
            &["!", "-p", "tcp"],
            &["-p", "icmp"],
            &["-p", "ipv6-icmp"],
            &["-p", "99"],
        ];
        for protocol in protocols {
            let (words, place) = (self.words(random), self.place(random));
            let words = protocol.iter().map(|word| word.as_bytes().to_vec()).chain(words).collect();
            out.push(Rule { v6: self.v6, table: place.0.into(), chain: place.1.into(), words }.append());
        }
        for _ in 0..3 {
            out.push(Rule { v6: !self.v6, ..self.right(random) }.append());
        }
        // a match as target and the other way round
        let mut rule = self.right(random);
        let other = if self.target { "-m" } else { "-j" };
        if let Some(word) = rule.words.iter_mut().find(|word| word.as_slice() == self.flag().as_bytes()) {
            *word = other.into();
        }
        out.push(rule.append());
        out
    }

    /// Wrong options and values.
    fn misused(&self, random: &mut Random) -> Vec<Call> {
        let mut lists: Vec<Vec<Vec<u8>>> =
            vec![Vec::new(), vec![b"--bogus".to_vec()], vec![b"--bogus".to_vec(), b"1".to_vec()]];
        for opt in self.spec.options {
            lists.extend(self.values(opt));
            let once = self.option(random, opt);
            lists.push(once.clone());
            lists.push(once.iter().take(1).cloned().collect());
            lists.push([vec![b"!".to_vec()], once.clone()].concat());
            lists.push([once.clone(), vec![b"!".to_vec()]].concat());
            lists.push([once.clone(), self.option(random, opt)].concat());
            lists.push([once.clone(), vec![b"extra".to_vec()]].concat());
            for other in self.spec.options.iter().filter(|other| other.id != opt.id) {
                lists.push([once.clone(), self.option(random, other)].concat());
            }
        }
        let mut out: Vec<_> = lists
            .into_iter()
            .map(|list| {
                let place = self.place(random);
                let words = self.completed(random, list);
                self.rule(random, place, words).append()
            })
            .collect();
        // without its -m, and twice
        for _ in 0..2 {
            let (words, place) = (self.words(random), self.place(random));
            out.push(self.rule(random, place, words[2..].to_vec()).append());
            let twice = [words, self.words(random)].concat();
            out.push(self.rule(random, place, twice).append());
        }
        out
    }

    /// The option with values that it does not take, most of them.
    fn values(&self, opt: &Opt) -> Vec<Vec<Vec<u8>>> {
        if !opt.takes_value() {
            let joined = format!("--{}=1", opt.name).into_bytes();
            return vec![vec![joined]];
        }
        let mut texts: Vec<Vec<u8>> = GARBAGE.iter().map(|text| text.as_bytes().to_vec()).collect();
        let limits = match opt.kind {
            Kind::Number { min, max } | Kind::Range { min, max } => vec![min.wrapping_sub(1), max.wrapping_add(1), max],
            _ => Vec::new(),
        };
        texts.extend(limits.into_iter().map(|n| n.to_string().into_bytes()));
        if let Kind::Text { max, .. } = opt.kind {
            texts.push(vec![b'x'; max.min(2000) + 1]);
        }
        let family = if self.v6 { Family::V4 } else { Family::V6 };
        texts.extend(opt.examples_for(family).into_iter().take(3).map(|text| text.as_bytes().to_vec()));
        let second = |text: Vec<u8>| if opt.kind == Kind::Pair { vec![text.clone(), text] } else { vec![text] };
        let name = format!("--{}", opt.name).into_bytes();
        texts.into_iter().map(|text| [vec![name.clone()], second(text)].concat()).collect()
    }

    /// The options with what is needed beside them, mostly.
    fn completed(&self, random: &mut Random, list: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out = self.head();
        let empty = list.is_empty();
        let has = |opt: &Opt| {
            list.iter().any(|word| word.strip_prefix(b"--").is_some_and(|n| n.starts_with(opt.name.as_bytes())))
        };
        let given: Vec<&Opt> = self.spec.options.iter().filter(|opt| has(opt)).collect();
        if !empty && random.percent(85) {
            let needs = given.iter().fold(0, |all, opt| all | opt.needs);
            let mut done = given.iter().fold(0, |all, opt| all | bit(opt));
            for opt in self.spec.options.iter().filter(|opt| opt.required || needs & bit(opt) != 0) {
                if done & bit(opt) == 0 {
                    done |= bit(opt);
                    out.extend(self.option(random, opt));
                }
            }
        }
        out.extend(list);
        out
    }
}

/// The word with another number, mostly a smaller one, in place of one that is in it: where an extension reads its values itself, nothing
/// else is known of them.
fn varied(random: &mut Random, word: &[u8]) -> Vec<u8> {
    let digits = |at: &usize| word[*at].is_ascii_digit();
    let begins =
        |at: &usize| digits(at) && !at.checked_sub(1).is_some_and(|before| word[before].is_ascii_alphanumeric());
    // a dotted mask has few other values, and stock loses odd ones
    let mask = word.iter().position(|byte| *byte == b'/').filter(|at| word[*at..].contains(&b'.'));
    let starts: Vec<usize> = (0..mask.unwrap_or(word.len())).filter(begins).collect();
    if starts.is_empty() {
        return word.to_vec();
    }
    let start = *random.pick(&starts);
    let end = (start..word.len()).find(|at| !digits(at)).unwrap_or(word.len());
    let number = std::str::from_utf8(&word[start..end]).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let most = if random.percent(80) { number } else { number.saturating_mul(4).max(9) };
    let other = random.between(0, most.min(u64::MAX - 1)).to_string();
    [&word[..start], other.as_bytes(), &word[end..]].concat()
}

/// Adds the option and what it needs, unless one of them is excluded or there already.
fn take(chosen: &mut Vec<&'static Opt>, opt: &'static Opt, all: &[&'static Opt]) {
    let seen = chosen.iter().fold(0, |seen, other| seen | bit(other));
    let mut new = vec![opt];
    let lacking = all.iter().filter(|other| opt.needs & bit(other) & !seen != 0);
    for other in lacking {
        if !new.iter().any(|one| bit(one) == bit(other)) {
            new.push(other);
        }
    }
    let together = new.iter().fold(seen, |seen, other| seen | bit(other));
    let clash = |one: &&Opt| one.excludes & together & !bit(one) != 0;
    if seen & bit(opt) == 0 && !new.iter().any(clash) && !chosen.iter().any(clash) {
        chosen.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_has_a_hundred_wrong_uses_and_its_needed_options() {
        for subject in Subject::of("all").unwrap() {
            let mut random = Random::new(7);
            assert_eq!(subject.wrong_uses(&mut random, 100).len(), 100, "{}", subject.spec.name);
            let words = subject.words(&mut random);
            for opt in subject.spec.options.iter().filter(|opt| opt.required) {
                let named = |other: &&Opt| other.id == opt.id;
                let names: Vec<_> =
                    subject.spec.options.iter().filter(named).map(|o| format!("--{}", o.name)).collect();
                assert!(words.iter().any(|w| names.iter().any(|n| n.as_bytes() == w)), "{}", subject.spec.name);
            }
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert!(Subject::of("mark,nosuch").is_err());
        assert_eq!(Subject::of("length").unwrap().len(), 2);
    }
}
