//! From the text of a statement to what it asks for (pure).
//!
//! The console is no database: it knows its own statements, SELECT of one table, and what clients and monitors send when they
//! connect. Everything else is refused with what there is.

use std::net::IpAddr;

use crate::cluster::order::Order;
use crate::sql::lexer::{Lexer, Token};
use crate::sql::statement::LexMode;

use super::question::{Columns, Constant, Question, Refusal, Selection};
use super::tables::{Table, VERSION, variable};

/// The one schema.
pub(super) const SCHEMA: &str = "stats";

const HELP: &str = "SHOW SERVERS, SERVICES, LISTENERS, LINKS, REPLICAS, SESSIONS, ACCOUNTS, HOSTS or EVENTS; SELECT ... FROM stats.servers \
     and so on; SET SERVER n MAINTENANCE or DRAIN; CLEAR SERVER n; SWITCH WRITER n; START, STOP or RETRY LINK n; KILL id; \
     CLEAR HOST 'address'; RELOAD";

/// Reads a statement.
pub(super) fn parse(text: &str) -> Result<Question, Refusal> {
    let mut parser = Parser::new(text);
    let question = parser.statement()?;
    parser.skip_mark(b';');
    match parser.token {
        Token::End if !parser.lexer.doubtful() => Ok(question),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Where the token begins, or the space before it.
    start: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Lexer::new(text.as_bytes(), LexMode::default());
        let token = lexer.token();
        Self { text, lexer, token, start: 0 }
    }

    fn step(&mut self) -> Token<'a> {
        self.start = self.lexer.position();
        std::mem::replace(&mut self.token, self.lexer.token())
    }

    fn statement(&mut self) -> Result<Question, Refusal> {
        let verb = self.word().unwrap_or_default().to_ascii_uppercase();
        match &*verb {
            "SHOW" => self.show(),
            "SELECT" => self.select(),
            "SET" if self.skip_word("SERVER") => {
                let node = self.name()?;
                match self.word().unwrap_or_default().to_ascii_uppercase().as_str() {
                    "MAINTENANCE" => Ok(Question::Node(node, Order::Maintenance)),
                    "DRAIN" => Ok(Question::Node(node, Order::Drain)),
                    _ => Err(self.refused("SET SERVER n MAINTENANCE or DRAIN")),
                }
            }
            "CLEAR" if self.skip_word("SERVER") => Ok(Question::Node(self.name()?, Order::Clear)),
            "CLEAR" if self.skip_word("HOST") => {
                let address = self.name()?.parse().map(|address: IpAddr| address.to_canonical());
                address.map(Question::Forgive).map_err(|_| self.refused("CLEAR HOST 'address', as SHOW HOSTS shows it"))
            }
            "RELOAD" => Ok(Question::Reload),
            "SWITCH" if self.skip_word("WRITER") => Ok(Question::Node(self.name()?, Order::Write)),
            "START" if self.skip_word("LINK") => Ok(Question::Link(self.name()?, "start")),
            "STOP" if self.skip_word("LINK") => Ok(Question::Link(self.name()?, "stop")),
            "RETRY" if self.skip_word("LINK") => Ok(Question::Link(self.name()?, "retry")),
            "KILL" => {
                self.skip_word("CONNECTION");
                let id = self.number().and_then(|id| u32::try_from(id).ok());
                id.map(Question::End).ok_or_else(|| self.refused("KILL id, as SHOW SESSIONS shows it"))
            }
            "SET" => self.set(),
            "BEGIN" | "COMMIT" | "ROLLBACK" => Ok(self.all_the_rest()),
            _ => Err(self.refused(HELP)),
        }
    }

    /// What clients set for themselves.
    fn set(&mut self) -> Result<Question, Refusal> {
        let names = ["NAMES", "CHARACTER", "TRANSACTION"];
        let own = matches!(self.token, Token::System | Token::Variable(_));
        let is_known = matches!(self.token, Token::Word(word)
            if names.iter().any(|name| word.text.eq_ignore_ascii_case(name.as_bytes())));
        let assigns = self.lexer.rest().contains(&b'=');
        if own || is_known || assigns { Ok(self.all_the_rest()) } else { Err(self.refused(HELP)) }
    }

    fn all_the_rest(&mut self) -> Question {
        self.lexer.skip_rest();
        self.token = Token::End;
        Question::Nothing
    }

    fn show(&mut self) -> Result<Question, Refusal> {
        let is_scope = ["GLOBAL", "SESSION", "FULL"].into_iter().any(|word| self.skip_word(word));
        let what = self.word().unwrap_or_default().to_ascii_uppercase();
        if let Some(table) = Table::named(&what).filter(|_| !is_scope) {
            return Ok(Question::Rows(all_of(table)));
        }
        match &*what {
            "PROCESSLIST" => Ok(Question::Rows(all_of(Table::Sessions))),
            "DATABASES" | "SCHEMAS" => Ok(Question::Databases),
            "TABLES" => Ok(Question::Tables),
            "VARIABLES" => Ok(Question::Variables(self.pattern()?)),
            "STATUS" => Ok(Question::Status(self.pattern()?)),
            "WARNINGS" | "ERRORS" => {
                self.all_the_rest();
                Ok(Question::Empty(&["Level", "Code", "Message"]))
            }
            _ => Err(self.refused(HELP)),
        }
    }

    /// LIKE 'pattern', or WHERE Variable_name = 'name' and its like.
    fn pattern(&mut self) -> Result<Option<String>, Refusal> {
        if self.skip_word("WHERE") {
            self.word();
            if !self.skip_word("LIKE") && !self.skip_mark(b'=') {
                return Err(self.unexpected());
            }
        } else if !self.skip_word("LIKE") {
            return Ok(None);
        }
        match self.step() {
            Token::Text(text) => Ok(Some(content(text))),
            _ => Err(self.unexpected()),
        }
    }

    // === SELECT ===

    fn select(&mut self) -> Result<Question, Refusal> {
        let mut items = vec![self.item()?];
        while self.skip_mark(b',') {
            items.push(self.item()?);
        }
        if !self.skip_word("FROM") {
            self.limit()?;
            return self.constants(items);
        }
        let mut name = self.name()?;
        if self.skip_mark(b'.') {
            if !name.eq_ignore_ascii_case(SCHEMA) {
                return Err(Refusal::new(1049, format!("Unknown database '{name}'; there is: {SCHEMA}")));
            }
            name = self.name()?;
        }
        let names = || Table::ALL.map(Table::name).join(", ");
        let table = Table::named(&name).ok_or_else(|| {
            Refusal::new(1146, format!("Table '{SCHEMA}.{name}' doesn't exist; there are: {}", names()))
        })?;
        let columns = selected(table, items)?;
        let filter = if self.skip_word("WHERE") { self.filter(table)? } else { Vec::new() };
        Ok(Question::Rows(Selection { table, columns, filter, limit: self.limit()? }))
    }

    fn constants(&self, items: Vec<Item>) -> Result<Question, Refusal> {
        let value = |item| match item {
            Item::Constant(heading, value) => Ok((heading, value)),
            Item::Column(name) => Err(unknown_column(&name, "SELECT without a table")),
            Item::All | Item::Count(_) => Err(Refusal::new(1096, "No tables used")),
        };
        items.into_iter().map(value).collect::<Result<_, _>>().map(Question::Values)
    }

    fn item(&mut self) -> Result<Item, Refusal> {
        let start = self.start;
        let item = match self.step() {
            Token::Mark(b'*') => return Ok(Item::All),
            Token::System => Item::Constant(String::new(), self.system_variable()?),
            Token::Number(digits) => Item::Constant(String::new(), number(digits)),
            Token::Text(text) => Item::Constant(String::new(), Constant::Text(content(text))),
            Token::Quoted(text) => Item::Column(content(text)),
            Token::Word(word) => {
                let name = String::from_utf8_lossy(word.text).into_owned();
                if self.skip_mark(b'(') { self.function(&name)? } else { Item::Column(name) }
            }
            _ => return Err(self.unexpected()),
        };
        let text = self.text.get(start..self.start).unwrap_or_default().trim();
        let alias = self.alias()?.unwrap_or_else(|| text.to_owned());
        Ok(match item {
            Item::Constant(_, value) => Item::Constant(alias, value),
            Item::Count(_) => Item::Count(alias),
            other => other,
        })
    }

    fn alias(&mut self) -> Result<Option<String>, Refusal> {
        let is_end = |word: &[u8]| [&b"FROM"[..], b"LIMIT"].iter().any(|end| word.eq_ignore_ascii_case(end));
        if self.skip_word("AS") {
            return self.name().map(Some);
        }
        match self.token {
            Token::Word(word) if !is_end(word.text) => self.name().map(Some),
            Token::Quoted(_) | Token::Text(_) => self.name().map(Some),
            _ => Ok(None),
        }
    }

    fn system_variable(&mut self) -> Result<Constant, Refusal> {
        let mut name = self.name()?;
        if self.skip_mark(b'.') {
            name = self.name()?;
        }
        match variable(&name) {
            Some(value) => Ok(number_or_text(value)),
            None => Err(Refusal::new(1193, format!("Unknown system variable '{name}'"))),
        }
    }

    fn function(&mut self, name: &str) -> Result<Item, Refusal> {
        let value = match &*name.to_ascii_uppercase() {
            "COUNT" => {
                if !self.skip_mark(b'*') {
                    self.step();
                }
                self.close()?;
                return Ok(Item::Count(String::new()));
            }
            "VERSION" => Constant::Text(VERSION.to_owned()),
            "DATABASE" | "SCHEMA" => Constant::Text(SCHEMA.to_owned()),
            "USER" | "CURRENT_USER" | "SESSION_USER" => Constant::User,
            "CONNECTION_ID" => Constant::Connection,
            _ => return Err(Refusal::new(1305, format!("FUNCTION {name} does not exist"))),
        };
        self.close()?;
        Ok(Item::Constant(String::new(), value))
    }

    fn close(&mut self) -> Result<(), Refusal> {
        if self.skip_mark(b')') { Ok(()) } else { Err(self.unexpected()) }
    }

    fn filter(&mut self, table: Table) -> Result<Vec<(usize, String)>, Refusal> {
        let mut filter = Vec::new();
        loop {
            let name = self.name()?;
            let place = table.place(&name).ok_or_else(|| unknown_column(&name, "WHERE"))?;
            if !self.skip_mark(b'=') {
                return Err(self.unexpected());
            }
            let value = match self.step() {
                Token::Text(text) => content(text),
                Token::Number(digits) => String::from_utf8_lossy(digits).into_owned(),
                _ => return Err(self.unexpected()),
            };
            filter.push((place, value));
            if !self.skip_word("AND") {
                return Ok(filter);
            }
        }
    }

    fn limit(&mut self) -> Result<Option<usize>, Refusal> {
        if !self.skip_word("LIMIT") {
            return Ok(None);
        }
        let count = self.number().and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| self.unexpected())
    }

    // === Tokens ===

    /// A word, if there is one.
    fn word(&mut self) -> Option<String> {
        let Token::Word(word) = self.token else { return None };
        self.step();
        Some(String::from_utf8_lossy(word.text).into_owned())
    }

    /// A name: of a node it may have `-` and `.` in it also without quotes.
    fn name(&mut self) -> Result<String, Refusal> {
        let start = self.start;
        let mut name = match self.step() {
            Token::Word(word) => String::from_utf8_lossy(word.text).into_owned(),
            Token::Quoted(text) | Token::Text(text) => return Ok(content(text)),
            _ => return Err(self.unexpected()),
        };
        while self.token == Token::Mark(b'-') {
            self.step();
            self.step();
            name = self.text.get(start..self.start).unwrap_or_default().trim().to_owned();
        }
        Ok(name)
    }

    fn number(&mut self) -> Option<u64> {
        let Token::Number(digits) = self.token else { return None };
        self.step();
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn skip_word(&mut self, expected: &str) -> bool {
        let found = matches!(self.token, Token::Word(word) if word.text.eq_ignore_ascii_case(expected.as_bytes()));
        if found {
            self.step();
        }
        found
    }

    fn skip_mark(&mut self, expected: u8) -> bool {
        let found = self.token == Token::Mark(expected);
        if found {
            self.step();
        }
        found
    }

    fn unexpected(&self) -> Refusal {
        let rest = self.text.get(self.start..).unwrap_or_default().trim();
        Refusal::new(1064, format!("The console does not understand this near '{rest}'; it knows: {HELP}"))
    }

    fn refused(&self, known: &str) -> Refusal {
        Refusal::new(1064, format!("The console does not understand this; it knows: {known}"))
    }
}

