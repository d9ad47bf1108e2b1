use crate::{ParseError, ParseErrorKind};

/// A cursor over JSON text that knows tokens, not structure.
///
/// Whether the text is UTF-8 is checked elsewhere: bytes above 0x7f pass through strings unseen.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Whether any string had an escape.
    pub(crate) escaped: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, escaped: false }
    }

    pub(crate) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.pos += 1;
        }
    }

    pub(crate) const fn advance(&mut self) {
        self.pos += 1;
    }

    pub(crate) const fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Takes `byte`, or says what stands there instead.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ParseError> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// Takes a string whose opening quote is the next byte; returns the offsets between its quotes.
    pub(crate) fn string(&mut self) -> Result<(usize, usize), ParseError> {
        self.expect(b'"')?;
        let start = self.pos;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok((start, self.pos - 1));
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.error(ParseErrorKind::Control)),
                None => return Err(self.error(ParseErrorKind::End)),
            }
        }
    }

    /// Takes a number, `true`, `false` or `null`.
    pub(crate) fn scalar(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    pub(crate) const fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) const fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError::new(kind, self.pos)
    }

    pub(crate) const fn unexpected(&self) -> ParseError {
        if self.pos < self.bytes.len() {
            self.error(ParseErrorKind::Unexpected)
        } else {
            self.error(ParseErrorKind::End)
        }
    }

    /// Skips bytes of a string up to a quote, a backslash or a control character, eight at a time.
    fn skip_plain(&mut self) {
        while let Some(chunk) = self.bytes.get(self.pos..).and_then(<[u8]>::first_chunk::<8>) {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                self.pos += (special.trailing_zeros() / 8) as usize;
                return;
            }
            self.pos += 8;
        }
        while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
            self.pos += 1;
        }
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        let start = self.pos;
        self.pos += 1;
        self.escaped = true;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.pos += 1,
            Some(b'u') => {
                let unit = self.unicode_escape()?;
                if (0xdc00..0xe000).contains(&unit) {
                    return Err(ParseError::new(ParseErrorKind::Surrogate, start));
                }
                if (0xd800..0xdc00).contains(&unit) {
                    self.low_surrogate(start)?;
                }
            }
            Some(_) => return Err(self.error(ParseErrorKind::Escape)),
            None => return Err(self.error(ParseErrorKind::End)),
        }
        Ok(())
    }

    fn low_surrogate(&mut self, start: usize) -> Result<(), ParseError> {
        let lone = ParseError::new(ParseErrorKind::Surrogate, start);
        match self.bytes.get(self.pos..) {
            Some([b'\\', b'u', ..]) => self.pos += 1,
            Some([] | [b'\\']) => {
                self.pos = self.bytes.len();
                return Err(self.error(ParseErrorKind::End));
            }
            _ => return Err(lone),
        }
        let unit = self.unicode_escape()?;
        if (0xdc00..0xe000).contains(&unit) { Ok(()) } else { Err(lone) }
    }

    /// Takes `uXXXX`.
    fn unicode_escape(&mut self) -> Result<u32, ParseError> {
        self.pos += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.error(ParseErrorKind::End)) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.error(ParseErrorKind::Escape));
            };
            unit = unit << 4 | digit;
            self.pos += 1;
        }
        Ok(unit)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), ParseError> {
        for &byte in word {
            self.expect(byte)?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        if self.peek() == Some(b'0') {
            self.pos += 1;
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(self.error(ParseErrorKind::Number));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.pos;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.pos += 1;
        }
        if self.pos > start {
            Ok(())
        } else if self.pos < self.bytes.len() {
            Err(self.error(ParseErrorKind::Number))
        } else {
            Err(self.error(ParseErrorKind::End))
        }
    }
}

/// Marks, in the high bit of its byte, the first byte that ends a plain run within a string; marks
/// above the first one may be false.
pub(crate) const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (quote | backslash | control) & HIGHS
}
