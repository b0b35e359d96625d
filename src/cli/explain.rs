//! The second part of an error, for people: the place with a caret, and what to do. It goes to a terminal only, because programs parse
//! standard error; `OXTABLES_EXPLAIN=always` or `never` overrides that.

use super::Streams;
use super::failure::Failure;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Explains a failure of a command line.
pub fn explain(failure: &Failure, args: &[&[u8]], io: &mut Streams) {
    if !io.explain {
        return;
    }
    // The words as one line, with the place of each.
    let mut line = String::new();
    let mut places = Vec::new();
    for arg in args {
        let text = visible(arg);
        let from = line.len();
        line.push_str(&text);
        places.push(from..line.len());
        line.push(' ');
    }
    let place = word_of(failure).and_then(|w| places.get(w).cloned());
    print(failure, None, line.trim_end(), place, io);
}

/// Explains a failure at a line of a file.
pub fn explain_line(failure: &Failure, number: Option<u32>, line: Option<&[u8]>, io: &mut Streams) {
    if !io.explain {
        return;
    }
    let text = visible(line.unwrap_or_default());
    let place = word_of(failure).and_then(|w| word_place(&text, w));
    print(failure, number, &text, place, io);
}

fn word_of(failure: &Failure) -> Option<usize> {
    match failure {
        Failure::Usage(e) => e.word,
        _ => None,
    }
}

/// A line as it can be shown: bytes that are not UTF-8 and control characters as escapes, at most a few hundred characters.
fn visible(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 400;
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_MAX) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().count() > SHOWN_MAX {
        shown.push('…');
    }
    if shown.is_empty() { "''".to_owned() } else { shown }
}

/// Where word `n` of a line stands, counters in front not counted; quotes are taken as part of their word.
fn word_place(line: &str, n: usize) -> Option<std::ops::Range<usize>> {
    let mut words = Vec::new();
    let (mut start, mut quoted) = (None, false);
    for (at, c) in line.char_indices() {
        if c == '"' {
            quoted = !quoted;
        }
        match (c.is_whitespace() && !quoted, start) {
            (true, Some(from)) => {
                words.push(from..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    if let Some(from) = start {
        words.push(from..line.len());
    }
    let skip = usize::from(line.starts_with('['));
    words.get(n + skip).cloned()
}

fn print(failure: &Failure, number: Option<u32>, line: &str, place: Option<std::ops::Range<usize>>, io: &mut Streams) {
    let Some(advice) = failure.advice() else {
        if place.is_none() {
            return;
        }
        let group = [Level::NOTE.primary_title("here").element(snippet(number, line, place, "this is not understood"))];
        io.err.str(&Renderer::styled().render(&group).to_string());
        io.err.byte(b'\n');
        return;
    };
    let group = match &place {
        Some(_) => [Level::HELP.primary_title(&advice).element(snippet(number, line, place, ""))],
        None if number.is_some() => {
            [Level::HELP.primary_title(&advice).element(snippet(number, line, Some(0..line.len()), ""))]
        }
        None => {
            writeln!(io.err, "help: {advice}");
            return;
        }
    };
    io.err.str(&Renderer::styled().render(&group).to_string());
    io.err.byte(b'\n');
}

fn snippet<'a>(
    number: Option<u32>,
    line: &'a str,
    place: Option<std::ops::Range<usize>>,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let annotation = place.map(|p| AnnotationKind::Primary.span(p).label(label));
    Snippet::source(line).line_start(number.unwrap_or(1) as usize).annotations(annotation)
}
