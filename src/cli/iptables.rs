//! `iptables` and `ip6tables`: one command, one transaction.

use super::debugged::Debugged;
use super::failure::{Failure, Program};
use super::json::{Asked, document};
use super::missing::{missing_extensions, warn_of_loaded};
use super::show::{Form, Request, show};
use super::transaction::Transaction;
use super::writing::Writing;
use super::{Streams, exit, warn_of_legacy};
use crate::kernel::{Session, errno_text};
use crate::model::builtin::builtins;
use crate::text::list::{Style, verbose_rule};
use crate::text::{Command, CommandKind, Context, parse};
use crate::types::{Counters, Family, Names, Out};

/// How often a command is planned again because the ruleset changed under it.
pub(super) const ATTEMPTS: u32 = 10_000;

/// Runs one command line and says its exit code.
pub fn run(program: Program<'_>, family: Family, names: &dyn Names, args: &[&[u8]], io: &mut Streams) -> u8 {
    let cx = Context { family, names, restore: false, table: b"filter", verbose: false };
    let mut warnings = Vec::new();
    let json = listing_as_json(args, &cx);
    let words = json.as_deref().unwrap_or(args);
    let parsed = parse(words, &cx, &mut warnings);
    for warning in &warnings {
        io.err.bytes(warning);
        io.err.byte(b'\n');
    }
    let outcome = match parsed {
        Ok(mut command) => {
            execute(program, &cx, &mut command, json.is_some(), io).map_err(|failure| (failure, Some(command)))
        }
        Err(e) => Err((e.into(), None)),
    };
    match outcome {
        Ok(()) => exit::OK,
        Err((failure, command)) => {
            warn_of_loaded(&failure, command.as_ref().map(|c| &c.rule.body), family, &mut io.err);
            failure.print(program, None, &mut io.err);
            super::explain::explain(&failure, &cx, args, io);
            failure.exit()
        }
    }
}

/// The words without `--json`, if it is among them and the rest is a listing: everywhere else it is a word like any other.
fn listing_as_json<'a>(args: &[&'a [u8]], cx: &Context<'_>) -> Option<Vec<&'a [u8]>> {
    let at = args.iter().position(|word| *word == b"--json")?;
    let rest: Vec<&[u8]> = args.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, word)| *word).collect();
    let command = parse(&rest, cx, &mut Vec::new()).ok()?;
    matches!(command.kind, CommandKind::List { .. } | CommandKind::ListRules { .. }).then_some(rest)
}

fn execute(
    program: Program<'_>,
    cx: &Context<'_>,
    command: &mut Command,
    json: bool,
    io: &mut Streams,
) -> Result<(), Failure> {
    match &command.kind {
        CommandKind::Version { negated: false } => {
            writeln!(io.out, "{}", program.version());
            return Ok(());
        }
        CommandKind::Version { negated: true } => {
            writeln!(io.out, "Not {} (nf_tables) ;-)", super::STOCK_VERSION);
            return Ok(());
        }
        CommandKind::Help { extensions } => {
            crate::text::help::iptables(program.name, cx.family, extensions, &mut io.out);
            return Ok(());
        }
        CommandKind::OtherFamily => return Ok(()),
        _ => {}
    }
    let table = check_table(command)?;
    let mut session = Session::open()?;
    let listing = match &command.kind {
        CommandKind::List { chain, number, zero } => Some((true, chain.clone(), *number, *zero)),
        CommandKind::ListRules { chain, number, zero } => Some((false, chain.clone(), *number, *zero)),
        _ => None,
    };
    let listing_too = listing.is_some();
    if let Some((columns, chain, number, zero)) = listing {
        if json {
            let (chain, tables) = (chain.as_deref(), &[table.as_slice()][..]);
            let asked = Asked { family: cx.family, tables, chain, number, names: cx.names };
            let (document, _) = document(&mut session, &asked)?;
            io.out.bytes(&document.print());
        } else {
            let request =
                Request { family: cx.family, table: &table, chain: chain.as_deref(), number, names: cx.names };
            list(&mut session, &request, columns, command, io)?;
        }
        if !zero {
            return Ok(());
        }
        command.kind = CommandKind::Zero { chain, number: None };
    }
    change(&mut session, cx, &table, command, listing_too, io)
}

/// Shows what `-L` or `-S` asks for.
fn list(
    session: &mut Session,
    request: &Request<'_>,
    columns: bool,
    command: &Command,
    io: &mut Streams,
) -> Result<(), Failure> {
    warn_of_legacy(request.family, "", &mut io.err);
    let style = Style::of(command, request.family, request.names);
    let form = if columns { Form::List(style) } else { Form::Rules(command.verbose > 0) };
    if command.verbose > 1 {
        Debugged::read(session, request.family, request.table, &command.kind, &mut io.out)?;
    }
    let (_, text) = show(session, request, form)?;
    io.extend(text);
    Ok(())
}

/// The table of a command, if iptables has one of that name.
pub(super) fn check_table(command: &Command) -> Result<Vec<u8>, Failure> {
    // Without -t it is filter; an empty -t is a name that no table has.
    let table = command.table.clone().unwrap_or_else(|| b"filter".to_vec());
    if builtins(Family::V4, &table).is_none() {
        return Err(Failure::Version([b"table '", table.as_slice(), b"' does not exist"].concat()));
    }
    Ok(table)
}

