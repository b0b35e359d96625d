//! What a person may want to know about a command line that is not understood: the word it is about, what is wrong with it, what to write.
//!
//! Works on the words and on the tables of options alone, after the error has been found; the error's own text and exit code stay as they
//! are. Sources: iptables(8), iptables-extensions(8), and [`crate::ext::Spec`].

use super::Error;
use super::getopt::{Getopt, LONG, Token};
use crate::ext::limits::list;
use crate::ext::{Action, Kind, Match, Opt, Spec, Target};
use crate::types::{CHAIN_NAME_MAX, Family};

/// A command line and how far it has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// The words.
    pub args: &'a [&'a [u8]],
    /// The word before the first one, the program's name.
    pub before: &'a [u8],
    /// The extensions loaded so far.
    pub specs: &'a [&'static Spec],
    /// The protocol of `-p`.
    pub protocol: Option<u8>,
    /// The family.
    pub family: Family,
}

/// An option of the line: the words it takes and what it is.
#[derive(Clone, Debug)]
struct Step<'a> {
    /// The word of the option, and of its value (the same if it is attached or there is none).
    from: usize,
    to: usize,
    token: Token<'a>,
}

impl Reading<'_> {
    /// Adds advice to an error, and its place if that is not known yet.
    pub(super) fn advise(&self, mut error: Error) -> Error {
        let steps = self.steps();
        if let Some((step, option)) = self.swallowed(&steps, error.word) {
            let value = show(self.args.get(step.to).copied().unwrap_or_default());
            error.word = Some(step.from);
            let text =
                format!("{option} took {value} as its value, because its own is missing: write {option} VALUE {value}");
            error.advice = Some(text);
            return error;
        }
        if let Some(at) = self.one_hyphen(error.word) {
            let name = show(self.args.get(at).copied().unwrap_or_default());
            error.word = Some(at);
            error.advice = Some(format!("a long option has two hyphens: -{name}"));
            return error;
        }
        if error.word.is_none() {
            error.word = self.place_of(&error, &steps);
        } else if let Some(Step { to, token: Token::Extension { .. }, .. }) =
            steps.iter().find(|s| Some(s.from) == error.word && !error.text.ends_with(b"once.\n"))
        {
            // What is wrong is the value.
            error.word = Some(*to);
        }
        if error.advice.is_none() {
            error.advice =
                self.on_text(&error).or_else(|| self.on_missing(&error)).or_else(|| self.on_word(&error, &steps));
        }
        error
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut getopt = Getopt::new(self.args, self.before);
        let (mut steps, mut next) = (Vec::new(), 0);
        while let Some(token) = getopt.next(self.specs) {
            let to = getopt.word();
            steps.push(Step { from: next.min(to), to, token });
            next = to + 1;
        }
        steps
    }

    /// The last option before (or at) the word of the error whose value is the name of an option.
    fn swallowed<'s>(&self, steps: &'s [Step<'_>], word: Option<usize>) -> Option<(&'s Step<'s>, String)> {
        let last = word.unwrap_or(usize::MAX);
        let taken =
            steps.iter().rev().find(|s| s.from <= last && s.from < s.to && self.is_option(self.args.get(s.to)))?;
        match taken.token {
            // A new chain may well have been meant to be called so.
            Token::Generic { letter: b'N', .. } => None,
            Token::Generic { .. } | Token::Extension { .. } => {
                Some((taken, show(self.args.get(taken.from).copied().unwrap_or_default())))
            }
            _ => None,
        }
    }

    /// The last word before (or at) the word of the error that is a long option with one hyphen, which means something else.
    fn one_hyphen(&self, word: Option<usize>) -> Option<usize> {
        let words = self.args.iter().enumerate().take(word?.saturating_add(1));
        let known = |w: &[u8]| match w {
            [b'-', first, _, ..] if *first != b'-' => self.is_option(Some(&&*[b"-", w].concat())),
            _ => false,
        };
        words.filter(|(_, w)| known(w)).map(|(at, _)| at).next_back()
    }

    /// Whether a word is an option of iptables or of any extension, in full.
    fn is_option(&self, word: Option<&&[u8]>) -> bool {
        match word {
            Some([b'-', b'-', long @ ..]) => {
                let generic = LONG.iter().any(|(name, _)| name.as_bytes() == long);
                generic || self.all_options().any(|(_, opt, _)| opt.name.as_bytes() == long)
            }
            Some([b'-', letter]) => LONG.iter().any(|(_, l)| l == letter && *l != b'0'),
            _ => false,
        }
    }

    /// Every option of every extension of the family; with it, whether the extension is a target.
    fn all_options(&self) -> impl Iterator<Item = (&'static Spec, &'static Opt, bool)> {
        let family = self.family;
        let all = Match::ALL.iter().map(|s| (*s, false)).chain(Target::ALL.iter().map(|s| (*s, true)));
        all.filter(move |(s, _)| s.families.contains(&family))
            .flat_map(|(s, target)| s.options.iter().map(move |o| (s, o, target)))
    }

    /// Where an error that was found at the end belongs: the option it names, or the extension.
    fn place_of(&self, error: &Error, steps: &[Step<'_>]) -> Option<usize> {
        let text = String::from_utf8_lossy(&error.text);
        let at = |wanted: &dyn Fn(&Step<'_>) -> bool| steps.iter().find(|s| wanted(s)).map(|s| s.from);
        let named = text.split('"').nth(1).and_then(|name| name.strip_prefix("--"));
        let option =
            named.and_then(|name| at(&|s| matches!(&s.token, Token::Extension { opt, .. } if opt.name == name)));
        let ext = text.split([':', ' ']).next().unwrap_or_default();
        let loads = |s: &Step<'_>| matches!(s.token, Token::Generic { letter: b'm' | b'j', value: Some(v) } if v.eq_ignore_ascii_case(ext.as_bytes()));
        let letter = text.split(" `-").nth(1).or_else(|| text.strip_prefix("Can't use -"));
        let letter = letter.or_else(|| text.strip_prefix("Cannot use -")).and_then(|rest| rest.bytes().next());
        let generic = letter.and_then(|l| at(&|s| matches!(s.token, Token::Generic { letter, .. } if letter == l)));
        let drops =
            || text.contains("inhibited").then(|| at(&|s| matches!(s.token, Token::Generic { letter: b'j', .. })));
        option.or_else(|| at(&loads)).or(generic).or_else(|| drops().flatten())
    }

    /// Advice on errors that their text tells.
    fn on_text(&self, error: &Error) -> Option<String> {
        let text = String::from_utf8_lossy(&error.text);
        let starts = |with: &str| text.starts_with(with);
        Some(if text.contains("hain name") {
            format!(
                "a chain's name has 1 to {CHAIN_NAME_MAX} bytes, no blanks, no - or ! at its start, and is not the name of a target"
            )
        } else if starts("Invalid target name") {
            format!("behind -j stands ACCEPT, DROP, RETURN, a target or a chain, of at most {CHAIN_NAME_MAX} bytes")
        } else if text.contains("requires an argument") {
            let word = error.word.and_then(|w| self.args.get(w)).copied().unwrap_or_default();
            format!("{} is the last word; its value must follow it", show(word))
        } else if text.contains("cannot be inverted") || starts("cannot have ! before") || starts("unexpected") {
            "there is no ! for this option; leave it out".into()
        } else if text.contains("only be used once") || text.contains("flags not allowed") {
            "it stands twice in the rule; leave one out, or make two rules".into()
        } else if starts("multiple consecutive !") {
            "two ! would cancel out; leave both out".into()
        } else if starts("no command specified") {
            "say what to do: -A appends a rule, -I inserts one, -D deletes one, -L and -S list them, -N makes a chain, -P sets a policy"
                .into()
        } else if starts("Illegal option") {
            "this option is for other commands; leave it out (rule options go with -A, -I, -R, -D and -C; -n, -x and --line-numbers with -L)"
                .into()
        } else if starts("Cannot use -") {
            "one command at a time; only -Z may stand beside -L or -S".into()
        } else if starts("Replacement rule") {
            "-R makes one rule of one; name one source and one destination address".into()
        } else if starts("! not allowed with multiple") {
            "a packet is always outside of one of them: make a chain that RETURNs for each address".into()
        } else if starts("Invalid rule number") {
            "a rule's number is 1 or more, as `-L --line-numbers` shows it".into()
        } else if starts("The -t option cannot be used") {
            "in a restore file the table stands on a line of its own: *nat".into()
        } else if starts("too many ports") {
            "one rule takes at most 15 ports, and a range counts as two; make several rules".into()
        } else if text.contains("needs `-p") {
            "the protocol comes first: -p tcp (or udp, sctp, dccp, udplite) before it".into()
        } else if let Some((_, protocol)) = text.split_once("requires '-p ") {
            let protocol = protocol.split('\'').next().unwrap_or_default();
            format!("a rule has one protocol, and this match needs it to be {protocol}: write -p {protocol}")
        } else if starts("nothing appropriate following !") {
            "! stands before the option that it inverts".into()
        } else {
            return None;
        })
    }

    /// Advice on the word that the error is about.
    fn on_word(&self, error: &Error, steps: &[Step<'_>]) -> Option<String> {
        let at = error.word?;
        let word = self.args.get(at).copied()?;
        let step = steps.iter().find(|s| (s.from..=s.to).contains(&at));
        typographic(word).or_else(|| match step.map(|s| &s.token) {
            Some(Token::Generic { letter, value }) => self.on_generic(*letter, value.unwrap_or_default()),
            Some(Token::Extension { index, opt, value }) => {
                let spec = self.specs.get(*index)?;
                Some(on_value(spec, opt, value, self.family))
            }
            Some(Token::Unknown(_)) => self.on_option(word),
            Some(Token::Word(_)) => Some(self.on_stray(word)),
            _ => None,
        })
    }

    /// An option that nobody has loaded.
    fn on_option(&self, word: &[u8]) -> Option<String> {
        let name = word.strip_prefix(b"--").unwrap_or_else(|| word.strip_prefix(b"-").unwrap_or(word));
        if let Some(advice) = self.owner_of(name) {
            return Some(advice);
        }
        let loaded = self.specs.iter().flat_map(|s| s.options).map(|o| o.name);
        let implied = self.all_options().filter(|(s, ..)| !s.implied_by.is_empty()).map(|(_, o, _)| o.name);
        let known = loaded.chain(LONG.iter().map(|(name, _)| *name)).chain(implied);
        if let Some(near) = nearest(name, known) {
            let where_from = self.owner_of(near.as_bytes()).map(|o| format!("; {o}")).unwrap_or_default();
            return Some(format!("there is no --{}; did you mean --{near}?{where_from}", show(name)));
        }
        if let Some(near) = nearest(name, self.all_options().map(|(_, o, _)| o.name)) {
            let owner = self.owner_of(near.as_bytes()).map(|o| format!("; {o}")).unwrap_or_default();
            return Some(format!("there is no --{}; did you mean --{near}?{owner}", show(name)));
        }
        Some(format!("no option and no extension has the name {}; iptables-extensions(8) lists them", show(word)))
    }

    /// Which extension has an option of this name that none of the loaded ones has.
    fn owner_of(&self, name: &[u8]) -> Option<String> {
        let has: Vec<_> = self.all_options().filter(|(_, o, _)| o.name.as_bytes() == name).collect();
        if has.iter().any(|(s, ..)| self.specs.iter().any(|l| l.name == s.name)) {
            return None;
        }
        let shown = show(name);
        let protocols: Vec<String> =
            has.iter().filter(|(s, ..)| !s.implied_by.is_empty()).map(|(s, ..)| format!("-p {}", s.name)).collect();
        if !protocols.is_empty() {
            let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
            return Some(match self.protocol {
                None => format!("--{shown} needs {} before it", list(&protocols, "or")),
                Some(_) => {
                    format!("--{shown} needs {} before it, and the rule has another protocol", list(&protocols, "or"))
                }
            });
        }
        let mut owners: Vec<String> =
            has.iter().map(|(s, _, target)| format!("{} {}", if *target { "-j" } else { "-m" }, s.name)).collect();
        owners.dedup();
        let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
        let (first, _) = (owners.first()?, ());
        if owners.len() == 1 {
            return Some(format!("--{shown} belongs to {first}, which must stand before it"));
        }
        Some(format!("--{shown} belongs to {}, one of which must stand before it", list(&owners, "and")))
    }

    /// A word that is neither an option nor a value.
    fn on_stray(&self, word: &[u8]) -> String {
        let shown = show(word);
        if Action::verdict(word).is_some() || Target::new(word, self.family).is_some() {
            return format!("write -j {shown}");
        }
        if Match::new(word, self.family).is_some() {
            return format!("write -m {shown}, or -p {shown} if it is the protocol");
        }
        if word.first() == Some(&b'!') && word.len() > 1 {
            return format!("! is a word of its own: ! {}", show(word.get(1..).unwrap_or_default()));
        }
        let long = [b"--", word].concat();
        if self.is_option(Some(&&*long)) {
            return format!("an option has two hyphens: --{shown}");
        }
        format!(
            "{shown} belongs to no option: is one missing before it, or are quotes missing around a value with blanks?"
        )
    }

    /// The value of a generic option.
    fn on_generic(&self, letter: u8, value: &[u8]) -> Option<String> {
        Some(match letter {
            b's' | b'd' => self.on_address(value),
            b'p' => {
                let names = ["tcp", "udp", "icmp", "icmpv6", "sctp", "udplite", "esp", "ah", "all"];
                let near = nearest(value, names).map(|n| format!("did you mean {n}? ")).unwrap_or_default();
                format!("{near}a protocol is a number from 0 to 255, a name of /etc/protocols, or all")
            }
            b'i' | b'o' => "an interface's name has 1 to 15 bytes; a + at its end stands for any rest".into(),
            b'm' => on_match(value, self.family),
            b'j' | b'g' => "behind it stands ACCEPT, DROP, RETURN, a target or a chain".into(),
            b'c' => "the counters are two numbers: -c PACKETS BYTES".into(),
            b'w' => "-w takes a number of seconds, or nothing to wait for ever".into(),
            b'R' => "-R CHAIN NUMBER RULE: the number comes before the rule".into(),
            b'E' => "-E OLD NEW: the chain's present name, then its new one".into(),
            b'P' => "-P CHAIN POLICY: the policy is ACCEPT or DROP, and the chain a built-in one".into(),
            _ => return None,
        })
    }

    fn on_address(&self, value: &[u8]) -> String {
        let text = String::from_utf8_lossy(value);
        let other = match self.family {
            Family::V4 => text.contains(':'),
            Family::V6 => text.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        let (form, program) = match self.family {
            Family::V4 => {
                ("192.0.2.0/24 or 192.0.2.0/255.255.255.0; each number is 0 to 255, a mask 0 to 32", "ip6tables")
            }
            Family::V6 => ("2001:db8::/32; a mask is 0 to 128", "iptables"),
        };
        if other {
            return format!("this is an address of the other family: use {program}");
        }
        if text.contains('-') {
            return format!("a range of addresses needs a match: -m iprange --src-range {text} (or --dst-range)");
        }
        format!(
            "an address is written as {form}; several are separated by commas, and names must be known to this host"
        )
    }

    /// What lacks beside an extension.
    fn on_missing(&self, error: &Error) -> Option<String> {
        let text = String::from_utf8_lossy(&error.text);
        if !["must be specified", "also requires", "cannot be used together"].iter().any(|part| text.contains(part)) {
            return None;
        }
        let name = text.split('"').nth(1)?.strip_prefix("--")?;
        let needed = if text.contains("also requires") { text.split('"').nth(3)?.strip_prefix("--")? } else { name };
        if text.contains("cannot be used together") {
            return Some("the two exclude each other; leave one out, or make two rules".into());
        }
        let (_, opt) =
            self.specs.iter().flat_map(|s| s.options.iter().map(move |o| (s, o))).find(|(_, o)| o.name == needed)?;
        let example = opt.examples_for(self.family).first().copied().unwrap_or_default();
        Some(
            format!("add --{needed} {}: {}", if example.is_empty() { opt.metavar } else { example }, opt.help)
                .replace(" :", ":"),
        )
    }
}

/// What is wrong with a line of a restore file, by the text of its error.
pub fn on_file(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let has = |part: &str| text.contains(part);
    Some(
        if has("Parameter too long") {
            "a word of a restore file has at most 10,239 bytes"
        } else if has("cannot handle more") {
            "a line of a restore file has at most 255 words"
        } else if has("COMMIT expected") {
            "every table of the file ends with a line COMMIT; nothing was changed"
        } else if has("need ]") {
            "the counters before a rule are written as [PACKETS:BYTES]"
        } else if has("policy counters") {
            "with -c the line of a built-in chain ends with its counters: :INPUT ACCEPT [0:0]"
        } else if has("table name") {
            "a table begins with * and its name at the start of a line: *filter, *nat, *mangle, *raw or *security"
        } else if has("chain name") || has("policy invalid") {
            "a chain's line is :NAME POLICY [PACKETS:BYTES]; of a chain that is not built in the policy is -"
        } else if has("failed") {
            "a line is a comment (#), or stands between *TABLE and COMMIT; nothing was changed"
        } else {
            return None;
        }
        .into(),
    )
}

/// Dashes and quotes that a web page has made typographic.
fn typographic(word: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(word);
    let dash =
        text.chars().find(|c| matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'));
    if let Some(dash) = dash.filter(|d| text.starts_with(*d) || text.starts_with('-')) {
        let plain: String = text.trim_start_matches([dash, '-']).into();
        let hyphens = if plain.chars().count() == 1 { "-" } else { "--" };
        return Some(format!(
            "'{dash}' (U+{:04X}) is a typographic dash, as web pages make of hyphens; write {hyphens}{plain}",
            u32::from(dash)
        ));
    }
    let quote = text.chars().find(|c| matches!(c, '\u{2018}'..='\u{201f}' | '\u{00ab}' | '\u{00bb}'))?;
    Some(format!(
        "{quote} (U+{:04X}) is a typographic quote, which neither the shell nor iptables takes for one; write \" or '",
        u32::from(quote)
    ))
}

/// A match that does not exist.
fn on_match(name: &[u8], family: Family) -> String {
    let text = show(name);
    let known = |s: &&&Spec| s.name.as_bytes().eq_ignore_ascii_case(name);
    if let Some(spec) = Match::ALL.iter().find(known) {
        return if spec.families.contains(&family) {
            format!("the match is called {}", spec.name)
        } else {
            format!("{text} does not exist for {family}")
        };
    }
    if Target::new(name, family).is_some() || Action::verdict(name).is_some() {
        return format!("{text} is a target: write -j {text}");
    }
    match nearest(name, Match::ALL.iter().filter(|s| s.families.contains(&family)).map(|s| s.name)) {
        Some(near) => format!("there is no match of the name {text}; did you mean -m {near}?"),
        None => format!("there is no match of the name {text}; iptables-extensions(8) lists them"),
    }
}

/// The words that options with a fixed list take.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("state", "state", &["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"]),
    ("conntrack", "ctstate", &["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT"]),
    ("conntrack", "ctstatus", &["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"]),
    ("conntrack", "ctdir", &["ORIGINAL", "REPLY"]),
    ("tcp", "tcp-flags", &["SYN", "ACK", "FIN", "RST", "URG", "PSH", "ALL", "NONE"]),
    ("addrtype", "src-type", ADDRESS_TYPES),
    ("addrtype", "dst-type", ADDRESS_TYPES),
    ("policy", "dir", &["in", "out"]),
    ("policy", "pol", &["ipsec", "none"]),
    ("policy", "proto", &["esp", "ah", "ipcomp"]),
    ("policy", "mode", &["tunnel", "transport"]),
    ("limit", "limit", &["5/second", "5/minute", "5/hour", "5/day"]),
    ("LOG", "log-level", &["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"]),
];

const ADDRESS_TYPES: &[&str] =
    &["UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT"];

/// The form of an option's value, with the nearest word if it takes words.
fn on_value(spec: &Spec, opt: &Opt, value: &[u8], family: Family) -> String {
    let first = spec.options.iter().find(|o| o.id == opt.id);
    let name = first.map_or(opt.name, |o| o.name);
    let row = WORDS.iter().find(|(ext, option, _)| *ext == spec.name && *option == name);
    if let Some((_, _, words)) = row {
        let wrong = value.split(|b| *b == b',').find(|part| !words.iter().any(|w| w.as_bytes() == *part));
        let near = wrong.and_then(|part| nearest(part, words.iter().copied()));
        let near = near.map(|n| format!("did you mean {n}? ")).unwrap_or_default();
        return format!("{near}--{} takes {}", opt.name, list(words, "or"));
    }
    let noted = (spec.notes)(family).iter().flat_map(|(a, b)| [*a, *b]).flat_map(|t| t.split([' ', ',', '(', ')']));
    if let Some(near) = nearest(value, noted.filter(|w| w.len() > 3)) {
        return format!("did you mean {near}?");
    }
    let form = match opt.kind {
        Kind::Port => "a port: 0 to 65535 or a name of /etc/services".into(),
        Kind::PortRange => {
            "a port or FIRST:LAST; a port is 0 to 65535 or a name of /etc/services; of a range the first is not above the last".into()
        }
        Kind::Number { min, max } => format!("a number from {min} to {max}"),
        Kind::Range { min, max } => {
            format!("a number from {min} to {max}, or FIRST:LAST with the first not above the last")
        }
        Kind::Text { min, max: usize::MAX } => format!("a text of at least {min} bytes"),
        Kind::Text { min, max } => format!("a text of {min} to {max} bytes"),
        Kind::Host => "an address of this family or a host's name".into(),
        Kind::MarkMask => "VALUE or VALUE/MASK, numbers of 32 bits such as 0x10/0xff".into(),
        Kind::SyslogLevel => "a level from 0 (emerg) to 7 (debug) or its name".into(),
        Kind::Mac => "six bytes in hexadecimal, as 02:00:5e:10:00:01".into(),
        Kind::Protocol => "a protocol: a number from 0 to 255 or a name of /etc/protocols".into(),
        Kind::Flag => return format!("--{} takes no value", opt.name),
        Kind::Raw if opt.metavar.contains("port") => {
            return format!(
                "--{} takes {}; a port is 0 to 65535 or a name of /etc/services, and of a range the first is not above the last",
                opt.name, opt.metavar
            );
        }
        Kind::Raw | Kind::Pair | Kind::Optional => format!("{} ({})", opt.metavar, first.map_or(opt.help, |o| o.help)),
    };
    let examples = opt.examples_for(family);
    let examples: Vec<&str> = examples.iter().take(3).copied().collect();
    match (opt.kind, examples.as_slice()) {
        (Kind::Raw | Kind::Pair | Kind::Optional, [_, ..]) => {
            format!("--{} takes {form}, for example {}", opt.name, list(&examples, "or"))
        }
        _ => format!("--{} takes {form}", opt.name),
    }
}

/// The name that a misspelled one was most likely meant to be, if one is near enough.
pub fn nearest<'n>(word: &[u8], names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let word = String::from_utf8_lossy(word).to_lowercase();
    if word.len() > 64 {
        return None;
    }
    let near = (word.chars().count() / 3).clamp(1, 3);
    let with_distance =
        names.into_iter().filter(|n| n.len() > 1).map(|n| (strsim::damerau_levenshtein(&word, &n.to_lowercase()), n));
    with_distance.filter(|(d, n)| *d <= near && *d < n.len()).min_by_key(|(d, _)| *d).map(|(_, n)| n)
}

/// A word in a sentence: what is not printable as escapes, cut if it is long.
pub fn show(word: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(word.get(..word.len().min(4 * SHOWN)).unwrap_or_default());
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().count() > SHOWN || word.len() > 4 * SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Context, parse};
    use crate::types::NoNames;

    /// The word that the error is about, and the advice.
    fn advice(line: &str, family: Family) -> (String, String) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let cx = Context { family, names: &NoNames, restore: false, table: b"filter", verbose: false };
        let e = match parse(&args, &cx, &mut Vec::new()) {
            Err(e) => e,
            Ok(command) => command.late.unwrap_or_else(|| Error::usage("understood")),
        };
        let word = e.word.and_then(|w| args.get(w)).map(|w| String::from_utf8_lossy(w).into_owned());
        (word.unwrap_or_default(), e.advice.unwrap_or_default())
    }

    #[test]
    fn place_and_advice() {
        let mut wrong = Vec::new();
        for (line, word, said) in [
            ("-A INPUT -p tcp --dport 22 -s -j ACCEPT", "-s", "-s took -j as its value"),
            ("-A -p tcp -j ACCEPT", "-A", "-A took -p as its value"),
            ("-A INPUT -p tcp --dport -j ACCEPT", "--dport", "--dport took -j as its value"),
            ("-A INPUT -s --dport", "-s", "-s took --dport as its value"),
            ("-A INPUT -m comment --comment -j ACCEPT", "--comment", "--comment took -j"),
            ("-A INPUT --dport 22 -j ACCEPT", "--dport", "--dport needs -p dccp, -p sctp, -p tcp or -p udp before it"),
            ("-A INPUT -p icmp --dport 22", "--dport", "and the rule has another protocol"),
            ("-A INPUT --ctstate NEW", "--ctstate", "belongs to -m conntrack"),
            ("-A INPUT --to-source 192.0.2.1", "--to-source", "belongs to -j SNAT"),
            ("-A INPUT -p tcp --dprot 22", "--dprot", "did you mean --dport?"),
            ("-A INPUT --dprot 22", "--dprot", "did you mean --dport?; --dport needs -p"),
            ("-A INPUT -m conntrak", "conntrak", "did you mean -m conntrack?"),
            ("-A INPUT -m LOG", "LOG", "write -j LOG"),
            ("-A INPUT -m conntrack --ctstate ESTABLISHD", "ESTABLISHD", "did you mean ESTABLISHED?"),
            ("-A INPUT -m state --state NEW,RELATD", "NEW,RELATD", "did you mean RELATED?"),
            (
                "-A INPUT -j REJECT --reject-with icmp-port-unreachabel",
                "icmp-port-unreachabel",
                "icmp-port-unreachable",
            ),
            ("-A INPUT -s 192.0.2.256", "192.0.2.256", "each number is 0 to 255"),
            ("-A INPUT -s 192.0.2.0/33", "192.0.2.0/33", "a mask 0 to 32"),
            ("-A INPUT -s 2001:db8::1", "2001:db8::1", "use ip6tables"),
            ("-A INPUT -s 192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9", "-m iprange --src-range"),
            ("-A INPUT -p tpc", "tpc", "did you mean tcp?"),
            ("-A INPUT -p tcp --dport 70000", "70000", "0 to 65535"),
            ("-A INPUT -p tcp --dport 9:8", "9:8", "the first is not above the last"),
            ("-A INPUT ACCEPT", "ACCEPT", "write -j ACCEPT"),
            ("-A INPUT !-s 192.0.2.1", "!-s", "a word of its own"),
            ("-A INPUT -i abcdefghijklmnopq", "abcdefghijklmnopq", "1 to 15 bytes"),
            ("-N -x", "-x", "no - or ! at its start"),
            ("-N ACCEPT", "ACCEPT", "not the name of a target"),
            ("-D INPUT 0", "INPUT", "1 or more"),
            ("-A INPUT -m tcp --dport 22", "-m", "write -p tcp"),
            ("-A INPUT -p udp -m tcp --dport 22", "-m", "write -p tcp"),
            ("-A INPUT -m multiport --dports 1", "1", "-p tcp (or udp"),
            (
                "-A INPUT -p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
                "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
                "at most 15 ports",
            ),
            ("-A INPUT -m owner --uid-owner nosuchuser", "nosuchuser", "--uid-owner takes"),
            ("-A INPUT -m mac", "-m", "add --mac-source"),
            ("-A OUTPUT -i eth0", "-i", "no input interface"),
            ("-L -s 192.0.2.1", "-s", "other commands"),
            ("-A INPUT \u{2013}s 192.0.2.1", "\u{2013}s", "write -s"),
            ("-A INPUT -j LOG --log-level loud", "loud", "emerg, alert"),
            ("-A INPUT -m limit --limit 5/fortnight", "5/fortnight", "5/second"),
            ("-A INPUT -dport 22", "-dport", "two hyphens: --dport"),
        ] {
            let (at, text) = advice(line, Family::V4);
            if at != word || !text.contains(said) {
                wrong.push(format!("{line}: at {at:?}: {text}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(advice("-A INPUT -s 192.0.2.1", Family::V6).1.contains("use iptables"));
    }

    #[test]
    fn names_that_are_near() {
        assert_eq!(nearest(b"OUPUT", ["INPUT", "OUTPUT"]), Some("OUTPUT"));
        assert_eq!(nearest(b"LOGG", ["LOG", "SNAT"]), Some("LOG"));
        assert_eq!(nearest(b"fliter", ["nat", "filter"]), Some("filter"));
        assert_eq!(nearest(b"x", ["nat", "filter"]), None);
        assert_eq!(nearest(&[b'a'; 100_000], ["nat"]), None);
    }
}
