//! Reads replies of any length without keeping them, and tells of what kind each was.

/// A line longer than this is not of this protocol.
const LINE_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ok,
    /// `-CODE text`: the client knows what has happened, and its connection is of use.
    Refused,
    /// Not of the protocol.
    Broken,
}

/// Of one connection, between two reads.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Values still to come of the reply that has begun.
    left: u64,
    /// Bytes still to come of a bulk string, with its line's end.
    bulk: u64,
    line: Vec<u8>,
    kind: Option<Kind>,
}

impl Skip {
    /// Takes what was read; `ended` hears of each reply that is complete with it.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut ended: impl FnMut(Kind)) {
        while !bytes.is_empty() {
            if self.bulk > 0 {
                let some = bytes.len().min(usize::try_from(self.bulk).unwrap_or(usize::MAX));
                bytes = bytes.get(some..).unwrap_or_default();
                self.bulk -= some as u64;
            } else if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
                self.line.extend_from_slice(bytes.get(..end).unwrap_or_default());
                bytes = bytes.get(end + 1..).unwrap_or_default();
                self.value();
                self.line.clear();
            } else {
                self.line.extend_from_slice(bytes);
                if self.line.len() > LINE_BYTES_MAX {
                    return ended(Kind::Broken);
                }
                return;
            }
            if self.bulk == 0 && self.left == 0 {
                ended(self.kind.take().unwrap_or(Kind::Ok));
            }
        }
    }

    /// A line that begins a value, or is one.
    fn value(&mut self) {
        let (sign, text) = self.line.split_first().map_or((b' ', &[][..]), |(sign, text)| (*sign, text));
        let text = String::from_utf8_lossy(text);
        let number = text.trim().parse::<i64>().ok();
        let is_first = self.left == 0;
        self.left = self.left.saturating_sub(1);
        let kind = match (sign, number) {
            (b'+', _) | (b':', Some(_)) => Kind::Ok,
            (b'-', _) if is_code(&text) => Kind::Refused,
            (b'$', Some(len)) => {
                self.bulk = u64::try_from(len).map_or(0, |len| len + 2);
                Kind::Ok
            }
            (b'*', Some(len)) => {
                self.left += u64::try_from(len).unwrap_or(0);
                Kind::Ok
            }
            _ => Kind::Broken,
        };
        if is_first || kind == Kind::Broken {
            self.kind = Some(kind);
        }
    }
}

/// Whether an error begins with a word in capitals, as `BUSY` and `ERR` do.
fn is_code(text: &str) -> bool {
    let code = text.split(' ').next().unwrap_or_default().trim();
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart_wherever_they_are_cut() {
        let replies = b"*2\r\n*2\r\n:1\r\n$5\r\na\r\nbc\r\n+x\r\n-BUSY later\r\n$-1\r\n*0\r\n$0\r\n\r\n-oh dear\r\n!\r\n";
        let expected = [Kind::Ok, Kind::Refused, Kind::Ok, Kind::Ok, Kind::Ok, Kind::Broken, Kind::Broken];
        for size in 1..replies.len() {
            let (mut skip, mut found) = (Skip::default(), Vec::new());
            for part in replies.chunks(size) {
                skip.take(part, |kind| found.push(kind));
            }
            assert_eq!(found, expected, "{size} bytes at a time");
        }
    }
}
