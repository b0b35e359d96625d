//! Advice that the ruleset gives: chains of nearly that name, the rule that is nearly the same, who leads to a chain, limits that are broken.

use super::super::failure::Failure;
use crate::ext::limits::{self, Broken, Place, list};
use crate::ext::{Action, Body, PrintCx, Target};
use crate::kernel::{self, OpKind, Refusal, Session, What};
use crate::model::builtin::{TABLES, builtins};
use crate::model::{Chain, Rule, Ruleset, Table};
use crate::text::advice::{nearest, show};
use crate::text::lexer::{Words, counters_prefix, lines};
use crate::text::{Command, CommandKind, Context, parse};
use crate::types::{Hook, Out};

const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
const EBUSY: i32 = rustix::io::Errno::BUSY.raw_os_error();
const ELOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
const EMLINK: i32 = rustix::io::Errno::MLINK.raw_os_error();
const EOPNOTSUPP: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();

/// The most words that are compared of a chain's rules.
const COMPARED_MAX: usize = 20_000;

/// What failed, and where.
pub(super) struct Scene<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) table: Vec<u8>,
    /// The command, if it can be read.
    pub(super) command: Option<Command>,
    /// The file that it stands in, and whether that keeps what is there.
    pub(super) file: Option<(&'a [u8], bool)>,
}

/// The chain that a command names.
pub(super) fn chain_of(kind: &CommandKind) -> Option<&[u8]> {
    match kind {
        CommandKind::Append { chain }
        | CommandKind::Check { chain }
        | CommandKind::Delete { chain }
        | CommandKind::DeleteNumber { chain, .. }
        | CommandKind::Insert { chain, .. }
        | CommandKind::Replace { chain, .. }
        | CommandKind::RenameChain { chain, .. }
        | CommandKind::NewChain { chain }
        | CommandKind::Policy { chain, .. } => Some(chain),
        CommandKind::List { chain, .. }
        | CommandKind::ListRules { chain, .. }
        | CommandKind::Flush { chain }
        | CommandKind::Zero { chain, .. }
        | CommandKind::DeleteChain { chain } => chain.as_deref(),
        _ => None,
    }
}

fn count(rules: usize) -> String {
    if rules == 1 { "1 rule".into() } else { format!("{rules} rules") }
}

fn text(bytes: &[u8]) -> String {
    show(bytes)
}

