//! Reads a statement and binds its parameters.

use rustack_dynamodb_model::AttributeValue;

use super::ast::{Comparison, Condition, Operand, Returning, Statement};
use super::cursor::{Parsed, Parser};
use super::lexer::{Token, tokens};

/// Functions that are true or false.
const PREDICATES: &[&str] = &["begins_with", "contains", "attribute_exists", "attribute_not_exists", "attribute_type"];

/// Functions that have a value.
const FUNCTIONS: &[&str] = &["size", "list_append", "set_add", "set_delete"];

/// Reads `statement`, taking `parameters` for its `?`, first to last.
///
/// # Errors
/// A sentence in the words of DynamoDB's own `ValidationException`: the statement is not well formed, or it has more or
/// fewer `?` than there are parameters.
pub fn parse(statement: &str, parameters: Vec<AttributeValue>) -> Result<Statement, String> {
    let malformed = |detail: String| format!("Statement wasn't well formed, can't be processed: {detail}");
    let tokens = tokens(statement).map_err(malformed)?;
    let asked = tokens.iter().filter(|token| **token == Token::Parameter).count();
    if asked != parameters.len() {
        return Err("Number of parameters in request and statement don't match.".to_owned());
    }
    let mut parser = Parser { tokens, at: 0, parameters };
    let parsed = parser.statement().map_err(malformed)?;
    parser.eat_symbol(";");
    match parser.peek() {
        None => Ok(parsed),
        Some(token) => Err(malformed(format!("unexpected {token:?} after the end"))),
    }
}

impl Parser {
    fn statement(&mut self) -> Parsed<Statement> {
        let statement = if self.eat_word("INSERT") {
            self.insert()?
        } else if self.eat_word("UPDATE") {
            self.update()?
        } else if self.eat_word("DELETE") {
            self.expect_word("FROM")?;
            let table = self.name()?;
            self.expect_word("WHERE")?;
            let filter = self.condition()?;
            Statement::Delete { table, filter, returning: self.returning()? }
        } else if self.eat_word("SELECT") {
            self.select()?
        } else {
            return Err(self.unexpected("INSERT, UPDATE, DELETE or SELECT"));
        };
        Ok(statement)
    }

    fn insert(&mut self) -> Parsed<Statement> {
        self.expect_word("INTO")?;
        let table = self.name()?;
        self.expect_word("VALUE")?;
        match self.value()? {
            AttributeValue::M(item) => Ok(Statement::Insert { table, item }),
            _ => Err("the value of an INSERT must be a map".to_owned()),
        }
    }

    fn update(&mut self) -> Parsed<Statement> {
        let table = self.name()?;
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        loop {
            if self.eat_word("SET") {
                loop {
                    let path = self.path()?;
                    self.expect_symbol("=")?;
                    set.push((path, self.operand()?));
                    if !self.eat_symbol(",") {
                        break;
                    }
                }
            } else if self.eat_word("REMOVE") {
                loop {
                    remove.push(self.path()?);
                    if !self.eat_symbol(",") {
                        break;
                    }
                }
            } else {
                break;
            }
        }
        if set.is_empty() && remove.is_empty() {
            return Err(self.unexpected("SET or REMOVE"));
        }
        self.expect_word("WHERE")?;
        let filter = self.condition()?;
        Ok(Statement::Update { table, set, remove, filter, returning: self.returning()? })
    }

    fn select(&mut self) -> Parsed<Statement> {
        let mut projection = Vec::new();
        if !self.eat_symbol("*") {
            projection.push(self.path()?);
            while self.eat_symbol(",") {
                projection.push(self.path()?);
            }
        }
        self.expect_word("FROM")?;
        let table = self.name()?;
        let index = if self.eat_symbol(".") { Some(self.name()?) } else { None };
        let filter = if self.eat_word("WHERE") { Some(self.condition()?) } else { None };
        Ok(Statement::Select { table, index, projection, filter })
    }

