//! The words of a convert expression.

use alloc::vec::Vec;

use super::error::{ConvertError, Expected};

/// One word, operator or quoted text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Token<'a> {
    /// The text, without its quotes.
    pub(super) text: &'a str,
    /// What it is.
    pub(super) class: Class,
    /// Where it begins, counted from 1 in characters.
    pub(super) column: u32,
}

/// What a token is. A quoted `)` is text, never the end of the arguments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// One of the separators, or two that belong together.
    Operator,
    /// Between quotes.
    Quoted,
    /// Anything else.
    Word,
}

impl Token<'_> {
    /// Whether this is the operator `text`, unquoted.
    pub(super) fn is(&self, text: &str) -> bool {
        self.class == Class::Operator && self.text == text
    }
}

/// The tokens of `text`, and the column behind its last character.
pub(super) fn tokens(text: &str) -> Result<(Vec<Token<'_>>, u32), ConvertError> {
    let mut tokens = Vec::new();
    let mut scan = Scan { rest: text, column: 1 };
    while let Some(c) = scan.peek() {
        let column = scan.column;
        if c.is_whitespace() {
            scan.take(c.len_utf8());
        } else if c == '\'' {
            scan.take(1);
            let Some(len) = scan.rest.find('\'') else {
                return Err(ConvertError::new(column, Expected::ClosingQuote));
            };
            let text = scan.take(len);
            scan.take(1);
            if scan.peek().is_some_and(|next| next == '\'' || !is_separator(next, scan.rest)) {
                return Err(ConvertError::new(scan.column, Expected::SeparatorAfterQuote));
            }
            tokens.push(Token { text, class: Class::Quoted, column });
        } else if is_separator(c, scan.rest) {
            let pair = ["<<", ">>", "=>"].iter().any(|pair| scan.rest.starts_with(pair));
            let text = scan.take(if pair { 2 } else { 1 });
            tokens.push(Token { text, class: Class::Operator, column });
        } else {
            let mut len = 0;
            for (at, c) in scan.rest.char_indices() {
                if c == '\'' {
                    return Err(ConvertError::new(column, Expected::SeparatorBeforeQuote));
                }
                if is_separator(c, scan.rest.get(at..).unwrap_or_default()) {
                    break;
                }
                len = at + c.len_utf8();
            }
            tokens.push(Token { text: scan.take(len), class: Class::Word, column });
        }
    }
    Ok((tokens, scan.column))
}

/// Whether `c`, at the head of `rest`, ends a word. A `/` between letters is part of a unit's name,
/// as in `kWh/m²`, and so is one before a degree sign, as in `psi/°F`.
pub(super) fn is_separator(c: char, rest: &str) -> bool {
    match c {
        '+' | '*' | '&' | '|' | '^' | '<' | '>' | '(' | ',' | ')' | '=' => true,
        '/' => !rest.chars().nth(1).is_some_and(|next| next.is_alphabetic() || next == '°'),
        _ => c.is_whitespace(),
    }
}

struct Scan<'a> {
    rest: &'a str,
    column: u32,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next `len` bytes, which end at a character's end.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.column += taken.chars().count() as u32;
        taken
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).unwrap().0.iter().map(|token| token.text).collect()
    }

    #[test]
    fn separators_end_words_and_some_belong_together() {
        assert_eq!(texts("  +   -3  "), ["+", "-3"]);
        assert_eq!(texts("*3+13"), ["*", "3", "+", "13"]);
        assert_eq!(texts(">>4<<8=>="), [">>", "4", "<<", "8", "=>", "="]);
        assert_eq!(texts("J/m²=>kWh/m²"), ["J/m²", "=>", "kWh/m²"]);
        assert_eq!(texts("psi/°F / 5"), ["psi/°F", "/", "5"]);
        assert_eq!(texts("a(b\tc, ?: x"), ["a", "(", "b", "c", ",", "?:", "x"]);
        assert_eq!(texts(" \t "), Vec::<&str>::new());
    }

    #[test]
    fn quoted_text_is_one_token_without_its_quotes() {
        let (tokens, end) = tokens("f('',')','a, b')").unwrap();
        let quoted: Vec<_> = tokens.iter().filter(|token| token.class == Class::Quoted).collect();
        assert_eq!(quoted.iter().map(|token| token.text).collect::<Vec<_>>(), ["", ")", "a, b"]);
        assert_eq!(quoted.iter().map(|token| token.column).collect::<Vec<_>>(), vec![3, 6, 10]);
        assert_eq!(end, 17);
        assert!(!quoted[1].is(")"));
    }

    #[test]
    fn columns_count_characters() {
        let (tokens, end) = tokens("°C => °F").unwrap();
        assert_eq!(tokens.iter().map(|token| token.column).collect::<Vec<_>>(), vec![1, 4, 7]);
        assert_eq!(end, 9);
    }

    #[test]
    fn text_glued_to_a_quote_is_refused() {
        for (text, column) in [("f(a'b')", 3), ("f('a'b)", 6), ("f('a''b')", 6), ("f('a)", 3)] {
            assert_eq!(tokens(text).unwrap_err().column, column, "{text}");
        }
    }
}
