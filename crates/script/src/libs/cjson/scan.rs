//! The tokens of JSON, read as the original reads them: a text ends at its first zero byte.

use super::number;
use std::borrow::Cow;

#[derive(Debug)]
pub(super) enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// What is wrong.
    Wrong(&'static str),
}

impl Token<'_> {
    /// How errors call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Text(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Wrong(what) => what,
        }
    }
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last token is, or what is wrong with it.
    token_at: usize,
    /// Whether infinity, NaN, hexadecimal and such are numbers.
    lenient: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], lenient: bool) -> Self {
        Self { bytes, at: 0, token_at: 0, lenient }
    }

    /// Where the scanner is: how many bytes it has read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Where the last token is, from 1, as errors tell it.
    pub(super) fn token_character(&self) -> usize {
        self.token_at + 1
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn wrong(&mut self, what: &'static str) -> Token<'a> {
        self.token_at = self.at;
        Token::Wrong(what)
    }

    fn step(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        match self.peek(0) {
            0 => Token::End,
            b'{' => self.step(1, Token::ObjectBegin),
            b'}' => self.step(1, Token::ObjectEnd),
            b'[' => self.step(1, Token::ArrayBegin),
            b']' => self.step(1, Token::ArrayEnd),
            b',' => self.step(1, Token::Comma),
            b':' => self.step(1, Token::Colon),
            b'"' => self.text(),
            b'-' | b'0'..=b'9' if !self.lenient && self.is_invalid_number() => self.wrong("invalid number"),
            b'-' | b'0'..=b'9' => self.number(),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => self.word(),
            _ => self.wrong("invalid token"),
        }
    }

    fn word(&mut self) -> Token<'a> {
        let rest = self.rest();
        if rest.starts_with(b"true") {
            self.step(4, Token::Boolean(true))
        } else if rest.starts_with(b"false") {
            self.step(5, Token::Boolean(false))
        } else if rest.starts_with(b"null") {
            self.step(4, Token::Null)
        } else if self.lenient && self.is_invalid_number() {
            self.number()
        } else {
            self.wrong("invalid token")
        }
    }

    fn number(&mut self) -> Token<'a> {
        match number::read(self.rest()) {
            Some((number, len)) => self.step(len, Token::Number(number)),
            None => self.wrong("invalid number"),
        }
    }

    /// Whether something here looks like a number that only `strtod` takes for one.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let sign_len = usize::from(self.peek(0) == b'-');
        match self.peek(sign_len) {
            b'0' => matches!(self.peek(sign_len + 1), b'x' | b'X' | b'0'..=b'9'),
            0..=b'9' => false,
            _ => {
                let word = self.rest().get(sign_len..sign_len + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn text(&mut self) -> Token<'a> {
        self.at += 1;
        let mut text = Cow::Borrowed(self.plain());
        loop {
            match self.peek(0) {
                b'"' => return self.step(1, Token::Text(text)),
                b'\\' => {
                    let text = text.to_mut();
                    if let Err(what) = self.escape(text) {
                        return self.wrong(what);
                    }
                    text.extend_from_slice(self.plain());
                }
                _ => return self.wrong("unexpected end of string"),
            }
        }
    }

    /// What stands for itself.
    fn plain(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), &'static str> {
        text.push(match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let (code, len) = self.unicode().ok_or("invalid unicode escape code")?;
                self.at += len;
                push_utf8(text, code);
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        });
        self.at += 2;
        Ok(())
    }

    /// The code of an escape, or of two that are a pair of surrogates, and its length.
    fn unicode(&self) -> Option<(u32, usize)> {
        let first = self.hex4(2)?;
        if first & 0xf800 != 0xd800 {
            return Some((first, 6));
        }
        let is_pair = first & 0x400 == 0 && self.peek(6) == b'\\' && self.peek(7) == b'u';
        let second = if is_pair { self.hex4(8)? } else { return None };
        let is_low = second & 0xfc00 == 0xdc00;
        is_low.then_some((((first & 0x3ff) << 10 | (second & 0x3ff)) + 0x1_0000, 12))
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |code, index| {
            let digit = char::from(self.peek(ahead + index)).to_digit(16)?;
            Some(code << 4 | digit)
        })
    }
}

/// Surrogates have been dealt with, so that every code is a character.
fn push_utf8(text: &mut Vec<u8>, code: u32) {
    if let Some(character) = char::from_u32(code) {
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