impl Scene<'_> {
    /// What the ruleset has to say about a failure.
    pub(super) fn advise(&self, failure: &Failure) -> Option<String> {
        match failure {
            Failure::Version(said) => Some(on_table(said.strip_prefix(b"table '")?.strip_suffix(b"' does not exist")?)),
            Failure::Usage(e) => {
                let name = e.text.strip_prefix(b"Chain '")?.strip_suffix(b"' does not exist")?;
                Some(self.on_jump(name, &self.ruleset()?))
            }
            Failure::Object(said) => self.on_object(said),
            Failure::Refused { .. } if self.wants_queue() => {
                Some("the kernel has no target QUEUE any more; its successor is NFQUEUE --queue-num N".into())
            }
            Failure::Refused { refusals, missing } if missing.is_empty() => {
                self.on_refusal(refusals.first()?, &self.ruleset()?)
            }
            Failure::Refused { .. } => self.on_missing(),
            Failure::Kernel(kernel::Error::PermissionDenied) if rustix::process::geteuid().is_root() => Some(
                "this root has no CAP_NET_ADMIN over this network namespace: give the container NET_ADMIN (docker run \
                 --cap-add=NET_ADMIN), or make a namespace of your own with `unshare -rn` or `oxtables sandbox`"
                    .into(),
            ),
            Failure::Kernel(kernel::Error::BufferTooSmall { needed, .. }) => Some(format!(
                "as root: sysctl -w net.core.wmem_max={}; or split the file into smaller ones, loaded with --noflush",
                needed.div_ceil(2)
            )),
            _ => None,
        }
    }

    fn wants_queue(&self) -> bool {
        matches!(self.command.as_ref().map(|c| &c.rule.body.action), Some(Action::Target(Target::Queue(_))))
    }

    fn ruleset(&self) -> Option<Ruleset> {
        kernel::ruleset(&mut Session::open().ok()?, self.cx.family).ok()
    }

    /// A kernel without the extension, or without any.
    fn on_missing(&self) -> Option<String> {
        let mut session = Session::open().ok()?;
        let any = session.supports("tcp", 0, false, self.cx.family).ok()?;
        (!any).then(|| "this kernel takes no xt extension at all: load module nft_compat (CONFIG_NFT_COMPAT)".into())
    }

    /// The chains of a table that are there or can be.
    fn chains<'r>(&self, table: &[u8], ruleset: &'r Ruleset) -> Vec<&'r [u8]> {
        let built_in = builtins(self.cx.family, table).unwrap_or_default().iter().map(|b| b.name);
        let mut all: Vec<&[u8]> = built_in.collect();
        for chain in ruleset.table(table).map(Table::chains).unwrap_or_default() {
            if !all.contains(&chain.name.as_slice()) {
                all.push(&chain.name);
            }
        }
        all
    }

    fn others_with(&self, name: &[u8], ruleset: &Ruleset) -> Option<String> {
        let others = TABLES.iter().filter(|t| **t != self.table && self.chains(t, ruleset).contains(&name));
        let others: Vec<String> = others.map(|t| text(t)).collect();
        let names: Vec<&str> = others.iter().map(String::as_str).collect();
        let first = names.first()?;
        Some(match names.len() {
            1 => format!("table {first} has a chain of that name"),
            _ => format!("tables {} have a chain of that name", list(&names, "and")),
        })
    }

    fn nearest_chain(&self, name: &[u8], ruleset: &Ruleset) -> Option<String> {
        let names: Vec<String> = self.chains(&self.table, ruleset).into_iter().map(text).collect();
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }

    /// A chain that a command is for.
    fn on_chain(&self, name: &[u8], ruleset: &Ruleset) -> String {
        let mut said = vec![format!("the chain is what is missing: table {} has no {}", text(&self.table), text(name))];
        said.extend(self.nearest_chain(name, ruleset).map(|near| format!("did you mean {near}?")));
        said.extend(self.others_with(name, ruleset).map(|others| format!("{others} (-t TABLE)")));
        if said.len() == 1 {
            said.push(format!("-N {} makes it", text(name)));
        }
        said.join("; ")
    }

    /// A target that is no target and no chain.
    fn on_jump(&self, name: &[u8], ruleset: &Ruleset) -> String {
        let table = text(&self.table);
        let mut said = vec![format!("there is no target and no chain {} in table {table}", text(name))];
        let chains: Vec<String> = self.chains(&self.table, ruleset).into_iter().map(text).collect();
        let targets = Target::ALL.iter().filter(|s| s.families.contains(&self.cx.family)).map(|s| s.name);
        let known = ["ACCEPT", "DROP", "RETURN"].into_iter().chain(targets).chain(chains.iter().map(String::as_str));
        said.extend(nearest(name, known).map(|near| format!("did you mean {near}?")));
        said.extend(self.others_with(name, ruleset).map(|o| format!("{o}, but a jump stays in its table")));
        if said.len() == 1 {
            said.push(format!("-N {} makes a chain", text(name)));
        }
        said.join("; ")
    }

    fn on_object(&self, said: &str) -> Option<String> {
        let command = self.command.as_ref()?;
        let name = chain_of(&command.kind)?;
        let ruleset = self.ruleset()?;
        let exists = self.chains(&self.table, &ruleset).contains(&name);
        let rules = ruleset.table(&self.table).and_then(|t| t.chain(name)).map_or(&[][..], |c| c.rules.as_slice());
        Some(if said.starts_with("No chain") && exists {
            format!("{} is a built-in chain, and this command is for chains made with -N", text(name))
        } else if said.starts_with("No chain") || said.starts_with("Bad rule") && !exists {
            self.on_chain(name, &ruleset)
        } else if said.starts_with("Bad rule") {
            self.on_rule(name, rules)
        } else if said.starts_with("Index of") {
            let of_table = format!("chain {} of table {} has {}", text(name), text(&self.table), count(rules.len()));
            format!("{of_table}; `-L {} --line-numbers` shows them", text(name))
        } else if said.starts_with("Chain already exists") {
            format!("-F {} empties it; -X deletes it", text(name))
        } else if said.starts_with("File exists") {
            "the new name is taken; delete that chain first, or choose another".into()
        } else if said.starts_with("Bad built-in") {
            format!("{} is no built-in chain of table {}, and only those have a policy", text(name), text(&self.table))
        } else if said.starts_with("Bad policy") {
            "a policy is ACCEPT or DROP".into()
        } else {
            return None;
        })
    }

    fn save(&self, chain: &[u8], body: &Body) -> String {
        let mut out = Out::new();
        out.str("-A");
        out.word(chain);
        let cx = PrintCx { family: self.cx.family, numeric: true, names: self.cx.names, protocol: None };
        body.save(&mut out, &cx, None);
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    /// The rule of a chain that is nearest to the one that is not there.
    fn on_rule(&self, chain: &[u8], rules: &[Rule]) -> String {
        let Some(command) = &self.command else { return String::new() };
        if rules.is_empty() {
            return format!("chain {} of table {} has no rules", text(chain), text(&self.table));
        }
        let mut wanted = None;
        let _ = command.rule.clone().for_each(|body| {
            wanted.get_or_insert_with(|| self.save(chain, body));
            Ok::<(), ()>(())
        });
        let wanted = wanted.unwrap_or_default();
        let words: Vec<&str> = wanted.split(' ').collect();
        let known = (1..).zip(rules.iter().take(COMPARED_MAX)).filter_map(|(n, r)| Some((n, r.body.as_ref()?)));
        let with_distance = known.map(|(n, body)| {
            let saved = self.save(chain, body);
            let distance = strsim::generic_levenshtein(&words, &saved.split(' ').collect::<Vec<_>>());
            (distance, n, saved)
        });
        let Some((_, number, saved)) = with_distance.min_by_key(|(d, n, _)| (*d, *n)) else {
            return format!("chain {} has no rule that can be compared", text(chain));
        };
        let has: Vec<&str> = saved.split(' ').collect();
        let (mut a, mut b) = (words.clone(), has.clone());
        a.sort_unstable();
        b.sort_unstable();
        let note = if a == b { " (the same parts in another order)" } else { "" };
        format!("no rule is exactly so; the nearest is rule {number}{note}: {saved}")
    }

    fn on_refusal(&self, refusal: &Refusal, ruleset: &Ruleset) -> Option<String> {
        let table = self.as_asked(ruleset);
        let subject = match &refusal.op.what {
            What::Chain(name) | What::RuleIn(name) => name.as_slice(),
            _ => return None,
        };
        match (refusal.errno, refusal.op.kind) {
            (EBUSY, OpKind::ChainDel) => Some(self.on_busy(subject, ruleset)),
            (ELOOP | EMLINK, _) => Some(on_circle(subject, &table)),
            (EINVAL | EOPNOTSUPP, OpKind::RuleAppend | OpKind::RuleInsert | OpKind::RuleReplace) => {
                let command = self.command.as_ref()?;
                let to = command.rule.body.action.chain();
                if let Some(to) = to.filter(|to| Hook::from_chain(to).is_some()) {
                    let to = text(to);
                    return Some(format!(
                        "{to} is a built-in chain, and nothing can jump to one; put its rules in a chain of your own (-N)"
                    ));
                }
                self.on_limits(subject, &command.rule.body, &table)
            }
            _ => None,
        }
    }

    /// Which rules keep a chain from being deleted.
    fn on_busy(&self, name: &[u8], ruleset: &Ruleset) -> String {
        const SHOWN: usize = 8;
        let Some(table) = ruleset.table(&self.table) else { return String::new() };
        let mut reasons = Vec::new();
        if let Some(chain) = table.chain(name).filter(|c| !c.rules.is_empty()) {
            reasons.push(format!("it has {} (-F {} deletes them)", count(chain.rules.len()), text(name)));
        }
        let jumps: Vec<String> = table
            .chains()
            .iter()
            .flat_map(|c| jumps(c).map(move |(n, to)| (c, n, to)))
            .filter(|(_, _, to)| *to == name)
            .map(|(c, n, _)| format!("{} rule {n} (-D {} {n})", text(&c.name), text(&c.name)))
            .collect();
        if !jumps.is_empty() {
            let more = if jumps.len() > SHOWN { format!(" and {} more", jumps.len() - SHOWN) } else { String::new() };
            reasons.push(format!(
                "to it leads {}{more}",
                jumps.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ")
            ));
        }
        format!("chain {} is in use: {}", text(name), reasons.join("; "))
    }

    /// The limit that a rule breaks in its place, or that makes its jump impossible.
    fn on_limits(&self, chain: &[u8], body: &Body, table: &Table) -> Option<String> {
        let routes = routes(chain, table);
        let hooks: Vec<Hook> = routes.iter().map(|(hook, _)| *hook).collect();
        if let Some(broken) = self.broken(body, &hooks) {
            let way = routes.iter().find(|(h, way)| way.len() > 1 && self.broken(body, &[*h]).is_some());
            let by_way = broken.part == limits::Part::Hook;
            let way = way.filter(|_| by_way).map(|(_, way)| format!("; packets come here by {}", way.join(" → ")));
            return Some(format!("{}{}", broken.sentence(), way.unwrap_or_default()));
        }
        // Of a jump, the rules that it leads to.
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut todo: Vec<&[u8]> = body.action.chain().into_iter().collect();
        while let Some(to) = todo.pop() {
            if seen.contains(&to) {
                continue;
            }
            seen.push(to);
            let Some(next) = table.chain(to) else { continue };
            for (n, rule) in (1..).zip(&next.rules) {
                let Some(inside) = &rule.body else { continue };
                if let Some(broken) = self.broken(inside, &hooks) {
                    let from = list(&hooks.iter().map(|h| h.chain()).collect::<Vec<_>>(), "and");
                    let place = format!("this jump leads from {from} to rule {n} of {}", text(to));
                    return Some(format!("{place}, but {}", broken.sentence()));
                }
            }
            todo.extend(jumps(next).map(|(_, to)| to));
        }
        None
    }

    fn broken(&self, body: &Body, hooks: &[Hook]) -> Option<Broken> {
        let place = Place { table: &self.table, hooks, protocol: body.base.protocol };
        let of_matches = body.matches.iter().find_map(|m| limits::of_match(m, self.cx.family, &place));
        of_matches.or_else(|| match &body.action {
            Action::Target(target) => limits::of_target(target, self.cx.family, &place),
            _ => None,
        })
    }

    /// The table as it would be, had the kernel taken everything.
    fn as_asked(&self, ruleset: &Ruleset) -> Table {
        let now = || ruleset.table(&self.table).cloned().unwrap_or_else(|| Table::new(&self.table));
        let Some((file, keep)) = self.file else {
            let mut table = now();
            if let Some(command) = &self.command {
                add(&mut table, command);
            }
            return table;
        };
        let mut table = if keep { now() } else { Table::new(&self.table) };
        let mut inside = false;
        let mut words = Words::default();
        for line in lines(file) {
            match line {
                [b'*', name @ ..] => inside = name.trim_ascii() == self.table,
                [b'-' | b'[', ..] if inside => {
                    let rest = counters_prefix(line).map_or(line, |(_, _, rest)| rest);
                    if words.split(rest).is_err() {
                        continue;
                    }
                    let words: Vec<&[u8]> = words.iter().collect();
                    if let Ok(command) = parse(&words, self.cx, &mut Vec::new()) {
                        add(&mut table, &command);
                    }
                }
                _ => {}
            }
        }
        table
    }
}