/// What stands in a SELECT list.
enum Item {
    All,
    Column(String),
    Count(String),
    Constant(String, Constant),
}

fn selected(table: Table, items: Vec<Item>) -> Result<Columns, Refusal> {
    if let [Item::Count(heading)] = &*items {
        return Ok(Columns::Count(heading.clone()));
    }
    let mut places = Vec::new();
    for item in items {
        match item {
            Item::All => places.extend(0..table.columns().len()),
            Item::Column(name) => places.push(table.place(&name).ok_or_else(|| unknown_column(&name, "SELECT"))?),
            Item::Count(_) | Item::Constant(..) => {
                return Err(Refusal::new(1064, "The console selects columns, or COUNT(*) alone"));
            }
        }
    }
    Ok(Columns::Places(places))
}

fn all_of(table: Table) -> Selection {
    let columns = Columns::Places((0..table.columns().len()).collect());
    Selection { table, columns, filter: Vec::new(), limit: None }
}

fn unknown_column(name: &str, place: &str) -> Refusal {
    Refusal::new(1054, format!("Unknown column '{name}' in '{place}'"))
}

fn number(digits: &[u8]) -> Constant {
    number_or_text(&String::from_utf8_lossy(digits))
}

fn number_or_text(value: &str) -> Constant {
    value.parse().map_or_else(|_| Constant::Text(value.to_owned()), Constant::Number)
}

/// What is between quotes.
fn content(quoted: &[u8]) -> String {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let text = String::from_utf8_lossy(inner);
    match quoted.first() {
        Some(&quote) => text.replace(&format!("{0}{0}", char::from(quote)), &char::from(quote).to_string()),
        None => text.into_owned(),
    }
}

/// Whether a name is like a pattern of SHOW: `%` is anything, `_` any character, a backslash takes the next one as it is.
pub(super) fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'%', rest @ ..], _) => (0..=name.len()).any(|start| is_like(&name[start..], rest)),
        ([b'_', rest @ ..], [_, name @ ..]) => is_like(name, rest),
        ([b'\\', literal, rest @ ..] | [literal, rest @ ..], [first, name @ ..]) => {
            literal.eq_ignore_ascii_case(first) && is_like(name, rest)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "parse/tests.rs"]
mod tests;
