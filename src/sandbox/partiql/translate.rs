//! Turns conditions and assignments into DynamoDB's expressions.

use std::collections::HashMap;

use rustack_dynamodb_model::AttributeValue;

use super::ast::{Comparison, Condition, Item, Operand, Path, Step};

/// Collects the `#n` and `:v` placeholders of one request.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// `#n0` to the attribute's name.
    pub(super) names: HashMap<String, String>,
    /// `:v0` to the value.
    pub(super) values: Item,
}

impl Expressions {
    /// The path with every name behind a placeholder, so that no reserved word gets in the way.
    pub(super) fn path(&mut self, path: &Path) -> String {
        let mut written = String::new();
        for step in path {
            match step {
                Step::Name(name) => {
                    if !written.is_empty() {
                        written.push('.');
                    }
                    let placeholder = self.name(name);
                    written.push_str(&placeholder);
                }
                Step::Index(index) => written.push_str(&format!("[{index}]")),
            }
        }
        written
    }

    /// The placeholder of one attribute name.
    pub(super) fn name(&mut self, name: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    /// The placeholder of one value.
    pub(super) fn value(&mut self, value: &AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value.clone());
        placeholder
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(value) => self.value(value),
            Operand::Plus(left, right) => format!("{} + {}", self.operand(left), self.operand(right)),
            Operand::Minus(left, right) => format!("{} - {}", self.operand(left), self.operand(right)),
            Operand::Call(function, arguments) => format!("{function}({})", self.operands(arguments)),
        }
    }

    fn operands(&mut self, operands: &[Operand]) -> String {
        let written: Vec<String> = operands.iter().map(|operand| self.operand(operand)).collect();
        written.join(", ")
    }

    /// A condition expression.
    pub(super) fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Compare(left, comparison, right) => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::NotEqual => "<>",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                format!("{} {sign} {}", self.operand(left), self.operand(right))
            }
            Condition::Between(operand, low, high) => {
                let (operand, low, high) = (self.operand(operand), self.operand(low), self.operand(high));
                format!("{operand} BETWEEN {low} AND {high}")
            }
            Condition::In(operand, choices) => format!("{} IN ({})", self.operand(operand), self.operands(choices)),
            Condition::Call(function, arguments) => format!("{function}({})", self.operands(arguments)),
            Condition::And(left, right) => format!("({} AND {})", self.condition(left), self.condition(right)),
            Condition::Or(left, right) => format!("({} OR {})", self.condition(left), self.condition(right)),
            Condition::Not(inner) => format!("(NOT {})", self.condition(inner)),
        }
    }

    /// All of `conditions`, or nothing when there are none.
    pub(super) fn conjunction(&mut self, conditions: &[Condition]) -> Option<String> {
        let written: Vec<String> = conditions.iter().map(|condition| self.condition(condition)).collect();
        (!written.is_empty()).then(|| written.join(" AND "))
    }

    /// An update expression. `set_add` and `set_delete` are `ADD` and `DELETE` clauses there.
    pub(super) fn update(&mut self, set: &[(Path, Operand)], remove: &[Path]) -> Result<String, String> {
        let mut clauses: [(&str, Vec<String>); 4] =
            [("SET", vec![]), ("REMOVE", vec![]), ("ADD", vec![]), ("DELETE", vec![])];
        for (path, operand) in set {
            let target = self.path(path);
            match operand {
                Operand::Call(function, arguments) if function == "set_add" || function == "set_delete" => {
                    let [Operand::Path(of), Operand::Value(members)] = arguments.as_slice() else {
                        return Err(format!("{function} takes a path and a set"));
                    };
                    if of != path {
                        return Err(format!("{function} must change the attribute it is assigned to"));
                    }
                    let members = self.value(members);
                    let clause = if function == "set_add" { 2 } else { 3 };
                    clauses[clause].1.push(format!("{target} {members}"));
                }
                _ => {
                    let value = self.operand(operand);
                    clauses[0].1.push(format!("{target} = {value}"));
                }
            }
        }
        for path in remove {
            let target = self.path(path);
            clauses[1].1.push(target);
        }
        let written: Vec<String> = clauses
            .iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(keyword, parts)| format!("{keyword} {}", parts.join(", ")))
            .collect();
        Ok(written.join(" "))
    }
}

/// Splits a `WHERE` clause into the equalities on `key_names` and all the rest, which must hold as well.
pub(super) fn split_key(filter: &Condition, key_names: &[String]) -> (Item, Vec<Condition>) {
    let mut key = Item::new();
    let mut rest = Vec::new();
    for part in conjuncts(filter) {
        match equality(part) {
            Some((name, value)) if key_names.contains(name) && !key.contains_key(name) => {
                key.insert(name.clone(), value.clone());
            }
            _ => rest.push(part.clone()),
        }
    }
    (key, rest)
}

/// The parts of a condition that are joined by `AND` at its top.
pub(super) fn conjuncts(condition: &Condition) -> Vec<&Condition> {
    match condition {
        Condition::And(left, right) => {
            let mut parts = conjuncts(left);
            parts.extend(conjuncts(right));
            parts
        }
        other => vec![other],
    }
}

/// `name = value`, either way round.
fn equality(condition: &Condition) -> Option<(&String, &AttributeValue)> {
    let Condition::Compare(left, Comparison::Equal, right) = condition else {
        return None;
    };
    let (path, value) = match (left, right) {
        (Operand::Path(path), Operand::Value(value)) | (Operand::Value(value), Operand::Path(path)) => (path, value),
        _ => return None,
    };
    match path.as_slice() {
        [Step::Name(name)] => Some((name, value)),
        _ => None,
    }
}