/// A table that does not exist.
fn on_table(name: &[u8]) -> String {
    let names = TABLES.iter().map(|t| std::str::from_utf8(t).unwrap_or_default());
    let all: Vec<&str> = names.collect();
    let near = nearest(name, all.iter().copied()).map(|n| format!("did you mean {n}? ")).unwrap_or_default();
    format!("{near}the tables are {}", list(&all, "and"))
}

/// Adds the rule of a command to its chain; where in the chain is of no matter to jumps and limits.
fn add(table: &mut Table, command: &Command) {
    let (CommandKind::Append { chain } | CommandKind::Insert { chain, .. } | CommandKind::Replace { chain, .. }) =
        &command.kind
    else {
        return;
    };
    let mut with = table.chain(chain).cloned().unwrap_or_else(|| Chain { name: chain.clone(), ..Chain::default() });
    with.rules.push(Rule::from(command.rule.body.clone()));
    table.add(with);
}

/// The jumps of a chain, with the numbers of their rules (from 1).
fn jumps(chain: &Chain) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(&chain.rules).filter_map(|(n, rule)| Some((n, rule.body.as_ref()?.action.chain()?)))
}

/// The hooks from which packets come to a chain, each with the chains on the way.
fn routes(chain: &[u8], table: &Table) -> Vec<(Hook, Vec<String>)> {
    let (mut found, mut seen) = (Vec::new(), vec![chain.to_vec()]);
    let mut todo = vec![vec![chain.to_vec()]];
    while let Some(way) = todo.pop() {
        let Some(first) = way.first() else { continue };
        if let Some(hook) = Hook::from_chain(first) {
            found.push((hook, way.iter().map(|name| text(name)).collect()));
            continue;
        }
        for from in table.chains().iter().filter(|c| jumps(c).any(|(_, to)| to == first.as_slice())) {
            if !seen.contains(&from.name) {
                seen.push(from.name.clone());
                todo.push([vec![from.name.clone()], way.clone()].concat());
            }
        }
    }
    found.sort_by_key(|(hook, _)| *hook);
    found
}

/// The circle in which the jumps of a table go, or that they go too deep.
fn on_circle(from: &[u8], table: &Table) -> String {
    let names = std::iter::once(from).chain(table.chains().iter().map(|c| c.name.as_slice()));
    for start in names {
        let mut before: Vec<(&[u8], &[u8])> = Vec::new();
        let mut todo = vec![start];
        while let Some(at) = todo.pop() {
            for (_, to) in table.chain(at).map(jumps).into_iter().flatten() {
                if to == start {
                    let mut way = vec![text(start), text(at)];
                    let mut back = at;
                    while back != start
                        && let Some((_, previous)) = before.iter().find(|(chain, _)| *chain == back)
                    {
                        back = previous;
                        way.push(text(back));
                    }
                    if at == start {
                        way.truncate(2);
                    }
                    way.reverse();
                    return format!("the jumps go round in a circle: {}", way.join(" → "));
                }
                if !before.iter().any(|(chain, _)| *chain == to) {
                    before.push((to, at));
                    todo.push(to);
                }
            }
        }
    }
    "the jumps go deeper than the kernel follows (16 chains); make fewer levels of chains".into()
}
