//! What the guard is told to do, as text on its standard input.

use std::io;
use std::time::Duration;

/// An apply, as it goes from the command to the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// How long to wait for a confirmation.
    pub within: Duration,
    /// Whether rules of other programs go too.
    pub replace_all: bool,
    /// The generation of the ruleset that was planned for.
    pub generation: u32,
    /// The user id of who asked for it.
    pub uid: u32,
    /// Who that is, for `status`.
    pub who: String,
    /// The words of the command.
    pub command: String,
    /// The rules of each family, IPv4's first; `None` if the family is left alone.
    pub texts: [Option<Vec<u8>>; 2],
}

impl Job {
    /// Writes it.
    ///
    /// # Errors
    /// That of the writer.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let plain = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
        writeln!(out, "{} {} {} {}", self.within.as_millis(), u8::from(self.replace_all), self.generation, self.uid)?;
        writeln!(out, "{}\n{}", plain(&self.who), plain(&self.command))?;
        for text in &self.texts {
            match text {
                Some(text) => {
                    writeln!(out, "{}", text.len())?;
                    out.write_all(text)?;
                }
                None => writeln!(out, "-")?,
            }
        }
        out.flush()
    }

    /// Reads it.
    ///
    /// # Errors
    /// That of the reader, or that it is not a job.
    pub fn read(input: &mut impl io::BufRead) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not an apply");
        let line = |input: &mut dyn io::BufRead| -> io::Result<String> {
            let mut line = String::new();
            input.read_line(&mut line)?;
            Ok(line.trim_end_matches('\n').to_owned())
        };
        let head = line(input)?;
        let mut words = head.split(' ');
        let mut word = || words.next().ok_or_else(wrong);
        let within = Duration::from_millis(word()?.parse().map_err(|_| wrong())?);
        let replace_all = word()? == "1";
        let generation = word()?.parse().map_err(|_| wrong())?;
        let uid = word()?.parse().map_err(|_| wrong())?;
        let (who, command) = (line(input)?, line(input)?);
        let mut texts = [None, None];
        for text in &mut texts {
            let len = line(input)?;
            if len != "-" {
                let mut bytes = vec![0; len.parse().map_err(|_| wrong())?];
                input.read_exact(&mut bytes)?;
                *text = Some(bytes);
            }
        }
        Ok(Self { within, replace_all, generation, uid, who, command, texts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let job = Job {
            within: Duration::from_secs(60),
            replace_all: true,
            generation: 7,
            uid: 0,
            who: "root on pts/0".into(),
            command: "oxtables apply rules".into(),
            texts: [Some(b"*filter\nCOMMIT\n".to_vec()), None],
        };
        let mut bytes = Vec::new();
        job.write(&mut bytes).unwrap();
        assert_eq!(Job::read(&mut bytes.as_slice()).unwrap(), job);
        for broken in [&b""[..], b"x 1 2 0\nw\nc\n-\n-\n", b"1 1 1 0\nw\nc\n9\nabc", b"1 1\n"] {
            assert!(Job::read(&mut &*broken).is_err());
        }
    }
}
