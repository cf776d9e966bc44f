//! Splits a statement into tokens.

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A bare word: a keyword, a function or an unquoted name.
    Word(String),
    /// `"a name"`.
    Quoted(String),
    /// `'a string'`, with `''` for a quote.
    Text(String),
    /// A number, unsigned.
    Number(String),
    /// `?`.
    Parameter,
    /// Punctuation or an operator.
    Symbol(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 22] = [
    "<<", ">>", "<>", "<=", ">=", "!=", "=", "<", ">", "+", "-", "*", "(", ")", "[", "]", "{", "}", ",", ".", ":", ";",
];

/// Splits `statement` into tokens; the error says what was not understood and where.
pub(super) fn tokens(statement: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = statement;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let at = statement.len() - rest.len();
        let (token, length) = match first {
            '?' => (Token::Parameter, 1),
            '\'' => delimited(rest, '\'', at).map(|(text, length)| (Token::Text(text), length))?,
            '"' => delimited(rest, '"', at).map(|(text, length)| (Token::Quoted(text), length))?,
            '0'..='9' => number(rest),
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => SYMBOLS
                .iter()
                .find(|symbol| rest.starts_with(**symbol))
                .map(|symbol| (Token::Symbol(symbol), symbol.len()))
                .ok_or_else(|| format!("unexpected character {first:?} at position {at}"))?,
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

/// A quoted run, in which the doubled quote stands for itself; returns the text and the length including both quotes.
fn delimited(rest: &str, quote: char, at: usize) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((position, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return Ok((text, position + 1));
        }
    }
    Err(format!("the quote opened at position {at} is never closed"))
}

fn number(rest: &str) -> (Token, usize) {
    let bytes = rest.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    (Token::Number(rest[..end].to_owned()), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_double_to_stand_for_themselves_and_numbers_keep_their_digits() {
        assert_eq!(
            tokens(r#"'it''s' "a""b" 1.50e-3<=?"#).unwrap(),
            vec![
                Token::Text("it's".into()),
                Token::Quoted("a\"b".into()),
                Token::Number("1.50e-3".into()),
                Token::Symbol("<="),
                Token::Parameter,
            ]
        );
    }

    #[test]
    fn an_open_quote_and_a_stray_character_are_named_with_their_place() {
        assert_eq!(tokens("a = 'b").unwrap_err(), "the quote opened at position 4 is never closed");
        assert_eq!(tokens("a # b").unwrap_err(), "unexpected character '#' at position 2");
    }
}
