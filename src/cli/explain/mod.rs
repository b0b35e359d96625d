//! The second part of an error, for people: the place with a caret, and what to do. It goes to a terminal only, because programs parse
//! standard error; `OXTABLES_EXPLAIN=always` or `never` overrides that.
//!
//! All of it happens after the failure, reads the ruleset and never changes it, and leaves the exit code alone.

mod place;
mod ruleset;

use super::Streams;
use super::failure::Failure;
use crate::kernel::What;
use crate::text::advice::on_file;
use crate::text::lexer::{Words, counters_prefix, lines};
use crate::text::{Command, CommandKind, Context, parse};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use place::{Shown, join, word_place};
use ruleset::Scene;
use std::io::IsTerminal;

/// Explains a failure of a command line.
pub fn explain(failure: &Failure, cx: &Context<'_>, args: &[&[u8]], io: &mut Streams) {
    if !io.explain {
        return;
    }
    let command = parse(args, cx, &mut Vec::new()).ok();
    let table = command.as_ref().and_then(|c| c.table.clone()).unwrap_or_else(|| cx.table.to_vec());
    let word = word_of(failure).or_else(|| subject(failure, command.as_ref(), args));
    let advice = Scene { cx, table, command, file: None }.advise(failure).or_else(|| failure.advice());
    let (line, places) = join(args);
    let shown = word.and_then(|w| places.get(w).cloned()).map(|at| Shown::cut(&line, Some(at)));
    print(advice.as_deref(), None, shown, io);
}

/// Explains a failure at a line (from 1) of a file; `keep` says that the file adds to the ruleset (`-n`).
pub fn explain_line(
    failure: &Failure,
    cx: &Context<'_>,
    text: &[u8],
    number: Option<u32>,
    keep: bool,
    io: &mut Streams,
) {
    if !io.explain {
        return;
    }
    let number = number.filter(|n| *n > 0).or_else(|| line_in_text(failure));
    let before = lines(text).take(number.map_or(0, |n| n as usize));
    let table = before.filter_map(|l| l.strip_prefix(b"*")).last().map(|l| l.trim_ascii().to_vec());
    let table = table.unwrap_or_else(|| cx.table.to_vec());
    let line = number.and_then(|n| lines(text).nth(n as usize - 1)).map(|l| l.strip_suffix(b"\n").unwrap_or(l));
    let rest = line.map(|line| counters_prefix(line).map_or(line, |(_, _, rest)| rest));
    let in_table = Context { table: &table, ..*cx };
    let (command, subject) = rest.map_or((None, None), |rest| read_line(failure, rest, &in_table));
    let word = word_of(failure).or(subject);
    let scene = Scene { cx: &in_table, table: table.clone(), command, file: Some((text, keep)) };
    let advice = scene.advise(failure).or_else(|| failure.advice()).or_else(|| file_advice(failure));
    let shown = line.map(|line| {
        let skip = line.len() - rest.map_or(line.len(), <[u8]>::len);
        let place = word.and_then(|w| word_place(line.get(skip..).unwrap_or_default(), w));
        Shown::cut(line, Some(place.map_or(0..line.len(), |p| p.start + skip..p.end + skip)))
    });
    print(advice.as_deref(), number, shown, io);
}

/// The line that an error names in its text: `line 3 failed`.
pub(super) fn line_in_text(failure: &Failure) -> Option<u32> {
    let Failure::Named(_, text) = failure else { return None };
    let text = std::str::from_utf8(text).ok()?.strip_prefix("line ")?;
    text.split([' ', ':']).next()?.parse().ok()
}

fn file_advice(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Usage(e) => on_file(&e.text),
        Failure::Named(_, text) => on_file(text),
        _ => None,
    }
}

/// The command of a line, and the word that a failure is about that does not say it.
fn read_line(failure: &Failure, line: &[u8], cx: &Context<'_>) -> (Option<Command>, Option<usize>) {
    let mut words = Words::default();
    if words.split(line).is_err() {
        return (None, None);
    }
    let words: Vec<&[u8]> = words.iter().collect();
    let command = parse(&words, cx, &mut Vec::new()).ok();
    let subject = subject(failure, command.as_ref(), &words);
    (command, subject)
}

fn word_of(failure: &Failure) -> Option<usize> {
    match failure {
        Failure::Usage(e) => e.word,
        _ => None,
    }
}

/// The word that a failure found at the end is about: a table, a chain, a target.
fn subject(failure: &Failure, command: Option<&Command>, args: &[&[u8]]) -> Option<usize> {
    let at = |name: &[u8]| args.iter().position(|arg| *arg == name);
    let command = command?;
    match failure {
        Failure::Version(_) => at(command.table.as_deref()?),
        Failure::Usage(_) => at(command.rule.body.action.chain()?),
        Failure::Object(said) if said.starts_with("Bad policy") => match &command.kind {
            CommandKind::Policy { policy, .. } => at(policy),
            _ => None,
        },
        // The number stands behind the chain.
        Failure::Object(said) if said.starts_with("Index of") => Some(at(ruleset::chain_of(&command.kind)?)? + 1),
        Failure::Object(_) => at(ruleset::chain_of(&command.kind)?),
        Failure::Refused { refusals, .. } => {
            let broken = refusals.first().is_some_and(|r| matches!(r.op.what, What::RuleIn(_)));
            let action = command.rule.body.action.name();
            let target = broken.then(|| args.iter().rposition(|arg| *arg == action)).flatten();
            target.or_else(|| at(ruleset::chain_of(&command.kind)?))
        }
        _ => None,
    }
}

fn print(advice: Option<&str>, number: Option<u32>, shown: Option<Shown>, io: &mut Streams) {
    let Some(Shown { line, place }) = shown.filter(|s| !s.line.is_empty()) else {
        if let Some(advice) = advice {
            writeln!(io.err, "help: {advice}");
        }
        return;
    };
    let level = if advice.is_some() { Level::HELP } else { Level::NOTE };
    let title = advice.unwrap_or("this is the place");
    let annotation = place.map(|p| AnnotationKind::Primary.span(p));
    let first = usize::try_from(number.unwrap_or(1)).unwrap_or(1);
    let snippet = Snippet::source(line.as_str()).line_start(first).annotations(annotation);
    let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    io.err.str(&renderer.render(&[level.primary_title(title).element(snippet)]).to_string());
    io.err.byte(b'\n');
}
