//! The parser's place in the statement, and what it reads there without looking far: names, paths and values.

use std::collections::HashMap;

use rustack_dynamodb_model::AttributeValue;

use super::ast::{Item, Path, Step};
use super::lexer::Token;

/// Words that PartiQL keeps for itself, as far as a table is likely to name an attribute so. DynamoDB refuses them as names
/// unless they are quoted, and a sandbox that took them would hide the mistake until production.
const RESERVED: &str = "action add all and any as at between by case check count create date day delete desc \
    distinct drop else end exists false first from group having hour in index insert into is \
    key language last level like limit max min minute missing module month next no not null \
    of on only or order partition position read references remove returning schema second \
    section select session set size some sum table then time timestamp to transaction true \
    union unique unknown update usage user value values view when where with work write year \
    zone";

/// Reads tokens from first to last.
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    /// A parameter is found by counting the `?` before it, so that reading a token twice binds it once.
    pub(super) parameters: Vec<AttributeValue>,
}

/// What was read, or a sentence about what stood there instead.
pub(super) type Parsed<T> = Result<T, String>;

impl Parser {
    pub(super) fn starts_value(&self) -> bool {
        match self.peek() {
            Some(Token::Parameter | Token::Text(_) | Token::Number(_)) => true,
            Some(Token::Symbol(symbol)) => matches!(*symbol, "{" | "[" | "<<" | "-"),
            Some(Token::Word(word)) => ["true", "false", "null"].iter().any(|known| word.eq_ignore_ascii_case(known)),
            _ => false,
        }
    }

    pub(super) fn value(&mut self) -> Parsed<AttributeValue> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.unexpected("a value"));
        };
        let bound = self.tokens[..self.at].iter().filter(|token| **token == Token::Parameter).count();
        self.at += 1;
        Ok(match token {
            Token::Parameter => self.parameters[bound].clone(),
            Token::Text(text) => AttributeValue::S(text),
            Token::Number(number) => AttributeValue::N(number),
            Token::Symbol("-") => match self.value()? {
                AttributeValue::N(number) => AttributeValue::N(format!("-{number}")),
                _ => return Err("a minus sign must stand before a number".to_owned()),
            },
            Token::Symbol("{") => AttributeValue::M(self.members()?),
            Token::Symbol("[") => AttributeValue::L(self.values_until("]")?),
            Token::Symbol("<<") => set_of(self.values_until(">>")?)?,
            Token::Word(word) if word.eq_ignore_ascii_case("true") => AttributeValue::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => AttributeValue::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => AttributeValue::Null(true),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a value"));
            }
        })
    }

    fn members(&mut self) -> Parsed<Item> {
        let mut members = HashMap::new();
        while !self.eat_symbol("}") {
            if !members.is_empty() {
                self.expect_symbol(",")?;
            }
            let Some(Token::Text(name)) = self.peek().cloned() else {
                return Err(self.unexpected("an attribute name in single quotes"));
            };
            self.at += 1;
            self.expect_symbol(":")?;
            let value = self.value()?;
            if members.insert(name.clone(), value).is_some() {
                return Err(format!("the attribute {name:?} is given twice"));
            }
        }
        Ok(members)
    }

    fn values_until(&mut self, close: &'static str) -> Parsed<Vec<AttributeValue>> {
        let mut values = Vec::new();
        while !self.eat_symbol(close) {
            if !values.is_empty() {
                self.expect_symbol(",")?;
            }
            values.push(self.value()?);
        }
        Ok(values)
    }

    pub(super) fn path(&mut self) -> Parsed<Path> {
        let mut path = vec![Step::Name(self.name()?)];
        loop {
            if self.eat_symbol(".") {
                path.push(Step::Name(self.name()?));
            } else if self.eat_symbol("[") {
                let Some(Token::Number(index)) = self.peek().cloned() else {
                    return Err(self.unexpected("a list index"));
                };
                self.at += 1;
                path.push(Step::Index(index.parse().map_err(|_| format!("{index} is not a list index"))?));
                self.expect_symbol("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    pub(super) fn name(&mut self) -> Parsed<String> {
        let name = match self.peek() {
            Some(Token::Quoted(name)) => name.clone(),
            Some(Token::Word(word)) if is_reserved(word) => {
                return Err(format!("{word} is a keyword; as a name it must be written in double quotes"));
            }
            Some(Token::Word(word)) => word.clone(),
            _ => return Err(self.unexpected("a name")),
        };
        self.at += 1;
        Ok(name)
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    pub(super) fn eat_symbol(&mut self, symbol: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> String {
        match self.peek() {
            Some(token) => format!("expected {wanted}, found {token:?}"),
            None => format!("expected {wanted}, found the end"),
        }
    }
}

/// `<<...>>`: all strings or all numbers, at least one.
fn set_of(values: Vec<AttributeValue>) -> Parsed<AttributeValue> {
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            AttributeValue::S(text) => texts.push(text),
            AttributeValue::N(number) => numbers.push(number),
            _ => return Err("a set holds strings or numbers".to_owned()),
        }
    }
    match (texts.is_empty(), numbers.is_empty()) {
        (false, true) => Ok(AttributeValue::Ss(texts)),
        (true, false) => Ok(AttributeValue::Ns(numbers)),
        _ => Err("a set holds strings or numbers, not both and not nothing".to_owned()),
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.split(' ').any(|reserved| word.eq_ignore_ascii_case(reserved))
}
