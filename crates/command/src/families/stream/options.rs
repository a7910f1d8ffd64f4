//! What XADD and XTRIM are told beside the entry.

use store::{Cut, StreamId};

use super::{BAD_ID, Given, given, strict_id};
use crate::args::Args;
use crate::error::{Error, Result};

/// The id that an entry is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// The next one.
    Next,
    /// The next one within this time.
    Within(u64),
    This(StreamId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub cut: Option<Cut>,
    /// Of what is only cut roughly: how many entries at most, zero for any number.
    pub limit: Option<u64>,
    pub no_make: bool,
    pub id: NewId,
    /// Where the options end.
    pub end: usize,
}

/// As many entries as Redis looks at for itself.
const LIMIT_ROUGHLY: u64 = 10_000;

const BOTH: Error =
    Error::line("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");

struct Parser<'a> {
    args: Args<'a>,
    at: usize,
    cut: Option<Cut>,
    is_rough: bool,
    limit: Option<i64>,
    no_make: bool,
}

impl Options {
    /// `is_add`: XADD, whose options end with the id.
    pub(super) fn parse(args: &Args<'_>, is_add: bool) -> Result<Self> {
        let mut parser =
            Parser { args: *args, at: 2, cut: None, is_rough: false, limit: None, no_make: false };
        let id = parser.run(is_add)?;
        let Parser { at, cut, is_rough, limit, no_make, .. } = parser;
        if limit.is_some_and(|limit| limit > 0) && cut.is_none() {
            return Err(Error::line(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if !is_add && cut.is_none() {
            return Err(Error::line("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if limit.is_some() && !is_rough {
            return Err(Error::line("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        let limit = is_rough.then(|| limit.map_or(LIMIT_ROUGHLY, |limit| limit.unsigned_abs()));
        Ok(Self { cut, limit, no_make, id, end: at })
    }
}

impl Parser<'_> {
    fn run(&mut self, is_add: bool) -> Result<NewId> {
        let args = self.args;
        while self.at < args.len() {
            let more = args.len() - 1 - self.at;
            if is_add && args.get(self.at) == b"*" {
                return Ok(NewId::Next);
            } else if args.is(self.at, "maxlen") && more > 0 {
                self.strategy(more)?;
                let max = args.int(self.at)?;
                let max =
                    u64::try_from(max).map_err(|_| Error::line("ERR The MAXLEN argument must be >= 0."))?;
                self.cut = Some(Cut::MaxLen(max));
            } else if args.is(self.at, "minid") && more > 0 {
                self.strategy(more)?;
                self.cut = Some(Cut::MinId(strict_id(args.get(self.at), 0)?));
            } else if args.is(self.at, "limit") && more > 0 {
                self.at += 1;
                let limit = args.int(self.at)?;
                if limit < 0 {
                    return Err(Error::line("ERR The LIMIT argument must be >= 0."));
                }
                self.limit = Some(limit);
            } else if is_add && args.is(self.at, "nomkstream") {
                self.no_make = true;
            } else if is_add {
                return match given(args.get(self.at)) {
                    Some(Given::Whole(id)) => Ok(NewId::This(id)),
                    Some(Given::Time(ms)) => Ok(NewId::This(StreamId::new(ms, 0))),
                    Some(Given::Any(ms)) => Ok(NewId::Within(ms)),
                    None => Err(BAD_ID),
                };
            } else {
                return Err(Error::SYNTAX);
            }
            self.at += 1;
        }
        Ok(NewId::Next)
    }

    /// Goes on to the strategy's argument.
    fn strategy(&mut self, more: usize) -> Result<()> {
        if self.cut.is_some() {
            return Err(BOTH);
        }
        self.at += 1;
        self.is_rough = false;
        if more >= 2 && self.args.get(self.at) == b"~" {
            self.is_rough = true;
            self.at += 1;
        } else if more >= 2 && self.args.get(self.at) == b"=" {
            self.at += 1;
        }
        Ok(())
    }
}
