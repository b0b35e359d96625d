//! The one pass over the words of a command.

use super::{
    Command, CommandKind, Context, check_new_chain, check_target_name, leading_number, program_name, word_before,
};
use crate::ext::options::{self, Kind, bit, number};
use crate::ext::{Action, Match, ParseCx, Spec, Target};
use crate::text::Error;
use crate::text::getopt::{self, Getopt, Token};
use crate::text::rule::RuleSpec;
use crate::types::{CHAIN_NAME_MAX, Counters, Family, IFNAMSIZ, IfacePattern};

/// An extension that was loaded.
pub(super) struct Loaded {
    pub(super) ext: AnyExt,
    pub(super) seen: u32,
}

pub(super) enum AnyExt {
    Match(Match),
    Target(Target),
}

/// The generic options given, as bits in the order in which stock reports illegal ones.
pub(super) const OPTION_LETTERS: &[u8] = b"nsdpjvxio0cf";

pub(super) struct Parser<'a, 'w> {
    pub(super) getopt: Getopt<'a>,
    pub(super) args: &'a [&'a [u8]],
    pub(super) cx: &'a Context<'a>,
    pub(super) warnings: &'w mut Vec<Vec<u8>>,
    pub(super) kind: Option<(u8, CommandKind)>,
    pub(super) zero_too: bool,
    pub(super) given: u32,
    pub(super) negate: bool,
    pub(super) loaded: Vec<Loaded>,
    pub(super) specs: Vec<&'static Spec>,
    pub(super) rule: RuleSpec,
    /// The match that `-p` loads when one of its options is met.
    implied: Option<&'static Spec>,
    pub(super) source: Option<(&'a [u8], usize)>,
    pub(super) destination: Option<(&'a [u8], usize)>,
    pub(super) table: Option<Vec<u8>>,
    pub(super) verbose: u32,
    pub(super) wait: bool,
    pub(super) wait_interval: bool,
    pub(super) late: Option<Error>,
    /// A lone `--` was read.
    pub(super) ended: bool,
}

impl<'a, 'w> Parser<'a, 'w> {
    pub(super) fn new(args: &'a [&'a [u8]], cx: &'a Context<'a>, warnings: &'w mut Vec<Vec<u8>>) -> Self {
        Self {
            getopt: Getopt::new(args, word_before(cx)),
            args,
            cx,
            warnings,
            kind: None,
            zero_too: false,
            given: 0,
            negate: false,
            loaded: Vec::new(),
            specs: Vec::new(),
            rule: RuleSpec::default(),
            implied: None,
            source: None,
            destination: None,
            table: None,
            verbose: 0,
            wait: false,
            wait_interval: false,
            late: None,
            ended: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Command, Error> {
        while let Some(token) = if self.ended { None } else { self.getopt.next(&self.specs) } {
            let word = self.getopt.word();
            let ended = self.token(token).map_err(|e| self.advise(e.at(word)))?;
            if let Some(kind) = ended {
                return Ok(self.command(kind));
            }
        }
        let kind = match self.finish() {
            Ok(kind) => kind,
            Err(e) => return Err(self.advise(e)),
        };
        if let Some(late) = self.late.take() {
            self.late = Some(self.advise(late));
        }
        Ok(self.command(kind))
    }

    /// Takes one token; `Some` ends the reading at once (`-h`, `-V`, a line of the other family).
    fn token(&mut self, token: Token<'a>) -> Result<Option<CommandKind>, Error> {
        match token {
            Token::Word(b"!") => {
                if self.negate {
                    return Err(Error::usage("multiple consecutive ! not allowed"));
                }
                self.negate = true;
                return Ok(None);
            }
            Token::Word(word) => return Err(Error::bad_argument(word)),
            Token::End => self.ended = true,
            Token::NoValue(word) => return Err(self.no_value(word)),
            Token::Unknown(word) => self.unknown(word)?,
            Token::Extension { index, opt, value } => self.extension(index, opt, value)?,
            Token::Generic { letter, value } => {
                if let Some(kind) = self.generic(letter, value.unwrap_or_default(), value.is_some())? {
                    return Ok(Some(kind));
                }
            }
        }
        self.negate = false;
        Ok(None)
    }

    /// An option that nobody loaded has: the match of `-p`'s protocol is loaded, once, if it has it.
    fn unknown(&mut self, word: &'a [u8]) -> Result<(), Error> {
        let unknown = || Error::usage([b"unknown option \"", word, b"\""].concat());
        let implied = self.implied;
        let (Some(spec), false) = (implied, self.specs.iter().any(|s| implied.is_some_and(|i| i.name == s.name)))
        else {
            return Err(unknown());
        };
        let Some(m) = Match::new(spec.name.as_bytes(), self.cx.family) else { return Err(unknown()) };
        // Read the same word again with the new options; if they are of no use, stock has loaded the match all the same.
        let mut again = Getopt::new(self.args, word_before(self.cx));
        again.seek(self.getopt.word());
        self.load(AnyExt::Match(m), spec);
        match again.next(&self.specs) {
            Some(Token::Extension { index, opt, value }) => {
                self.getopt = again;
                self.extension(index, opt, value)
            }
            Some(Token::NoValue(word)) => Err(Error::usage([b"option \"", word, b"\" requires an argument"].concat())),
            _ => Err(unknown()),
        }
    }

    /// An option without its value. Stock loads the match of `-p`'s protocol before it complains, and may then find an abbreviation ambiguous.
    fn no_value(&self, word: &[u8]) -> Error {
        match getopt::is_known(word, &self.specs, self.implied) {
            true => Error::usage([b"option \"", word, b"\" requires an argument"].concat()),
            false => Error::usage([b"unknown option \"", word, b"\""].concat()),
        }
    }

    /// The extensions named so far, targets first; if no match is among them, the one that the protocol would load.
    fn extensions_for_help(&self) -> Vec<&'static Spec> {
        let of = |targets: bool| {
            let both = self.loaded.iter().zip(&self.specs);
            both.filter(move |(l, _)| matches!(l.ext, AnyExt::Target(_)) == targets).map(|(_, spec)| *spec)
        };
        let mut extensions: Vec<_> = of(true).chain(of(false)).collect();
        if of(false).next().is_none() {
            extensions.extend(self.implied);
        }
        extensions
    }

    fn load(&mut self, ext: AnyExt, spec: &'static Spec) {
        self.loaded.push(Loaded { ext, seen: 0 });
        self.specs.push(spec);
    }

    pub(super) fn parse_cx(&self) -> ParseCx<'a> {
        ParseCx { family: self.cx.family, names: self.cx.names, protocol: self.rule.body.base.protocol }
    }

    fn extension(&mut self, index: usize, opt: &'static crate::ext::Opt, value: &'a [u8]) -> Result<(), Error> {
        let (cx, negate) = (self.parse_cx(), self.negate);
        let (Some(loaded), Some(spec)) = (self.loaded.get_mut(index), self.specs.get(index)) else { return Ok(()) };
        let mut given = options::give(spec, opt, negate, loaded.seen, value, &cx)?;
        if matches!(opt.kind, Kind::Pair | Kind::Optional) {
            given = given.with_second(self.getopt.plain_word());
        }
        match &loaded.ext {
            AnyExt::Match(m) => self.warnings.extend(m.warning(&given, &cx).map(|w| w.into_owned().into())),
            AnyExt::Target(t) => self.warnings.extend(t.warning(&given, &cx).map(|w| w.into_owned().into())),
        }
        match &mut loaded.ext {
            AnyExt::Match(m) => m.set(&given, &cx)?,
            AnyExt::Target(t) => t.set(&given, &cx)?,
        }
        loaded.seen |= bit(opt.id);
        Ok(())
    }

    fn generic(&mut self, letter: u8, value: &'a [u8], has_value: bool) -> Result<Option<CommandKind>, Error> {
        match letter {
            b'A' | b'C' | b'D' | b'R' | b'I' | b'L' | b'S' | b'F' | b'Z' | b'N' | b'X' | b'E' | b'P' => {
                let attached = has_value.then_some(value);
                self.command_option(letter, attached)?;
            }
            b'h' => return Ok(Some(CommandKind::Help { extensions: self.extensions_for_help() })),
            b'V' => return Ok(Some(CommandKind::Version { negated: self.negate })),
            b'4' | b'6' => {
                let other = (letter == b'4') != (self.cx.family == Family::V4);
                if other && self.cx.restore {
                    return Ok(Some(CommandKind::OtherFamily));
                }
                if other {
                    // Stock says nothing but its hint.
                    let advice = format!("this program is for {}; the other family has its own", self.cx.family);
                    return Err(Error::usage("").advise(advice));
                }
            }
            b't' => {
                if self.negate {
                    return Err(Error::usage("unexpected ! flag before --table"));
                }
                if self.cx.restore {
                    let text = format!("The -t option cannot be used in {}.\n", program_name(self.cx));
                    return Err(Error::usage(text));
                }
                self.table = Some(value.to_vec());
            }
            b'm' => self.load_match(value)?,
            b'M' => {}
            b'w' | b'W' => self.wait_option(letter, value, has_value)?,
            _ => self.rule_option(letter, value)?,
        }
        Ok(None)
    }

    fn wait_option(&mut self, letter: u8, value: &'a [u8], has_value: bool) -> Result<(), Error> {
        if self.cx.restore {
            let text = format!("You cannot use `-{}' from iptables-restore", char::from(letter));
            return Err(Error::usage(text));
        }
        let value = if has_value { Some(value) } else { self.getopt.plain_word() };
        if letter == b'w' {
            self.wait = true;
            if let Some(v) = value
                && !starts_with_number(v)
            {
                return Err(Error::usage("wait seconds not numeric"));
            }
            return Ok(());
        }
        self.wait_interval = true;
        let Some(v) = value else { return Err(Error::usage("wait interval value required")) };
        if !starts_with_number(v) {
            return Err(Error::usage("wait interval not numeric"));
        }
        self.warnings.push(b"Ignoring deprecated --wait-interval option.".to_vec());
        Ok(())
    }

    fn load_match(&mut self, name: &'a [u8]) -> Result<(), Error> {
        if self.negate {
            return Err(Error::usage("unexpected ! flag before --match"));
        }
        if name.len() > CHAIN_NAME_MAX {
            return Err(Error::usage([b"Invalid match name \"", name, b"\" (28 chars max)"].concat()));
        }
        let Some(m) = Match::new(name, self.cx.family) else {
            let text = [b"Couldn't load match `", name, b"':No such file or directory\n"].concat();
            return Err(Error::usage(text));
        };
        let spec = m.spec();
        self.load(AnyExt::Match(m), spec);
        Ok(())
    }

    /// Notes that a generic option was given; twice, or after `!` where that is not legal, is an error.
    fn once(&mut self, letter: u8, invertible: bool) -> Result<(), Error> {
        let Some(at) = OPTION_LETTERS.iter().position(|l| *l == letter) else { return Ok(()) };
        let flag = 1 << at;
        if self.given & flag != 0 && letter != b'v' {
            return Err(Error::usage(format!("multiple -{} flags not allowed", char::from(letter))));
        }
        self.given |= flag;
        if self.negate && !invertible {
            return Err(Error::usage(format!("cannot have ! before -{}", char::from(letter))));
        }
        Ok(())
    }

    fn rule_option(&mut self, letter: u8, value: &'a [u8]) -> Result<(), Error> {
        let word = self.getopt.word();
        if matches!(letter, b'i' | b'o') && value.is_empty() {
            return Err(Error::usage("Empty interface is likely to be undesired"));
        }
        self.once(
            if letter == b'g' { b'j' } else { letter },
            matches!(letter, b's' | b'd' | b'p' | b'i' | b'o' | b'f'),
        )?;
        match letter {
            b's' => {
                self.source = Some((value, word));
                self.rule.not_source = self.negate;
            }
            b'd' => {
                self.destination = Some((value, word));
                self.rule.not_destination = self.negate;
            }
            b'p' => self.protocol(value)?,
            b'i' => self.rule.body.base.iif = Some((self.interface(value)?, self.negate)),
            b'o' => self.rule.body.base.oif = Some((self.interface(value)?, self.negate)),
            b'f' if self.cx.family == Family::V6 => {
                return Err(Error::usage("`-f' is not supported in IPv6, use -m frag instead"));
            }
            b'f' => self.rule.body.base.fragment = Some(self.negate),
            b'j' => self.jump(value)?,
            b'g' => {
                check_target_name(value)?;
                self.rule.body.action = Action::Goto(value.into());
            }
            b'c' => self.counters(value)?,
            b'v' => self.verbose += 1,
            _ => {}
        }
        Ok(())
    }

    fn protocol(&mut self, value: &'a [u8]) -> Result<(), Error> {
        let lower = value.to_ascii_lowercase();
        let protocol = options::protocol(&lower, &self.parse_cx())?;
        if protocol == 0 && self.negate {
            return Err(Error::usage("rule would never match protocol"));
        }
        self.rule.body.base.protocol = (protocol != 0).then_some((protocol, self.negate));
        // The name of 135 in protocols(5) is not that of the match.
        self.implied = implied_match(protocol, self.cx.family).filter(|spec| spec.name != "mh" || lower == b"mh");
        // Extension headers are not the transport protocol (ip6tables(8), -p).
        if self.cx.family == Family::V6 && matches!(protocol, 43 | 44 | 51 | 60) && !self.negate {
            let text =
                [b"Warning: never matched protocol: ", lower.as_slice(), b". use extension match instead."].concat();
            self.warnings.push(text);
        }
        Ok(())
    }

    fn interface(&mut self, name: &'a [u8]) -> Result<IfacePattern, Error> {
        let too_long = || {
            let text = [b"interface name `", name, b"' must be shorter than IFNAMSIZ (15)"].concat();
            Error::usage(text)
        };
        if name.len() >= IFNAMSIZ {
            return Err(too_long());
        }
        if name.iter().any(|b| *b == b'/' || b.is_ascii_whitespace() || *b == 0x0b) {
            let text =
                [b"Warning: weird character in interface `", name, b"' ('/' and ' ' are not allowed by the kernel)."];
            self.warnings.push(text.concat());
        }
        IfacePattern::parse(name).ok_or_else(too_long)
    }

    fn jump(&mut self, name: &'a [u8]) -> Result<(), Error> {
        if let Some(verdict) = Action::verdict(name) {
            self.rule.body.action = verdict;
        } else if let Some(target) = Target::new(name, self.cx.family) {
            let spec = target.spec();
            self.load(AnyExt::Target(target), spec);
        } else {
            check_target_name(name)?;
            self.rule.body.action = Action::Jump(name.into());
        }
        Ok(())
    }

    fn counters(&mut self, value: &'a [u8]) -> Result<(), Error> {
        // A comma at the very beginning is not taken for the one between the two.
        let (packets, bytes) = match value.iter().skip(1).position(|b| *b == b',') {
            Some(at) => (value.get(..=at).unwrap_or_default(), value.get(at + 2..)),
            None => (value, self.getopt.plain_word()),
        };
        let Some(bytes) = bytes else { return Err(Error::usage("-c requires packet and byte counter")) };
        let not_numeric = |what: &str| Error::usage(format!("-c {what} counter not numeric"));
        self.rule.counters = Counters {
            packets: leading_number(packets).map(|(n, _)| n).ok_or_else(|| not_numeric("packet"))?,
            bytes: leading_number(bytes).map(|(n, _)| n).ok_or_else(|| not_numeric("byte"))?,
        };
        Ok(())
    }

    fn command_option(&mut self, letter: u8, attached: Option<&'a [u8]>) -> Result<(), Error> {
        // Only the name of a new chain is looked at before anything else is.
        if letter == b'N' {
            check_new_chain(attached.unwrap_or_default(), self.cx.family)?;
        }
        if self.negate {
            return Err(Error::usage("unexpected '!' flag"));
        }
        let before = self.kind.as_ref().map(|(before, _)| *before);
        if let Some(before) = before
            && !matches!((before, letter), (b'L' | b'S', b'Z') | (b'Z', b'L' | b'S'))
        {
            let text = format!("Cannot use -{} with -{}", char::from(letter), char::from(before));
            return Err(Error::usage(text));
        }
        if self.zero_too && letter == b'Z' {
            return Err(Error::usage("Cannot use -Z with -Z"));
        }
        let kind = self.command_kind(letter, attached)?;
        self.kind = Some(match self.kind.take() {
            None => (letter, kind),
            Some((before, listing)) if letter == b'Z' => self.and_zero(before, listing, kind),
            Some((_, zero)) => {
                self.zero_too = !matches!(zero, CommandKind::Zero { number: Some(_), .. });
                (letter, named_as(kind, zero))
            }
        });
        Ok(())
    }

    /// A listing and the `-Z` behind it: they share the chain that was named last. A `-Z` of one rule stands alone.
    fn and_zero(&mut self, letter: u8, listing: CommandKind, zero: CommandKind) -> (u8, CommandKind) {
        if matches!(zero, CommandKind::Zero { number: Some(_), .. }) {
            return (b'Z', zero);
        }
        self.zero_too = true;
        let named = |chain: Option<Vec<u8>>| match &zero {
            CommandKind::Zero { chain: Some(last), .. } => Some(last.clone()),
            _ => chain,
        };
        let both = match listing {
            CommandKind::List { chain, number, zero } => CommandKind::List { chain: named(chain), number, zero },
            CommandKind::ListRules { chain, number, zero } => {
                CommandKind::ListRules { chain: named(chain), number, zero }
            }
            other => other,
        };
        (letter, both)
    }

    fn command_kind(&mut self, letter: u8, attached: Option<&'a [u8]>) -> Result<CommandKind, Error> {
        let chain = attached.unwrap_or_default().to_vec();
        let optional = |getopt: &mut Getopt<'a>| attached.or_else(|| getopt.plain_word()).map(<[u8]>::to_vec);
        Ok(match letter {
            b'A' => CommandKind::Append { chain },
            b'C' => CommandKind::Check { chain },
            b'D' => match self.getopt.plain_word() {
                Some(n) => CommandKind::DeleteNumber { chain, number: rule_number(n)? },
                None => CommandKind::Delete { chain },
            },
            b'R' => {
                let n = self.getopt.plain_word().ok_or_else(|| Error::usage("-R requires a rule number"))?;
                CommandKind::Replace { chain, number: rule_number(n)? }
            }
            b'I' => CommandKind::Insert { chain, number: self.optional_number()?.unwrap_or(1) },
            b'L' | b'S' | b'Z' => {
                let chain = optional(&mut self.getopt);
                let number = if chain.is_some() { self.optional_number()? } else { None };
                match letter {
                    b'L' => CommandKind::List { chain, number, zero: false },
                    b'S' => CommandKind::ListRules { chain, number, zero: false },
                    _ => CommandKind::Zero { chain, number },
                }
            }
            b'F' => CommandKind::Flush { chain: optional(&mut self.getopt) },
            b'X' => CommandKind::DeleteChain { chain: optional(&mut self.getopt) },
            b'N' => CommandKind::NewChain { chain },
            b'E' => {
                let new = self.getopt.plain_word();
                let new = new.ok_or_else(|| Error::usage("-E requires old-chain-name and new-chain-name"))?.to_vec();
                CommandKind::RenameChain { chain, new }
            }
            _ => {
                let policy = self.getopt.plain_word();
                let policy = policy.ok_or_else(|| Error::usage("-P requires a chain and a policy"))?.to_vec();
                CommandKind::Policy { chain, policy }
            }
        })
    }

    fn optional_number(&mut self) -> Result<Option<u32>, Error> {
        self.getopt.plain_word().map(rule_number).transpose()
    }
}

/// A listing behind a `-Z`: what it does not name itself, it takes from there.
fn named_as(listing: CommandKind, zero: CommandKind) -> CommandKind {
    let CommandKind::Zero { chain: first, number: at } = zero else { return listing };
    match listing {
        CommandKind::List { chain, number, zero } => {
            CommandKind::List { chain: chain.or(first), number: number.or(at), zero }
        }
        CommandKind::ListRules { chain, number, zero } => {
            CommandKind::ListRules { chain: chain.or(first), number: number.or(at), zero }
        }
        other => other,
    }
}

/// The match that `-p` with this protocol loads by itself.
fn implied_match(protocol: u8, family: Family) -> Option<&'static Spec> {
    Match::ALL.iter().find(|s| s.implied_by.contains(&protocol) && s.families.contains(&family)).copied()
}

/// As sscanf(3) with `%u` sees it: what follows the first digits is not looked at.
fn starts_with_number(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text).first().is_some_and(u8::is_ascii_digit)
}

fn rule_number(text: &[u8]) -> Result<u32, Error> {
    number(text, 1, i32::MAX as u64)
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| Error::usage([b"Invalid rule number `", text, b"'"].concat()))
}