/// Plans, sends, and plans again as long as other programs get in between. `listed` is for a `-Z` beside `-L` or `-S`.
fn change(
    session: &mut Session,
    cx: &Context<'_>,
    table: &[u8],
    command: &mut Command,
    listed: bool,
    io: &mut Streams,
) -> Result<(), Failure> {
    let (mut ids, mut pinned) = (false, false);
    let mut writing = Writing::from_environment()?;
    for _ in 0..ATTEMPTS {
        let mut out = Out::new();
        let mut transaction = Transaction::new(session, cx.family, ids, writing.clone());
        transaction.once = command.rule.len() == 1;
        transaction.listed = listed;
        if pinned {
            transaction.pin()?;
        }
        let debugged = match command.verbose {
            0 | 1 => None,
            _ => Some(Debugged::read(transaction.session, cx.family, table, &command.kind, &mut out)?),
        };
        let unpinned = transaction.generation.is_none();
        let planned = apply(&mut transaction, cx, table, command, &mut out);
        if let (Some(debugged), Ok(())) = (debugged, &planned) {
            debugged.batch(&transaction.batch, &mut out);
        }
        let sent_unpinned = unpinned && transaction.generation.is_none();
        match planned.and_then(|()| transaction.commit()) {
            Ok(()) => {
                io.out.bytes(out.as_bytes());
                return Ok(());
            }
            Err(Failure::Stale) => pinned = true,
            Err(Failure::NeedIds) => ids = true,
            // A chain that was there when we looked may be gone: look again under one generation before we believe it.
            Err(Failure::Refused { refusals, .. })
                if sent_unpinned && refusals.iter().any(|r| errno_text(r.errno) == "No such file or directory") =>
            {
                pinned = true;
            }
            Err(Failure::Refused { refusals, .. }) => {
                if writing.is_refused(&refusals) {
                    continue;
                }
                let missing = missing_extensions(session, cx.family, &command.rule.body, &refusals)?;
                if writing.lacks(&missing) {
                    continue;
                }
                io.out.bytes(out.as_bytes());
                return Err(Failure::Refused { refusals, missing });
            }
            Err(e) => {
                // Stock has printed its -v line before it asks the kernel.
                io.out.bytes(out.as_bytes());
                return Err(e);
            }
        }
    }
    Err(Failure::Stale)
}

/// Puts one command into a transaction. `out` gets what `-v` prints: the rule is shown only if there is a place for it (stock shows it also
/// when the chain of an `-A` is missing).
pub(super) fn apply(
    tx: &mut Transaction<'_>,
    cx: &Context<'_>,
    table: &[u8],
    command: &mut Command,
    out: &mut Out,
) -> Result<(), Failure> {
    let before = out.len();
    let done = plan(tx, cx, table, command, out);
    let no_place = match (&done, &command.kind) {
        (Err(Failure::Usage(_)), _) => true,
        (Err(_), kind) => !matches!(kind, CommandKind::Append { .. }),
        _ => false,
    };
    if no_place {
        out.truncate(before);
    }
    done
}

fn plan(
    tx: &mut Transaction<'_>,
    cx: &Context<'_>,
    table: &[u8],
    command: &mut Command,
    out: &mut Out,
) -> Result<(), Failure> {
    let Command { kind, rule, verbose, late, .. } = command;
    let verbose = *verbose > 0;
    if let Some(error) = late.take_if(|_| rule_command(kind)) {
        return Err(error.into());
    }
    if verbose && rule_command(kind) {
        rule.for_each(|body| {
            verbose_rule(body, cx.family, cx.names, out);
            Ok::<(), Failure>(())
        })?;
    }
    let mut say = |what: &str, chains: &[Vec<u8>]| {
        for chain in chains.iter().filter(|_| verbose) {
            write!(out, "{what} chain `");
            out.bytes(chain);
            out.str("'\n");
        }
    };
    match kind {
        CommandKind::Append { chain } => tx.append(table, chain, rule),
        CommandKind::Check { chain } => tx.check(table, chain, rule),
        CommandKind::Delete { chain } => tx.delete(table, chain, rule),
        CommandKind::DeleteNumber { chain, number } => tx.delete_number(table, chain, *number),
        CommandKind::Insert { chain, number } => tx.insert(table, chain, *number, rule),
        CommandKind::Replace { chain, number } => tx.replace(table, chain, *number, rule),
        CommandKind::Flush { chain: Some(chain) } => {
            tx.flush(table, chain)?;
            say("Flushing", std::slice::from_ref(chain));
            Ok(())
        }
        CommandKind::Flush { chain: None } => {
            say("Flushing", &tx.flush_all(table)?);
            Ok(())
        }
        CommandKind::Zero { chain: Some(chain), number } => {
            tx.zero(table, chain, *number)?;
            if number.is_none() {
                say("Zeroing", std::slice::from_ref(chain));
            }
            Ok(())
        }
        CommandKind::Zero { chain: None, .. } => {
            say("Zeroing", &tx.zero_all(table)?);
            Ok(())
        }
        CommandKind::NewChain { chain } => tx.new_chain(table, chain),
        CommandKind::DeleteChain { chain: Some(chain) } => {
            tx.delete_chain(table, chain)?;
            say("Deleting", std::slice::from_ref(chain));
            Ok(())
        }
        CommandKind::DeleteChain { chain: None } => {
            say("Deleting", &tx.delete_chains(table)?);
            Ok(())
        }
        CommandKind::RenameChain { chain, new } => tx.rename_chain(table, chain, new),
        CommandKind::Policy { chain, policy } => {
            // -c is for rules; a policy begins at nought.
            tx.set_policy(table, chain, policy, Counters::default())
        }
        CommandKind::List { .. }
        | CommandKind::ListRules { .. }
        | CommandKind::Version { .. }
        | CommandKind::Help { .. }
        | CommandKind::OtherFamily => Ok(()),
    }
}

fn rule_command(kind: &CommandKind) -> bool {
    matches!(
        kind,
        CommandKind::Append { .. }
            | CommandKind::Check { .. }
            | CommandKind::Delete { .. }
            | CommandKind::Insert { .. }
            | CommandKind::Replace { .. }
    )
}