    fn returning(&mut self) -> Parsed<Option<Returning>> {
        if !self.eat_word("RETURNING") {
            return Ok(None);
        }
        let all = self.eat_word("ALL");
        if !all {
            self.expect_word("MODIFIED")?;
        }
        let old = self.eat_word("OLD");
        if !old {
            self.expect_word("NEW")?;
        }
        self.expect_symbol("*")?;
        Ok(Some(match (all, old) {
            (true, true) => Returning::AllOld,
            (true, false) => Returning::AllNew,
            (false, true) => Returning::ModifiedOld,
            (false, false) => Returning::ModifiedNew,
        }))
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let mut left = self.conjunction()?;
        while self.eat_word("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Condition> {
        let mut left = self.negation()?;
        while self.eat_word("AND") {
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Condition> {
        if self.eat_word("NOT") {
            return Ok(Condition::Not(Box::new(self.negation()?)));
        }
        if self.peek() == Some(&Token::Symbol("(")) {
            // A parenthesis opens a condition or an operand, as in `(a + b) > c`; only what follows it tells.
            let start = self.at;
            self.at += 1;
            if let Ok(inner) = self.condition()
                && self.eat_symbol(")")
            {
                return Ok(inner);
            }
            self.at = start;
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Parsed<Condition> {
        if let Some(name) = self.function_name(PREDICATES) {
            let arguments = self.arguments()?;
            return Ok(Condition::Call(name, arguments));
        }
        let left = self.operand()?;
        if self.eat_word("IS") {
            return self.is_what(left);
        }
        let negated = self.eat_word("NOT");
        let condition = if self.eat_word("BETWEEN") {
            let low = self.operand()?;
            self.expect_word("AND")?;
            Condition::Between(left, low, self.operand()?)
        } else if self.eat_word("IN") {
            Condition::In(left, self.choices()?)
        } else if negated {
            return Err(self.unexpected("BETWEEN or IN"));
        } else {
            let comparison = self.comparison()?;
            Condition::Compare(left, comparison, self.operand()?)
        };
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn is_what(&mut self, left: Operand) -> Parsed<Condition> {
        let negated = self.eat_word("NOT");
        if self.eat_word("MISSING") {
            let function = if negated { "attribute_exists" } else { "attribute_not_exists" };
            return Ok(Condition::Call(function.to_owned(), vec![left]));
        }
        self.expect_word("NULL")?;
        let null = Operand::Value(AttributeValue::S("NULL".to_owned()));
        let is_null = Condition::Call("attribute_type".to_owned(), vec![left, null]);
        Ok(if negated { Condition::Not(Box::new(is_null)) } else { is_null })
    }

    fn choices(&mut self) -> Parsed<Vec<Operand>> {
        let close = if self.eat_symbol("[") {
            "]"
        } else {
            self.expect_symbol("(")?;
            ")"
        };
        let mut choices = vec![self.operand()?];
        while self.eat_symbol(",") {
            choices.push(self.operand()?);
        }
        self.expect_symbol(close)?;
        Ok(choices)
    }

    fn comparison(&mut self) -> Parsed<Comparison> {
        let comparison = match self.peek() {
            Some(Token::Symbol("=")) => Comparison::Equal,
            Some(Token::Symbol("<>" | "!=")) => Comparison::NotEqual,
            Some(Token::Symbol("<")) => Comparison::Less,
            Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Token::Symbol(">")) => Comparison::Greater,
            Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
            _ => return Err(self.unexpected("a comparison")),
        };
        self.at += 1;
        Ok(comparison)
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let mut left = self.primary()?;
        loop {
            if self.eat_symbol("+") {
                left = Operand::Plus(Box::new(left), Box::new(self.primary()?));
            } else if self.eat_symbol("-") {
                left = Operand::Minus(Box::new(left), Box::new(self.primary()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Operand> {
        if let Some(name) = self.function_name(FUNCTIONS) {
            return Ok(Operand::Call(name, self.arguments()?));
        }
        if self.eat_symbol("(") {
            let inner = self.operand()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.starts_value() {
            return Ok(Operand::Value(self.value()?));
        }
        Ok(Operand::Path(self.path()?))
    }

    /// The name of a function of `known`, if one stands here with its parenthesis.
    fn function_name(&mut self, known: &[&str]) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        let name = word.to_ascii_lowercase();
        if !known.contains(&name.as_str()) || self.tokens.get(self.at + 1) != Some(&Token::Symbol("(")) {
            return None;
        }
        self.at += 1;
        Some(name)
    }

    fn arguments(&mut self) -> Parsed<Vec<Operand>> {
        self.expect_symbol("(")?;
        let mut arguments = vec![self.operand()?];
        while self.eat_symbol(",") {
            arguments.push(self.operand()?);
        }
        self.expect_symbol(")")?;
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ast::Step;
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn path(name: &str) -> Operand {
        Operand::Path(vec![Step::Name(name.to_owned())])
    }

    #[test]
    fn parameters_are_bound_in_the_order_they_are_written() {
        let parsed = parse(
            r#"UPDATE "t" SET a = ? SET b = ?, "c" = c + ? REMOVE d.e[2] WHERE id = ? AND (a < ? OR NOT b IS MISSING) RETURNING ALL NEW *"#,
            ["1", "2", "3", "4", "5"].map(text).to_vec(),
        )
        .unwrap();
        let Statement::Update { set, remove, filter, returning, .. } = parsed else { panic!("an update") };
        assert_eq!(set[0].1, Operand::Value(text("1")));
        assert_eq!(set[2].1, Operand::Plus(Box::new(path("c")), Box::new(Operand::Value(text("3")))));
        assert_eq!(remove[0].last(), Some(&Step::Index(2)));
        assert_eq!(returning, Some(Returning::AllNew));
        let Condition::And(key, _) = filter else { panic!("a conjunction") };
        assert_eq!(*key, Condition::Compare(path("id"), Comparison::Equal, Operand::Value(text("4"))));
    }

    #[test]
    fn an_insert_takes_nested_literals_and_parameters() {
        let parsed = parse(
            "INSERT INTO \"t\" VALUE {'id': ?, 'n': -1.5, 'l': [true, null, {'x': 'it''s'}], 's': <<'a', 'b'>>}",
            vec![text("k")],
        )
        .unwrap();
        let Statement::Insert { item, .. } = parsed else { panic!("an insert") };
        assert_eq!(item["id"], text("k"));
        assert_eq!(item["n"], AttributeValue::N("-1.5".into()));
        assert_eq!(item["s"], AttributeValue::Ss(vec!["a".into(), "b".into()]));
        let AttributeValue::L(list) = &item["l"] else { panic!("a list") };
        assert_eq!(list[..2], [AttributeValue::Bool(true), AttributeValue::Null(true)]);
    }

    #[test]
    fn a_parenthesis_may_open_a_condition_or_an_operand() {
        for statement in
            ["DELETE FROM t WHERE (id = 'a') AND (n + 1) > 2", "DELETE FROM t WHERE ((id = 'a' AND (n) > 2))"]
        {
            parse(statement, vec![]).unwrap();
        }
    }

    #[test]
    fn every_refusal_says_what_was_expected() {
        let refused = |statement: &str| parse(statement, vec![]).unwrap_err();
        assert!(refused("SELEC * FROM t").contains("expected INSERT, UPDATE, DELETE or SELECT"));
        assert!(refused("UPDATE t SET value = 1 WHERE id = 'a'").contains("value is a keyword"));
        assert!(refused("UPDATE t WHERE id = 'a'").contains("expected SET or REMOVE"));
        assert!(refused("DELETE FROM t WHERE id = 'a' extra").contains("after the end"));
        assert!(refused("INSERT INTO t VALUE {'a': 1, 'a': 2}").contains("given twice"));
        assert_eq!(refused("DELETE FROM t WHERE id = ?"), "Number of parameters in request and statement don't match.");
    }
}
