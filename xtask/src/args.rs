//! The command line of one xtask command: `--name value`, `--name=value`, `--flag`, plain words, and
//! what follows `--` untouched.

use crate::Result;
use std::str::FromStr;

#[derive(Debug)]
pub(crate) struct Args {
    words: Vec<String>,
    rest: Vec<String>,
}

impl Args {
    pub(crate) fn new(mut words: Vec<String>) -> Self {
        let rest = match words.iter().position(|word| word == "--") {
            Some(at) => {
                let rest = words.split_off(at + 1);
                words.pop();
                rest
            }
            None => Vec::new(),
        };
        Self { words, rest }
    }

    /// Takes `--name`, and tells whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() != before
    }

    /// Whether `--name` is there, without taking it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == name)
    }

    /// Takes `--name value` or `--name=value`.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(at) = self.words.iter().position(|word| {
            word == name || word.strip_prefix(name).is_some_and(|tail| tail.starts_with('='))
        }) else {
            return Ok(None);
        };
        let word = self.words.remove(at);
        let value = match word.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None if at < self.words.len() => self.words.remove(at),
            None => return Err(format!("{name} needs a value").into()),
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{name}: '{value}' is not understood").into()),
        }
    }

    /// Takes the first plain word.
    pub(crate) fn word(&mut self) -> Option<String> {
        let at = self.words.iter().position(|word| !word.starts_with('-'))?;
        Some(self.words.remove(at))
    }

    /// Everything that was not taken, for another program.
    pub(crate) fn into_all(self) -> Vec<String> {
        self.words.into_iter().chain(self.rest).collect()
    }

    /// What followed `--`; an error if anything before it was not taken.
    pub(crate) fn finish(self) -> Result<Vec<String>> {
        match self.words.first() {
            None => Ok(self.rest),
            Some(word) => Err(format!("'{word}' is not understood; --help lists the options").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_flags_and_words_come_in_any_order() {
        let mut args = args("crash --seed=7 --quick --rounds 5 -- --listen x");
        assert_eq!(args.option::<u64>("--rounds").unwrap(), Some(5));
        assert_eq!(args.option::<u64>("--seed").unwrap(), Some(7));
        assert!(args.flag("--quick"));
        assert_eq!(args.word().as_deref(), Some("crash"));
        assert_eq!(args.finish().unwrap(), ["--listen", "x"]);
    }

    #[test]
    fn what_nobody_takes_is_an_error() {
        assert!(args("--sede 7").finish().is_err());
        assert!(args("--seed").option::<u64>("--seed").is_err());
        assert!(args("--seed x").option::<u64>("--seed").is_err());
    }
}
