//! getopt_long(3) for the small front ends (`-save`, `-restore`): a fixed set of options, operands last.

/// An option that was found; letter 0 is an operand.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its short letter.
    pub letter: u8,
    /// Its value, or the operand.
    pub value: Option<&'a [u8]>,
}

/// Reads all options, then the operands. `flags` take no value, `values` one in the same or the next word, `optional` one in the same word.
/// An error is the text behind `program: `, as getopt(3) words it.
pub fn read<'a>(
    args: &[&'a [u8]],
    flags: &[u8],
    values: &[u8],
    optional: &[u8],
    long: &[(&str, u8, bool)],
) -> Result<Vec<Found<'a>>, Vec<u8>> {
    let (mut found, mut operands) = (Vec::new(), Vec::new());
    let mut words = args.iter().copied();
    while let Some(word) = words.next() {
        match word {
            b"--" => {
                operands.extend(words.by_ref());
            }
            [b'-', b'-', name @ ..] => found.push(read_long(word, name, long, optional, &mut words)?),
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                let mut rest = cluster;
                while let [letter, after @ ..] = rest {
                    rest = after;
                    if flags.contains(letter) {
                        found.push(Found { letter: *letter, value: None });
                    } else if optional.contains(letter) {
                        let value = (!rest.is_empty()).then_some(rest);
                        found.push(Found { letter: *letter, value });
                        break;
                    } else if values.contains(letter) {
                        let value = if rest.is_empty() { words.next() } else { Some(rest) };
                        if value.is_none() {
                            return Err(
                                format!("option requires an argument -- '{}'", char::from(*letter)).into_bytes()
                            );
                        }
                        found.push(Found { letter: *letter, value });
                        break;
                    } else {
                        return Err([b"invalid option -- '", std::slice::from_ref(letter), b"'"].concat());
                    }
                }
            }
            _ => operands.push(word),
        }
    }
    found.extend(operands.into_iter().map(|word| Found { letter: 0, value: Some(word) }));
    Ok(found)
}

fn read_long<'a>(
    word: &'a [u8],
    name: &'a [u8],
    long: &[(&str, u8, bool)],
    optional: &[u8],
    words: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<Found<'a>, Vec<u8>> {
    let equals = name.iter().position(|b| *b == b'=');
    let key = name.get(..equals.unwrap_or(name.len())).unwrap_or(name);
    let attached = equals.and_then(|at| name.get(at + 1..));
    let exact = long.iter().find(|(n, ..)| n.as_bytes() == key);
    let mut prefixed = long.iter().filter(|(n, ..)| n.as_bytes().starts_with(key));
    let only = prefixed.next();
    let only = if prefixed.any(|o| only.is_some_and(|first| first.1 != o.1)) { None } else { only };
    let Some((full, letter, takes)) = exact.or(only) else {
        return Err([b"unrecognized option '", word, b"'"].concat());
    };
    let value = match (takes, attached) {
        (false, Some(_)) if !optional.contains(letter) => {
            return Err(format!("option '--{full}' doesn't allow an argument").into_bytes());
        }
        (false, attached) => attached,
        (true, Some(value)) => Some(value),
        (true, None) => match words.next() {
            Some(value) => Some(value),
            None => return Err(format!("option '--{full}' requires an argument").into_bytes()),
        },
    };
    Ok(Found { letter: *letter, value })
}
