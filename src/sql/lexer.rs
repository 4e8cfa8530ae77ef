//! Tokens of MariaDB's SQL, borrowed from the text; one pass, no allocation.
//!
//! Reads bytes, not characters: the text may be in any charset in which ASCII bytes mean ASCII, and in the others
//! [`Lexer::doubtful`] is set where the server could read the text differently. It knows no statement and no keyword.

use memchr::{memchr, memchr2, memmem};

use super::keyword;
use super::statement::LexMode;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The end of the text.
    End,
    /// A keyword or an identifier without quotes.
    Word(Word<'a>),
    /// An identifier in backticks (or double quotes under ANSI_QUOTES), with the quotes.
    Quoted(&'a [u8]),
    /// A string literal, with the quotes. A charset or `N`, `x`, `b` before it is a word of its own.
    Text(&'a [u8]),
    /// A run of digits.
    Number(&'a [u8]),
    /// A user variable without its `@`, quotes included.
    Variable(&'a [u8]),
    /// The `@@` before a system variable.
    System,
    /// `:=`
    Assign,
    /// The start of an executable comment, whose content follows as tokens.
    Open,
    /// The end of an executable comment.
    Close,
    /// Any other byte.
    Mark(u8),
}

/// A keyword or an identifier without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// As it stands in the text.
    pub text: &'a [u8],
    /// The packed form, see [`keyword`].
    pub key: u128,
}

/// A token without its slice, which lies between a start and the lexer's position: what a fast walk needs of most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// See [`Token`] for all of these.
    End,
    Word,
    Quoted,
    Text,
    Number,
    Variable,
    System,
    Assign,
    Open,
    Close,
    Mark(u8),
}

/// The state of one pass over a text.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    mode: LexMode,
    /// Where the executable comment around `at` should end, if there is one.
    executable: Option<usize>,
    doubtful: bool,
    hint: Option<&'a [u8]>,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of a text.
    pub fn new(text: &'a [u8], mode: LexMode) -> Self {
        Lexer { text, at: 0, mode, executable: None, doubtful: false, hint: None }
    }

    /// Whether the server may have read what was passed so far differently: something is not closed, a comment's nesting
    /// depends on the version, or bytes could be halves of characters of a multi-byte charset.
    pub fn doubtful(&self) -> bool {
        self.doubtful
    }

    /// The content of the first comment that was passed and begins like a routing hint.
    pub fn hint(&self) -> Option<&'a [u8]> {
        self.hint
    }

    /// Where the next token search begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// A part of the text, by positions.
    pub fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips everything that has not been read.
    pub fn skip_rest(&mut self) {
        self.at = self.text.len();
    }

    /// The next token, comments and space skipped.
    pub fn token(&mut self) -> Token<'a> {
        let (kind, start) = self.step();
        let text = &self.text[start..self.at];
        match kind {
            Kind::End => Token::End,
            Kind::Word => Token::Word(Word { text, key: keyword::pack(text) }),
            Kind::Quoted => Token::Quoted(text),
            Kind::Text => Token::Text(text),
            Kind::Number => Token::Number(text),
            Kind::Variable => Token::Variable(&text[1..]),
            Kind::System => Token::System,
            Kind::Assign => Token::Assign,
            Kind::Open => Token::Open,
            Kind::Close => Token::Close,
            Kind::Mark(byte) => Token::Mark(byte),
        }
    }

    /// Passes one token: its kind, and where it starts.
    #[inline(always)]
    pub(super) fn step(&mut self) -> (Kind, usize) {
        loop {
            let start = self.at;
            let Some(&byte) = self.text.get(start) else {
                self.doubtful |= self.executable.is_some();
                return (Kind::End, start);
            };
            match CLASSES[usize::from(byte)] {
                ByteClass::Space => self.at += 1,
                ByteClass::Letter => {
                    self.word();
                    return (Kind::Word, start);
                }
                ByteClass::Digit => return (self.number(), start),
                ByteClass::Plain => {
                    self.at += 1;
                    return (Kind::Mark(byte), start);
                }
                ByteClass::Special => {
                    if let Some(kind) = self.special(byte) {
                        return (kind, start);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
        let text = &rest[..length];
        self.at += length;
        // In a one-byte charset some of these bytes are white space for the server.
        self.doubtful |= !text.is_ascii() && std::str::from_utf8(text).is_err();
        text
    }

    fn number(&mut self) -> Kind {
        if self.word().iter().all(u8::is_ascii_digit) { Kind::Number } else { Kind::Word }
    }

    /// A token that starts with a special byte, or `None` after a comment.
    fn special(&mut self, byte: u8) -> Option<Kind> {
        let next = self.text.get(self.at + 1).copied();
        match (byte, next) {
            (b'\'', _) => {
                self.quoted(byte, !self.mode.no_backslash_escapes);
                Some(Kind::Text)
            }
            (b'"', _) if !self.mode.ansi_quotes => {
                self.quoted(byte, !self.mode.no_backslash_escapes);
                Some(Kind::Text)
            }
            (b'"' | b'`', _) => {
                let start = self.at;
                self.quoted(byte, false);
                let content = &self.text[start..self.at - 1];
                // In some multi-byte charsets a backtick can be the second half of a character.
                self.doubtful |= content.last() >= Some(&0x80) && std::str::from_utf8(content).is_err();
                Some(Kind::Quoted)
            }
            (b'@', _) => Some(self.variable(next)),
            (b':', Some(b'=')) => {
                self.at += 2;
                Some(Kind::Assign)
            }
            (b'#', _) => {
                self.line_comment(1);
                None
            }
            (b'-', Some(b'-')) if self.text.get(self.at + 2).is_none_or(|&b| b <= b' ' || b == 0x7f) => {
                self.line_comment(2);
                None
            }
            (b'-', Some(b'-')) => {
                // White space above ASCII would make it a comment, too.
                self.doubtful |= self.text[self.at + 2] >= 0x80;
                self.at += 1;
                Some(Kind::Mark(byte))
            }
            (b'/', Some(b'*')) => self.block_comment(),
            (b'*', Some(b'/')) if self.executable.is_some() => {
                self.doubtful |= self.executable != Some(self.at);
                self.executable = None;
                self.at += 2;
                Some(Kind::Close)
            }
            _ => {
                self.at += 1;
                Some(Kind::Mark(byte))
            }
        }
    }

    /// Passes what is in quotes from `at` on; doubled quotes stay inside.
    fn quoted(&mut self, quote: u8, backslash: bool) {
        let mut at = self.at + 1;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let hit = find_quote(rest, quote, backslash);
            let Some(hit) = hit else {
                self.doubtful = true;
                self.at = self.text.len();
                break;
            };
            at += hit;
            if self.text[at] != quote {
                // In some multi-byte charsets a backslash can be the second half of a character.
                self.doubtful |= self.text[at - 1] >= 0x80;
                at += 2;
            } else if self.text.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                self.at = at + 1;
                break;
            }
        }
    }

    fn variable(&mut self, next: Option<u8>) -> Kind {
        self.at += 1;
        match next {
            Some(b'@') => {
                self.at += 1;
                return Kind::System;
            }
            Some(b'`') => self.quoted(b'`', false),
            Some(quote @ (b'\'' | b'"')) => {
                let backslash = !(self.mode.no_backslash_escapes || quote == b'"' && self.mode.ansi_quotes);
                self.quoted(quote, backslash);
            }
            _ => {
                let start = self.at;
                while self.text.get(self.at).is_some_and(|&byte| is_word(byte) || byte == b'.') {
                    self.at += 1;
                }
                let name = &self.text[start..self.at];
                self.doubtful |= std::str::from_utf8(name).is_err();
            }
        }
        Kind::Variable
    }

    fn line_comment(&mut self, marker: usize) {
        let rest = &self.text[self.at + marker..];
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        self.comment(&rest[..length]);
        self.at += marker + length;
        self.doubtful |= self.executable.is_some();
    }

    fn block_comment(&mut self) -> Option<Kind> {
        let content = &self.text[self.at + 2..];
        let marker = match content {
            [b'!', ..] => 1,
            [b'M', b'!', ..] => 2,
            _ => 0,
        };
        let length = memmem::find(content, b"*/");
        if marker > 0 && self.executable.is_none() {
            let digits = content[marker..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
            self.doubtful |= length.is_none();
            self.executable = Some(self.at + 2 + length.unwrap_or(content.len()));
            self.at += 2 + marker + if digits < 5 { 0 } else { digits };
            return Some(Kind::Open);
        }
        // What a comment within an executable one means depends on the version.
        self.doubtful |= length.is_none() || self.executable.is_some();
        let length = length.unwrap_or(content.len());
        self.comment(&content[..length]);
        self.at = (self.at + 2 + length + 2).min(self.text.len());
        None
    }

    fn comment(&mut self, content: &'a [u8]) {
        let content = content.trim_ascii_start();
        let hints = HINT_WORDS.iter().any(|word| {
            content.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
                && !content.get(word.len()).is_some_and(|&byte| is_word(byte))
        });
        if hints && self.hint.is_none() {
            self.hint = Some(content);
        }
    }
}

/// Where the next quote or backslash is. Most are near: only then the search for far ones pays.
fn find_quote(text: &[u8], quote: u8, backslash: bool) -> Option<usize> {
    const NEAR: usize = 24;
    let near = &text[..text.len().min(NEAR)];
    let hit = near.iter().position(|&byte| byte == quote || (backslash && byte == b'\\'));
    hit.or_else(|| {
        let far = &text[near.len()..];
        let hit = if backslash { memchr2(quote, b'\\', far) } else { memchr(quote, far) };
        hit.map(|at| at + near.len())
    })
}

/// The words a routing hint begins with: ours, and the one of MaxScale.
const HINT_WORDS: [&[u8]; 2] = [b"oarlock", b"maxscale"];

#[derive(Clone, Copy)]
enum ByteClass {
    Space,
    /// Letters, `_`, `$` and everything above ASCII.
    Letter,
    Digit,
    /// May start a token of more than one byte.
    Special,
    Plain,
}

const CLASSES: [ByteClass; 256] = {
    let mut classes = [ByteClass::Plain; 256];
    let mut at = 0;
    while at < 256 {
        classes[at] = match at as u8 {
            b'\t'..=b'\r' | b' ' => ByteClass::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..=0xff => ByteClass::Letter,
            b'0'..=b'9' => ByteClass::Digit,
            b'\'' | b'"' | b'`' | b'@' | b':' | b'#' | b'-' | b'/' | b'*' => ByteClass::Special,
            _ => ByteClass::Plain,
        };
        at += 1;
    }
    classes
};

fn is_word(byte: u8) -> bool {
    matches!(CLASSES[usize::from(byte)], ByteClass::Letter | ByteClass::Digit)
}
